"""The promises where verdicts say yes, RSET, EHLO and `Route` stand anywhere, and servers are lost at any
moment; and what servers are told there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from .budget import FEW, MORE
from .dialogues import SECRET
from .harness import AT_ONCE, Schedule, World, bound, cuts, schedules
from .plans import Plan, plans
from .promises import (
    assert_conservation,
    assert_not_smuggled,
    assert_order,
    assert_same_octets,
    assert_truncated,
    assert_truth,
)
from .test_p01_rechunking import assert_same
from .transactions import assert_envelopes_as_told, assert_legal_order, assert_said_again

WHOLE = Schedule()


def world_of(plan: Plan, schedule: Schedule = WHOLE, limit: int | None = None) -> World:
    """The dialogue of a plan, checked at each reply."""
    return World(
        plan.dialogue, schedule, plan.ask, plan.judge(), client_limit=limit, after_reply=assert_each_step
    )


def assert_each_step(world: World) -> None:
    assert_conservation(world)
    assert_order(world)
    assert_truth(world)
    assert world.proxy.buffered <= bound(world.proxy.config, 1 << 16)


def assert_in_the_end(world: World) -> None:
    assert_not_smuggled(world)
    assert_truncated(world)
    assert_legal_order(world)
    assert_said_again(world)
    assert_envelopes_as_told(world)
    assert SECRET.decode() not in repr(world.events)


@MORE
@given(plans(), schedules)
def test_transactions(plan: Plan, schedule: Schedule) -> None:
    """P2, P3, P5, P7, P8, P10, P11 and P12; the order of commands, and envelopes."""
    assert_in_the_end(world_of(plan, schedule).run())


@given(plans(), schedules, st.integers(0, 60), st.sampled_from(["client", "timeout", "shutdown", "now"]))
def test_transactions_that_are_cut_short(plan: Plan, schedule: Schedule, moment: int, how: str) -> None:
    """The client is lost, a timeout passes or the service stops, at any moment."""
    world = world_of(plan, schedule, moment * 4 if how == "client" else None)
    while not world.proxy.closed:
        if world.steps == moment and how != "client":
            world.stop(how)
        if not world.proxy.closed:
            world.step()
    assert_in_the_end(world)


@FEW
@given(plans(stays=True), cuts)
def test_p1_rechunking(plan: Plan, schedule: Schedule) -> None:
    assert_same(world_of(plan).run(), world_of(plan, schedule).run())


@FEW
@given(plans(waiting=True, stays=True), schedules)
def test_p6_patience(plan: Plan, schedule: Schedule) -> None:
    """At once, late, and whenever the schedule has it."""
    late = world_of(plan).run()
    assert_same_octets(late, world_of(plan, schedule).run())
    assert_same_octets(late, world_of(plan, AT_ONCE).run())
