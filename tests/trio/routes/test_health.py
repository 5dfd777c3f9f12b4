"""The health of a server: pauses that grow, one probe at a time, and what is logged."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import trio
from trio.testing import MockClock

from trio_proxy.routes.health import FIRST_PAUSE, LONGEST_PAUSE, Health, HealthState

Logs = list[MutableMapping[str, Any]]


def health(chance: float = 1.0) -> Health:
    return Health("mx1.example:25", chance=lambda: chance)


async def test_a_server_is_used_until_it_fails_and_tried_again_after_a_pause(mock_clock: MockClock) -> None:
    one = health()
    assert one.state is HealthState.UP
    assert one.is_due
    assert one.due_in == 0
    one.begin().failed("Connection refused")
    assert (one.state, one.why, one.due_in) == (HealthState.DOWN, "Connection refused", FIRST_PAUSE)
    assert not one.is_due
    mock_clock.jump(FIRST_PAUSE)
    assert one.is_due
    assert one.state is HealthState.DOWN
    probe = one.begin()
    assert one.state is HealthState.PROBED
    assert not one.is_due
    probe.worked()
    assert one.state is HealthState.UP
    assert one.due_in == 0


async def test_pauses_double_up_to_the_longest(mock_clock: MockClock) -> None:
    one, pauses = health(), []
    for _ in range(9):
        one.begin().failed("no")
        pauses.append(one.due_in)
        mock_clock.jump(one.due_in)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    one.begin().worked()
    one.begin().failed("no")
    assert one.due_in == FIRST_PAUSE


async def test_a_pause_is_drawn_from_the_upper_half(mock_clock: MockClock) -> None:
    shortest = health(0.0)
    shortest.begin().failed("no")
    assert shortest.due_in == FIRST_PAUSE / 2


async def test_of_tries_at_the_same_time_one_counts(mock_clock: MockClock) -> None:
    one = health()
    tries = [one.begin() for _ in range(5)]
    for number, each in enumerate(tries):
        each.failed(f"no {number}")
    assert one.due_in == FIRST_PAUSE
    assert one.why == "no 4"


async def test_a_late_failure_does_not_end_the_probe_of_another(mock_clock: MockClock) -> None:
    one = health()
    first, late = one.begin(), one.begin()
    first.failed("no")
    mock_clock.jump(FIRST_PAUSE)
    probe = one.begin()
    late.failed("no, late")
    assert one.state is HealthState.PROBED
    probe.worked()
    assert one.state is HealthState.UP


async def test_a_probe_that_is_given_up_leaves_the_server_down(mock_clock: MockClock) -> None:
    one = health()
    first = one.begin()
    first.gave_up()
    assert one.state is HealthState.UP
    one.begin().failed("no")
    mock_clock.jump(FIRST_PAUSE)
    probe, beside = one.begin(), one.begin()
    beside.gave_up()
    assert one.state is HealthState.PROBED
    probe.gave_up()
    assert one.state is HealthState.DOWN
    assert one.is_due  # the next client tries
    probe.failed("twice")
    assert one.is_due


async def test_others_may_wait_for_a_probe(autojump_clock: MockClock) -> None:
    for works in (True, False):
        one = health()
        one.begin().failed("no")
        probing, seen = one.begin(), []
        assert one.probe is not None
        probe = one.probe

        async def wait(into: list[bool] = seen, probe: Any = probe) -> None:
            into.append(await probe.wait())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            if works:
                probing.worked()
            else:
                probing.failed("no")
        assert seen == [works, works]


async def test_the_log_says_when_a_server_is_left_out_and_when_it_is_used_again(
    mock_clock: MockClock, logs: Logs
) -> None:
    one = health()
    one.begin().worked()
    one.begin().failed("Connection refused")
    one.begin().failed("Connection refused")
    one.begin().worked()
    assert [(line["log_level"], line["event"], line.get("seconds")) for line in logs] == [
        ("warning", "upstream server is left out", 1.0),
        ("info", "upstream server is left out", 2.0),
        ("warning", "upstream server can be used again", None),
    ]
    assert {line["upstream"] for line in logs} == {"mx1.example:25"}
