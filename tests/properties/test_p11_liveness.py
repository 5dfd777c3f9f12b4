"""P11 liveness: it cannot stall. The harness asserts at each step that there is something to do, and
that no client waits for ever; here the queues are so small that everything stands in everyone's way."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import Schedule, World, schedules
from .verdicts import ASKS, DrawnJudge, salts

_SMALL = st.fixed_dictionaries(
    {
        "max_pipelined": st.integers(1, 3),
        "read_ahead": st.sampled_from([1, 5, 64]),
        "max_line": st.sampled_from([1, 20, 100]),
        "max_held": st.sampled_from([5, 100, 10_000]),
        "max_header_section": st.sampled_from([2, 50]),
        "max_body_line": st.sampled_from([1, 2, 50]),
        "max_reply": st.sampled_from([20, 1000]),
        "max_recipients": st.sampled_from([1, 100]),
    }
)


@FEW
@given(dialogues(), schedules, ASKS, salts, _SMALL)
def test_p11_liveness(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int, limits: dict[str, int]
) -> None:
    dialogue = attrs.evolve(dialogue, config=attrs.evolve(dialogue.config, **limits))
    world = World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run()
    assert world.proxy.closed
    assert not world.proxy.may_read


@FEW
@given(dialogues(), schedules, ASKS, st.integers(0, 60))
def test_p11_shutdown(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], moment: int) -> None:
    """A shutdown at any moment ends every dialogue, and a transaction under way may finish."""
    world = World(dialogue, schedule, ask)
    while not world.proxy.closed:
        if world.steps == moment:
            world.take(world.proxy.shutdown())
        if not world.proxy.closed:
            world.step()
