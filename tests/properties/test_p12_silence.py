"""P12 silence: nothing after the close, and no credential anywhere but on the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import CLIENT, SERVER, Ask, AwaitReply, Continue, Received, SendToServer, Violation

from .budget import FEW
from .dialogues import SECRET, Dialogue, auths, dialogues
from .harness import Schedule, World, schedules
from .peers import Style, Unit
from .verdicts import ASKS, DrawnJudge, salts

WAITING = (Style.LOCKSTEP, Style.GROUPS)


@FEW
@given(dialogues(), schedules, ASKS, salts)
def test_p12_silence(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run()
    proxy = world.proxy
    for side in (CLIENT, SERVER):
        assert proxy.receive_from(side, b"NOOP\r\n250 ok\r\n") == []
        assert proxy.eof_from(side) == []
    assert (
        proxy.timed_out() == proxy.shutdown() == proxy.shutdown(now=True) == proxy.server_unreachable() == []
    )
    for event in world.events:
        if isinstance(event, Ask):
            assert proxy.answer(event.question, Continue()) == []
    assert proxy.buffered == 0


@FEW
@given(
    dialogues(styles=WAITING), st.lists(auths(), min_size=1, max_size=2), schedules, ASKS, salts, st.data()
)
def test_p12_secrets(
    dialogue: Dialogue,
    exchanges: list[list[Unit]],
    schedule: Schedule,
    ask: frozenset[str],
    salt: int,
    data: st.DataObject,
) -> None:
    """A client that waits sends a credential where one is asked for; so it can always be told apart."""
    units = list(dialogue.units)
    for exchange in exchanges:
        at = data.draw(st.integers(1, len(units)))
        units[at:at] = exchange
    dialogue = Dialogue(
        units, dialogue.style, dialogue.choices, dialogue.pipelining, dialogue.greeting, dialogue.config
    )
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run()
    for event in world.events:
        assert SECRET.decode() not in repr(event)
        if isinstance(event, Received | SendToServer):
            assert SECRET not in (event.shown or b"")
        elif isinstance(event, AwaitReply):
            assert SECRET.decode() not in f"{event.command} {event.command!r} {event.command.shown!r}"
        elif isinstance(event, Violation):
            assert SECRET.decode() not in f"{event.error} {event.error!r} {event.error.reply_hint}"
            assert SECRET not in event.error.evidence
        elif isinstance(event, Ask):
            assert SECRET.decode() not in repr(event.question)
