"""P1 to P5, P7 and P8 over messages in chunks (BDAT): drawn chunks, cuts, turns, servers and rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import DEEP

from sansio_smtp import Chunking, Config

from .budget import FEW
from .chunked import assert_replies, chunked, chunks
from .dialogues import Dialogue
from .harness import OCTETS, Schedule, World, cuts, schedules
from .peers import Style, Unit
from .promises import assert_conservation, assert_not_smuggled, assert_truncated, assert_truth
from .test_p01_rechunking import assert_same
from .verdicts import ASKS, DrawnJudge, salts

WAITING = (Style.LOCKSTEP, Style.GROUPS)


@given(chunked(), st.one_of(cuts, st.just(OCTETS)))
def test_p1_rechunking(dialogue: Dialogue, schedule: Schedule) -> None:
    assert_same(World(dialogue).run(), World(dialogue, schedule).run())


@FEW
@given(chunked(styles=WAITING, stays=True), schedules)
def test_p1_interleaving(dialogue: Dialogue, schedule: Schedule) -> None:
    one, other = World(dialogue).run(), World(dialogue, schedule).run()
    assert one.client.codes == other.client.codes
    assert one.client.received == other.client.received


@given(chunked(), schedules)
def test_p2_p3_p4_p5_p8_without_rules(dialogue: Dialogue, schedule: Schedule) -> None:
    world = World(dialogue, schedule, after_reply=assert_truth).run()
    assert_conservation(world)
    assert_replies(world)
    assert_not_smuggled(world)


@given(chunked(clean=True, styles=WAITING, stays=True), schedules)
def test_p4_what_is_not_refused_arrives(dialogue: Dialogue, schedule: Schedule) -> None:
    """To servers that say yes to everything: each message arrives whole."""
    obliging = Dialogue(dialogue.units, dialogue.style, [], dialogue.pipelining, chunking=True)
    world = World(obliging, schedule).run()
    assert_replies(world)
    ends = sum(b" LAST\r\n" in unit.line or unit.content is not None for unit in obliging.units)
    taken = [item for item in world.server.receiver.items if item.kind == "message"]
    assert len(taken) == ends


@FEW
@given(chunked(), schedules, ASKS, salts)
def test_p5_p8_by_a_rule(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask), after_reply=assert_truth).run()
    assert_conservation(world)
    assert_not_smuggled(world)


@FEW
@given(chunked(), schedules, ASKS, st.data())
def test_p7_truncation(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], data: st.DataObject
) -> None:
    whole = len(World(dialogue, ask=ask).run().client.sent)
    for limit in data.draw(st.sets(st.integers(0, whole), max_size=6)):
        world = World(dialogue, schedule, ask, client_limit=limit).run()
        assert_truncated(world)
        assert_not_smuggled(world)


@pytest.mark.parametrize("chunking", [True, False], ids=["in chunks", "converted"])
def test_p5_exhaustive(chunking: bool) -> None:
    """Every string of CR, LF, dot and a letter, cut into two chunks at each place."""
    config = Config(chunking=Chunking.ALWAYS)
    for length in range(1, 6 if DEEP else 4):
        for octets in itertools.product(b"\r\n.x", repeat=length):
            message = bytes(octets)
            for cut in range(length):
                units = [Unit(line) for line in (b"EHLO c\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@x>\r\n")]
                units += chunks(message, [cut])
                world = World(Dialogue(units, Style.LOCKSTEP, [], config=config, chunking=chunking)).run()
                assert_replies(world)
                assert_not_smuggled(world)
                assert world.client.codes[-1] == 250
