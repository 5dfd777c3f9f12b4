"""What is done with workers: started, drained, killed, replaced. No process is started here."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest

from trio_proxy.workers.supervisor import (
    CALM_SECONDS,
    KILL_SECONDS,
    PATIENCE_SECONDS,
    PAUSES,
    START_SECONDS,
    Action,
    Drain,
    Finish,
    Kill,
    Restarted,
    Say,
    Start,
    Supervisor,
)

GRACE = 30.0


def done(actions: list[Action]) -> list[Action]:
    """Without what is only said."""
    return [action for action in actions if not isinstance(action, Say)]


def serving(count: int = 2) -> Supervisor:
    """With workers from 1 to ``count`` that are ready."""
    supervisor = Supervisor(count, GRACE)
    supervisor.start(0)
    for number in range(1, count + 1):
        supervisor.ready(number, 0)
    assert supervisor.ready_workers == [*range(1, count + 1)]
    return supervisor


def test_the_first_worker_is_tried_alone_and_speaks_for_all() -> None:
    supervisor = Supervisor(3, GRACE)
    assert supervisor.start(0) == [Start(1, is_first=True)]
    assert not supervisor.is_serving
    assert supervisor.ready(1, 0) == [Start(2, is_first=False), Start(3, is_first=False)]
    assert supervisor.is_serving


def test_the_service_ends_if_the_first_worker_cannot_start() -> None:
    supervisor = Supervisor(2, GRACE)
    supervisor.start(0)
    assert supervisor.ended(1, 78, 0) == [Finish(78)]


def test_a_first_worker_that_a_signal_ends() -> None:
    supervisor = Supervisor(1, GRACE)
    supervisor.start(0)
    assert supervisor.ended(1, -11, 0) == [Finish(1)]


def test_a_crashed_worker_is_replaced_at_once_then_with_growing_pauses() -> None:
    supervisor = serving(2)
    now, number = 100.0, 2
    for pause in (*PAUSES, PAUSES[-1]):
        actions = done(supervisor.ended(number, -9, now))
        number += 1
        if pause:
            assert actions == []
            assert supervisor.next_look == now + pause
            assert supervisor.look(now + pause / 2) == []
            actions = supervisor.look(now + pause)
        assert actions == [Start(number, is_first=False)]
        now += pause
        supervisor.ready(number, now)
        assert 1 in supervisor.ready_workers


@pytest.mark.parametrize(
    ("problem", "said"),
    [("my.py:1: no", "my.py:1: no"), ("", "see the lines before this one")],
)
def test_a_replacement_that_could_not_start_has_not_crashed(problem: str, said: str) -> None:
    supervisor = serving(2)
    values: dict[str, Any] = {"worker": 2, "status": "signal 9", "replaced_after": "0 s"}
    assert supervisor.ended(2, -9, 100) == [
        Say("a worker has crashed", "error", values),
        Start(3, is_first=False),
    ]
    values = {"worker": 3, "status": "exit status 78", "replaced_after": "1 s", "problem": said}
    assert supervisor.ended(3, 78, 100, problem) == [Say("a worker could not start", "error", values)]
    assert supervisor.look(101) == [Start(4, is_first=False)]


def test_a_crash_after_a_calm_time_counts_as_the_first() -> None:
    supervisor = serving(1)
    supervisor.ended(1, 1, 0)
    supervisor.ready(2, 0)
    assert done(supervisor.ended(2, 1, CALM_SECONDS)) == [Start(3, is_first=False)]


def test_a_restart_drains_one_for_each_that_is_ready() -> None:
    supervisor = serving(2)
    assert done(supervisor.restart(10)) == [Start(3, is_first=True)]
    assert done(supervisor.ready(3, 11)) == [Drain(1, hurry=False), Start(4, is_first=False)]
    assert done(supervisor.ended(1, 0, 12)) == []
    assert done(supervisor.ready(4, 13)) == [Drain(2, hurry=False), Restarted()]
    assert done(supervisor.ended(2, 0, 14)) == []
    assert supervisor.ready_workers == [3, 4]


def test_a_restart_whose_first_worker_fails_changes_nothing() -> None:
    supervisor = serving(2)
    supervisor.restart(10, 5)
    assert supervisor.ended(3, 78, 11, "my.py:1: no") == [
        Say(
            "the first new worker has not become ready; the old workers go on",
            "error",
            {"status": "exit status 78", "problem": "my.py:1: no"},
        ),
        Restarted("the first new worker has not become ready (exit status 78): my.py:1: no"),
    ]
    assert (supervisor.ready_workers, supervisor.count) == ([1, 2], 2)
    assert done(supervisor.ended(1, -9, 12)) == [Start(4, is_first=False)]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 2)])
def test_a_restart_to_another_number_of_workers(before: int, after: int) -> None:
    supervisor = serving(before)
    actions = supervisor.restart(10, after)
    drained = 0
    while not any(isinstance(action, Restarted) for action in actions):
        number = next(action.number for action in actions if isinstance(action, Start))
        actions = supervisor.ready(number, 10)
        drained += sum(isinstance(action, Drain) for action in actions)
        assert len(supervisor.ready_workers) >= min(before, after)
    assert (len(supervisor.ready_workers), drained) == (after, before)


def test_a_crash_during_a_restart_is_replaced_by_a_new_worker() -> None:
    supervisor = serving(2)
    supervisor.restart(10)
    assert done(supervisor.ended(1, -9, 10)) == []  # the new one is still tried
    assert done(supervisor.ready(3, 11)) == [Start(4, is_first=False)]
    assert done(supervisor.ready(4, 12)) == [Drain(2, hurry=False), Restarted()]


def test_a_restart_before_anything_serves() -> None:
    supervisor = Supervisor(1, GRACE)
    supervisor.start(0)
    assert supervisor.restart(0) == [Restarted("no worker has become ready since the last start")]


def test_stop_drains_all_and_finishes_with_the_last() -> None:
    supervisor = serving(2)
    supervisor.restart(5)
    assert done(supervisor.stop(10)) == [
        Restarted("the service is about to end"),
        *(Drain(number, hurry=True) for number in (1, 2, 3)),
    ]
    assert not supervisor.is_serving
    assert supervisor.stop(11) == []
    assert supervisor.restart(11) == [Restarted("the service is about to end")]
    assert supervisor.ready(3, 11) == []
    assert supervisor.ended(1, 0, 12) == []
    assert supervisor.ended(3, 0, 12) == []
    assert supervisor.ended(2, -9, 12) == [Finish(0)]


def test_stop_and_quit_where_no_worker_is_left() -> None:
    supervisor = serving(1)
    supervisor.ended(1, 1, 0)
    supervisor.ended(2, 1, 0)
    assert done(supervisor.stop(0)) == [Finish(0)]
    assert done(supervisor.quit(0, 130)) == [Finish(130)]


def test_quit_kills_all() -> None:
    supervisor = serving(2)
    supervisor.stop(0)
    assert supervisor.quit(1, 130) == [Kill(1), Kill(2)]
    supervisor.ended(1, -9, 1)
    assert supervisor.ended(2, -9, 1) == [Finish(130)]


def test_a_worker_that_does_not_get_ready_is_killed_once() -> None:
    supervisor = Supervisor(1, GRACE)
    supervisor.start(0)
    assert supervisor.next_look == START_SECONDS
    assert done(supervisor.look(START_SECONDS)) == [Kill(1)]
    assert supervisor.look(START_SECONDS + 1) == []


def test_a_worker_that_does_not_end_is_killed() -> None:
    supervisor = serving(1)
    supervisor.stop(100)
    last = 100 + GRACE + KILL_SECONDS
    assert supervisor.look(last - 1) == []
    assert done(supervisor.look(last)) == [Kill(1)]


def test_a_replaced_worker_has_its_patience_and_its_own_grace_period() -> None:
    supervisor = serving(1)
    supervisor.restart(100)
    supervisor.ready(2, 100, grace=200)
    last = 100 + PATIENCE_SECONDS + GRACE + KILL_SECONDS
    assert supervisor.next_look == last
    assert supervisor.look(last - 1) == []
    assert done(supervisor.look(last)) == [Kill(1)]
    supervisor.restart(1000)
    supervisor.ready(3, 1000)
    assert supervisor.next_look == 1000 + PATIENCE_SECONDS + 200 + KILL_SECONDS
    supervisor.stop(1001)  # it is not patient any more
    assert supervisor.next_look == 1001 + GRACE + KILL_SECONDS
    supervisor.ended(3, 0, 1002)
    assert supervisor.next_look == 1001 + 200 + KILL_SECONDS


def test_a_worker_that_is_silent_is_killed_and_replaced() -> None:
    supervisor = Supervisor(1, GRACE, silence=5)
    supervisor.start(0)
    supervisor.ready(1, 0)
    supervisor.heard(1, 3)
    supervisor.heard(9, 3)  # it is no longer known
    assert supervisor.look(5) == []
    assert done(supervisor.look(8)) == [Kill(1)]
    assert done(supervisor.ended(1, -9, 8)) == [Start(2, is_first=False)]


@attrs.define
class World:
    """Workers that do what they are told, sooner or later, or fail."""

    random: random.Random
    supervisor: Supervisor
    now: float = 0
    states: dict[int, str] = attrs.field(factory=dict[int, str])
    finished: bool = False
    restarts: int = 0

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.finished
            match action:
                case Start(number):
                    self.states[number] = "starting"
                case Drain(number):
                    self.states[number] = "draining"
                case Kill(number):
                    self.states[number] = "dead"
                case Restarted():
                    self.restarts -= 1
                case Finish():
                    self.finished = True
                case _:
                    pass

    def step(self) -> None:
        self.now += self.random.choice((0, 0.1, 1, 10))
        self.do(self.supervisor.look(self.now))
        number = self.random.choice([*self.states])
        if self.states[number] == "starting" and self.random.random() < 0.8:
            self.states[number] = "ready"
            self.do(self.supervisor.ready(number, self.now))
        elif self.states[number] in ("draining", "dead") or self.random.random() < 0.1:
            del self.states[number]
            self.do(self.supervisor.ended(number, self.random.choice((0, 1, -9)), self.now))


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_service_serves_again_and_ends_when_asked(seed: int) -> None:
    world = World(random.Random(seed), Supervisor(1 + seed % 3, GRACE))
    world.do(world.supervisor.start(0))
    world.states[1] = "ready"
    world.do(world.supervisor.ready(1, 0))
    for _ in range(300):
        if world.random.random() < 0.05:
            world.restarts += 1
            count = world.random.randint(1, 4)
            world.do(world.supervisor.restart(world.now, count))
        if not world.states:
            world.now = max(world.now, world.supervisor.next_look)
            world.do(world.supervisor.look(world.now))
        world.step()
    for _ in range(1_000):
        world.now += 1
        world.do(world.supervisor.look(world.now))
        for number, state in [*world.states.items()]:
            if state == "starting":
                world.states[number] = "ready"
                world.do(world.supervisor.ready(number, world.now))
            elif state != "ready":
                del world.states[number]
                world.do(world.supervisor.ended(number, 0, world.now))
        if world.restarts == 0 and len(world.supervisor.ready_workers) == world.supervisor.count:
            break
    assert world.restarts == 0
    assert len(world.supervisor.ready_workers) == world.supervisor.count
    world.do(world.supervisor.stop(world.now))
    for number in [*world.states]:
        world.do(world.supervisor.ended(number, 0, world.now))
    assert world.finished
