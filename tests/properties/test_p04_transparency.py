"""P4 transparency: without rules, octets in are octets out."""

from __future__ import annotations

from hypothesis import given

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import Schedule, World, schedules
from .peers import Style
from .promises import assert_not_smuggled, assert_transparency
from .verdicts import ASKS


@given(dialogues(clean=True, styles=(Style.LOCKSTEP, Style.GROUPS), plain_server=True), schedules)
def test_p4_transparency(dialogue: Dialogue, schedule: Schedule) -> None:
    """Where nothing has to be refused or normalised, all octets of the client arrive, and no others."""
    world = World(dialogue, schedule).run()
    assert world.client.done
    assert world.wires == [world.client.sent]
    assert_transparency(world)


@FEW
@given(dialogues(clean=True, styles=(Style.LOCKSTEP, Style.GROUPS), plain_server=True), schedules, ASKS)
def test_p4_transparency_of_rules(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str]) -> None:
    """Rules that let everything pass change no message, however they look at it."""
    whole = World(dialogue).run()
    world = World(dialogue, schedule, ask).run()
    assert world.client.done
    if "MESSAGE" not in ask:  # what is held is refused later than what is not
        assert world.client.sent == whole.client.sent
        assert world.wires == whole.wires
    assert_not_smuggled(world)


@given(dialogues(), schedules)
def test_p4_transparency_of_the_rest(dialogue: Dialogue, schedule: Schedule) -> None:
    """Whatever else is said: what is not refused arrives, line by line and message by message."""
    assert_transparency(World(dialogue, schedule).run())
