"""P2 conservation and P3 order, with rules and without."""

from __future__ import annotations

from hypothesis import given

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import Schedule, World, schedules
from .promises import assert_conservation, assert_order
from .verdicts import ASKS, DrawnJudge, salts


@FEW
@given(dialogues(), schedules, ASKS, salts)
def test_p2_conservation(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask), after_reply=assert_conservation)
    world.run()


@FEW
@given(dialogues(), schedules, ASKS, salts)
def test_p3_order(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask), after_reply=assert_order)
    world.run()
