"""The promises under the verdicts of the core itself, all of them, in dialogues that seeds make."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from .budget import FEW, MORE
from .harness import AT_ONCE, World
from .promises import (
    assert_conservation,
    assert_not_smuggled,
    assert_order,
    assert_same_octets,
    assert_truncated,
    assert_truth,
)
from .seeded import SEEDS, Seeded
from .transactions import assert_envelopes_as_told
from .verdicts import DrawnJudge


@MORE
@given(SEEDS)
def test_p2_p3_p5_p7_p8(seeded: Seeded) -> None:
    dialogue, schedule, ask = seeded.dialogue(), seeded.schedule(), seeded.ask()
    judge = DrawnJudge(seeded.random.randrange(1000), ask)
    world = World(dialogue, schedule, ask, judge, after_reply=_assert_replies, **seeded.spool()).run()
    assert_not_smuggled(world)
    assert_truncated(world)


def _assert_replies(world: World) -> None:
    assert_conservation(world)
    assert_order(world)
    assert_truth(world)


@FEW
@given(SEEDS, st.booleans())
def test_p6_patience(seeded: Seeded, plain_server: bool) -> None:
    """At once, late, and whenever the schedule has it; also where verdicts choose among servers."""
    dialogue, ask = seeded.dialogue(waiting=True, plain_server=True), seeded.ask()
    if not plain_server:
        dialogue = attrs.evolve(dialogue, later=seeded.servers())
    judge = DrawnJudge(seeded.random.randrange(1000), ask)
    spool = seeded.spool()
    late = World(dialogue, ask=ask, judge=judge, **spool).run()
    assert_same_octets(late, World(dialogue, seeded.schedule(), ask, judge, **spool).run())
    assert_same_octets(late, World(dialogue, AT_ONCE, ask, judge, **spool).run())


@MORE
@given(SEEDS)
def test_p8_truth_of_the_envelope(seeded: Seeded) -> None:
    """Each command was accepted by a server, or by a verdict that no server knows of."""
    ask = seeded.ask()
    judge = DrawnJudge(seeded.random.randrange(1000), ask)
    dialogue, schedule = seeded.dialogue(waiting=True), seeded.schedule()
    assert_envelopes_as_told(World(dialogue, schedule, ask, judge, **seeded.spool()).run())
