"""P1 to P8, P11 and P12 hold whatever rules do: edit, refuse, are slow, fail, or try to smuggle."""

from __future__ import annotations

from binascii import b2a_base64

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from sansio_smtp import CLIENT, END_OF_DATA, SERVER, Ask, AwaitReply, Command, Continue, SendToClient
from sansio_smtp.rules import Rule, RuleSet
from sansio_smtp.rules.phases import PHASES

from .budget import FEW, MORE
from .dialogues import SECRET
from .harness import AT_ONCE, World
from .peers import Unit
from .promises import (
    assert_conservation,
    assert_not_smuggled,
    assert_order,
    assert_same_octets,
    assert_truncated,
)
from .rules_drawn import HALF_DONE, LET_PASS, look
from .rules_world import RulesWorld, assert_truth_of_rules, world_of
from .seeded import SEEDS, Seeded
from .test_p01_rechunking import assert_same
from .transactions import assert_envelopes_as_told


@given(SEEDS)
def test_p1_rechunking(seeded: Seeded) -> None:
    dialogue, rules, spool = seeded.dialogue(), seeded.rules(), seeded.spool()
    cut = world_of(rules, dialogue, seeded.cuts(), **spool)
    assert_same(world_of(rules, dialogue, **spool).run(), cut.run())


@MORE
@given(SEEDS)
def test_p2_p3_p5_p7_p8_p12(seeded: Seeded) -> None:
    """One run, and all that can be seen of it: conservation, order and truth at each reply; no smuggling, no
    truncation; silence after the end."""
    full = seeded.random.random() < 0.3
    dialogue, rules, schedule = seeded.dialogue(), seeded.rules(), seeded.schedule()
    more = {**seeded.spool(), "full": full, "after_reply": _assert_replies}
    world = world_of(rules, dialogue, schedule, **more).run()
    assert_not_smuggled(world)
    assert_truncated(world)
    assert not any(HALF_DONE.encode() in octets for octets in (*world.wires, world.client.received))
    assert not (full and world.host.held)
    _assert_silence(world)


def _assert_replies(world: World) -> None:
    assert_conservation(world)
    assert_order(world)
    assert_truth_of_rules(world)


def _assert_silence(world: World) -> None:
    proxy = world.proxy
    for side in (CLIENT, SERVER):
        assert proxy.receive_from(side, b"NOOP\r\n250 ok\r\n") == []
        assert proxy.eof_from(side) == []
    assert proxy.timed_out() == proxy.shutdown(now=True) == proxy.server_unreachable() == []
    for event in world.events:
        if isinstance(event, Ask):
            assert proxy.answer(event.question, Continue()) == []
    assert proxy.buffered == 0


def _is_outside(world: World) -> bool:
    """Returns True if RCPT was said in no transaction, or DATA without a recipient: where rules see
    transactions they are answered here, whatever the server would say. One reply comes after each command."""
    command: Command | None = None
    is_open, recipients = False, 0
    for event in world.events:
        if isinstance(event, AwaitReply):
            command = event.command
        elif isinstance(event, SendToClient) and command is not None:
            accepted = event.data[:1] == b"2"
            if (command.verb == b"RCPT" and not is_open) or (command.verb == b"DATA" and not recipients):
                return True
            if command.verb == b"RCPT":
                recipients += accepted
            elif command is END_OF_DATA or (accepted and command.verb in (b"EHLO", b"HELO", b"RSET")):
                is_open, recipients = False, 0
            elif command.verb == b"MAIL":
                is_open = is_open or accepted
    return False


@given(SEEDS)
def test_p4_transparency(seeded: Seeded) -> None:
    """Rules in every phase that say nothing change no octet; what is held is refused later, if it is."""
    streaming = RuleSet([rule for rule in LET_PASS.rules if rule.phase != "message"])
    dialogue, schedule = seeded.dialogue(waiting=True, clean=True, plain_server=True), seeded.schedule()
    whole = World(dialogue).run()
    if _is_outside(whole):
        dialogue = attrs.evolve(dialogue, choices=[])
        whole = World(dialogue).run()
    assume(not _is_outside(whole))  # EHLO or RSET in the middle of a transaction
    world = RulesWorld(dialogue, schedule, rules=streaming).run()
    assert world.client.done
    assert world.wires == whole.wires
    assert world.client.received == whole.client.received
    obliging = attrs.evolve(dialogue, choices=[])
    whole, held = World(obliging).run(), RulesWorld(obliging, schedule, rules=LET_PASS).run()
    assume(not _is_outside(whole))
    assert held.wires == whole.wires
    assert held.client.codes == whole.client.codes


@given(SEEDS, st.booleans())
def test_p6_patience(seeded: Seeded, plain_server: bool) -> None:
    """At once, late, and whenever the schedule has it; also where rules choose among servers."""
    dialogue = seeded.dialogue(waiting=True, plain_server=True)
    if not plain_server:
        dialogue = attrs.evolve(dialogue, later=seeded.servers())
    rules, spool = seeded.rules(), seeded.spool()
    late = world_of(rules, dialogue, **spool).run()
    assert_same_octets(late, world_of(rules, dialogue, seeded.schedule(), **spool).run())
    assert_same_octets(late, world_of(rules, dialogue, AT_ONCE, **spool).run())


@FEW
@given(SEEDS)
def test_p7_truncation(seeded: Seeded) -> None:
    dialogue, rules, schedule = seeded.dialogue(), seeded.rules(), seeded.schedule()
    for _ in range(2):
        limit = seeded.random.randrange(300)
        world = world_of(rules, dialogue, schedule, client_limit=limit, **seeded.spool()).run()
        assert_truncated(world)
        assert_not_smuggled(world)


@MORE
@given(SEEDS)
def test_p8_truth_of_the_envelope(seeded: Seeded) -> None:
    """A message goes to the recipients that the client was told of, rewritten or not, and to those that rules
    have added."""
    rules, schedule = seeded.rules(without=("command",)), seeded.schedule()
    dialogue = seeded.dialogue(waiting=True)
    assert_envelopes_as_told(world_of(rules, dialogue, schedule, **seeded.spool()).run())


@FEW
@given(SEEDS, st.integers(0, 60))
def test_p11_shutdown(seeded: Seeded, moment: int) -> None:
    """Whatever a rule waits for, a shutdown ends each dialogue."""
    world = world_of(seeded.rules(), seeded.dialogue(), seeded.schedule(), **seeded.spool())
    while not world.proxy.closed:
        if world.steps == moment:
            world.take(world.proxy.shutdown(now=bool(moment % 2)))
        if not world.proxy.closed:
            world.step()
    world.finish()
    assert world.disconnected


@FEW
@given(SEEDS)
def test_p11_liveness(seeded: Seeded) -> None:
    """The harness asserts at each step that there is something to do; here everything is too small."""
    choose = seeded.random.choice
    dialogue = seeded.dialogue()
    config = attrs.evolve(
        dialogue.config,
        max_pipelined=choose([1, 2, 3]),
        read_ahead=choose([1, 5, 64]),
        max_line=choose([20, 100]),
        max_held=choose([5, 100, 10_000]),
        max_header_section=choose([2, 50]),
        max_body_line=choose([1, 2, 50]),
        max_reply=choose([20, 1000]),
        max_recipients=choose([1, 100]),
    )
    dialogue = attrs.evolve(dialogue, config=config)
    world = world_of(seeded.rules(), dialogue, seeded.schedule(), **seeded.spool()).run()
    assert not world.proxy.may_read
    assert_not_smuggled(world)


@FEW
@given(SEEDS)
def test_p12_secrets(seeded: Seeded) -> None:
    """No rule is shown a credential, nor does one leave in what is said of a rule's failure."""
    seen: list[str] = []

    def spy(*arguments: object) -> None:
        seen.extend(repr(thing) for thing in look(*arguments))

    dialogue = seeded.dialogue(waiting=True)
    token = b2a_base64(b"\0ann\0" + SECRET, newline=False)
    login = Unit(b"AUTH PLAIN " + token + b"\r\n", responses=(token + b"\r\n",))
    dialogue = attrs.evolve(dialogue, units=[*dialogue.units[:1], login, *dialogue.units[1:]])
    spies = [Rule(phase, spy, "spy") for phase in PHASES]
    rules = RuleSet([*spies, *[drawn.rule() for drawn in seeded.rules()]])
    world = RulesWorld(dialogue, seeded.schedule(), rules=rules).run()
    assert seen
    seen += [str(failure.error) for failure in world.host.failures]
    assert not [text for text in seen if SECRET.decode() in text or token.decode() in text]
