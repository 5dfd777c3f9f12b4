"""The timer of the watchdog, with a clock and signals of the test: it is set seldom, and late by little."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trio_proxy.rulebook import watchdog as module
from trio_proxy.rulebook.watchdog import Blocked, Watchdog


class Clock:
    """The time, the time of the processor, and what the timer was set to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.used = 5.0
        self.timer: list[float] = []
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "thread_time", lambda: self.used)
        monkeypatch.setattr(module.signal, "setitimer", lambda _which, seconds: self.timer.append(seconds))

    def ring(self, after: float, *, used: float = 0.0) -> None:
        self.now += after
        self.used += used
        signal.raise_signal(signal.SIGALRM)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@contextmanager
def blocked() -> Iterator[list[bool]]:
    """Notes if the code is said to compute."""
    computes: list[bool] = []
    with pytest.raises(Blocked) as caught:
        yield computes
    computes.append(caught.value.computes)


def test_many_calls_set_the_timer_once(clock: Clock) -> None:
    dog = Watchdog(2)
    with dog.installed():
        for _ in range(100):
            dog.start()
            clock.now += 0.001
            dog.stop()
        assert clock.timer == [2]
        clock.ring(2)
        assert clock.timer == [2], "nothing is armed"
        dog.start()
        assert clock.timer == [2, 2]
        dog.stop()


def test_it_rings_in_code_that_has_blocked_all_the_time(clock: Clock) -> None:
    dog = Watchdog(2)
    with dog.installed():
        dog.start()
        with blocked() as computes:
            clock.ring(2, used=0.2)
        assert computes == [True]
        with blocked() as computes:  # it has caught that, and goes on
            clock.ring(2, used=0.01)
        assert computes == [False]
        assert clock.timer == [2, 2, 2]
        dog.stop()


@pytest.mark.parametrize(("before", "left"), [(0.5, 0.5), (1.99, 1.99), (0.01, 0.2)])
def test_it_rings_in_code_that_began_later(clock: Clock, before: float, left: float) -> None:
    """Then the code gets the rest of its time; and never so little that it cannot be seen if it computes."""
    dog = Watchdog(2)
    with dog.installed():
        dog.start()
        dog.stop()
        clock.now += before
        dog.start()
        clock.ring(2 - before)
        assert clock.timer == [2, pytest.approx(left)]
        with blocked() as computes:
            clock.ring(left, used=left / 10)
        assert computes == [True]
        dog.stop()


def test_code_with_less_time_sets_the_timer_again(clock: Clock) -> None:
    dog = Watchdog(2)
    with dog.installed():
        dog.start()
        dog.stop()
        dog.start(0.5)
        assert clock.timer == [2, 0.5]
        dog.stop()
        dog.start(60)
        assert clock.timer == [2, 0.5]
        clock.ring(0.5)
        assert clock.timer == [2, 0.5, 1.5]
        dog.stop()


def test_nothing_is_raised_in_code_of_the_service(clock: Clock) -> None:
    dog = Watchdog(2)
    with dog.installed():
        dog.start()
        dog.stop()
        clock.ring(7)
    dog.start()
    assert clock.timer == [2, 0], "it ends with its context"
