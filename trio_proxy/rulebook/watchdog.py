"""An end to code that blocks: a rule that does not give the control back is interrupted where it stands.

Trio runs everything in one thread, so one rule that sleeps, or a regular expression that runs away, would
stop every session. A timer signal, whose handler raises, ends that; it can only be had in the main thread.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from math import inf
from types import FrameType, coroutine
from typing import Any

import attrs

__all__ = ["Blocked", "Watchdog"]


class Blocked(BaseException):
    """Raised inside code that has blocked for too long. No `Exception`, which such code may well catch."""

    def __init__(self, seconds: float, *, computes: bool) -> None:
        super().__init__(f"it has blocked the service for {seconds:g} s")
        self.computes = computes
        """Whether it used the processor all the while. A thread would not help then: one that holds the lock
        of the interpreter, as a regular expression does, stops everything, and no signal gets to it."""


@attrs.define(eq=False)
class Watchdog:
    """Limits how long a piece of code may run without giving the control back."""

    seconds: float
    _used: float = attrs.field(default=0.0, init=False)  # seconds of the processor, when it began
    _after: float = attrs.field(default=0.0, init=False)
    _armed: bool = attrs.field(default=False, init=False)
    _usable: bool = attrs.field(default=False, init=False)

    @contextmanager
    def installed(self) -> Generator[None]:
        """While this lasts, `start` and `stop` work. Else, and out of the main thread, they do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGALRM, self._expired)
        self._usable = True
        try:
            yield
        finally:
            self._usable = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def start(self, most: float = inf) -> None:
        """From here to `stop`, `Blocked` is raised each time that so many seconds have gone by: code that
        catches it and goes on blocking is not let off. ``most`` seconds, if that is less."""
        if self._usable:
            self._armed = True
            self._used = time.thread_time()
            self._after = min(self.seconds, most)
            signal.setitimer(signal.ITIMER_REAL, self._after, self._after)

    def stop(self) -> None:
        self._armed = False
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)

    async def watched(self, coroutine: Coroutine[Any, Any, Any], most: float = inf) -> Any:
        """The result of a coroutine that may wait, but not block, wherever in it."""
        return await _watched(self, coroutine, most)

    def _expired(self, _: int, __: FrameType | None) -> None:
        if self._armed:  # else it has just been stopped
            used = time.thread_time() - self._used
            self._used += used
            # Code that waits uses next to nothing; on a busy machine, code that computes gets little, too.
            raise Blocked(self._after, computes=used > self._after / 20)


@coroutine
def _watched(watchdog: Watchdog, inner: Coroutine[Any, Any, Any], most: float) -> Generator[Any, Any, Any]:
    """Hands on what a framework is asked for, and what it answers; watches what is between."""
    resume: Any = inner.send
    value: Any = None
    while True:
        watchdog.start(most)
        try:
            asked = resume(value)
        except StopIteration as done:
            return done.value
        finally:
            watchdog.stop()
        try:
            value = yield asked
            resume = inner.send
        except BaseException as error:
            value, resume = error, inner.throw
