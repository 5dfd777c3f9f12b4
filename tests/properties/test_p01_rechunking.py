"""P1 re-chunking: any cut of either side's octets gives the same octets out and the same events."""

from __future__ import annotations

import attrs
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sansio_smtp import CLIENT, SERVER, Tap

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import OCTETS, Schedule, World, cuts, merged, schedules, tapped, without_lost_content
from .peers import Style, Unit
from .scripts import tells_dialogue

WAITING = (Style.LOCKSTEP, Style.GROUPS)


UNASKED = 12
"""The choice of a server that says 421 after its reply."""


def choices_of(dialogue: Dialogue) -> set[int]:
    """All that its servers choose."""
    return {*dialogue.choices, *(choice for later in dialogue.later for choice in later.choices)}


@tells_dialogue
def assert_same(one: World, other: World) -> None:
    """Both peers got the same. For clients that wait for a reply, a 421 that nothing asked for is left out:
    in one segment with that reply it comes before the client has said anything to it."""
    assume(one.dialogue.style is Style.EAGER or UNASKED not in choices_of(one.dialogue))
    for side in (CLIENT, SERVER):
        assert without_lost_content(merged(one.events, side)) == without_lost_content(
            merged(other.events, side)
        )
    assert one.client.received == other.client.received
    assert one.items == other.items
    if not one.aborted():
        assert one.wires == other.wires


@given(dialogues(), st.one_of(cuts, st.just(OCTETS)))
@example(Dialogue([Unit(b"EHLO c\r\n"), Unit(b"\x16abc\r\n"), Unit(b"NOOP\r\n")], Style.LOCKSTEP, []), OCTETS)
def test_p1_rechunking(dialogue: Dialogue, schedule: Schedule) -> None:
    """Cuts only: all that the client can say arrives before the server gets its turn."""
    assert_same(World(dialogue).run(), World(dialogue, schedule).run())


@given(dialogues(styles=WAITING, plain_server=True), schedules)
def test_p1_interleaving(dialogue: Dialogue, schedule: Schedule) -> None:
    """Cuts and turns, for clients that wait where they have to (who does not is judged by what arrived
    when; see `_early_content` in the core)."""
    assert_same(World(dialogue).run(), World(dialogue, schedule).run())


@FEW
@given(dialogues(), cuts, st.sampled_from(Tap))
def test_p1_tap(dialogue: Dialogue, schedule: Schedule, tap: Tap) -> None:
    """A tap sees the same content however it is cut, and changes nothing."""
    without = World(dialogue).run()
    dialogue = attrs.evolve(dialogue, config=attrs.evolve(dialogue.config, tap=tap))
    whole, cut = World(dialogue).run(), World(dialogue, schedule).run()
    assert_same(whole, cut)
    assert_same(whole, without)
    if not whole.aborted():
        assert tapped(whole.events) == tapped(cut.events)
