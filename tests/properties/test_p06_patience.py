"""P6 patience: the moment at which a question is answered never changes an octet."""

from __future__ import annotations

from hypothesis import given

from sansio_smtp.questions import BODY_CHUNK

from .dialogues import Dialogue, dialogues
from .harness import AT_ONCE, Schedule, World, schedules
from .peers import Style
from .verdicts import ASKS, DrawnJudge, salts

WAITING = (Style.LOCKSTEP, Style.GROUPS)


@given(dialogues(styles=WAITING, plain_server=True), schedules, ASKS.filter(bool), salts)
def test_p6_patience(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    """At once and late: in the drawn schedule a verdict waits for whoever else may have its turn."""
    judge = DrawnJudge(salt, BODY_CHUNK in ask)
    late, drawn = World(dialogue, ask=ask, judge=judge).run(), World(dialogue, schedule, ask, judge).run()
    at_once = World(dialogue, AT_ONCE, ask, judge).run()
    for world in (drawn, at_once):
        assert world.client.received == late.client.received
        assert world.server.receiver.items == late.server.receiver.items
        if not late.aborted():
            assert world.server.received == late.server.received
