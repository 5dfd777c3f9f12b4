"""Interrupts rules that block: code that does not return control in time gets an exception.

Trio runs all sessions in one thread, so a rule that calls ``time.sleep`` or computes for long would stop all
sessions. A timer signal (SIGALRM) interrupts it: Python runs the handler in the main thread, between two
instructions of the code that blocks, and the handler raises `Blocked`. ::

    off ──start──▶ armed ──seconds pass──▶ Blocked is raised; still armed, for code that catches it
     ▲              │
     └────stop──────┘

A function is armed while it is called. A coroutine is armed from each resumption to its next wait, so it may
wait as long as it likes. `Blocked` must not be raised in code of the service: `stop` clears the flag, and a
signal that arrives then does nothing. Outside of the main thread there are no signal handlers, and nothing is
interrupted.

The timer is not set for each call of a rule. Nearly all calls take microseconds, but two system calls and
reading the CPU time took 3 µs each time. So the timer runs on after `stop`. If it fires while another piece
of code is armed, it is set again for the rest of that code's time.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from math import inf
from types import FrameType, coroutine
from typing import Any, Final

import attrs

__all__ = ["Blocked", "Watchdog"]

_SHORT: Final = 0.001
"""The seconds by which the timer may fire early, because clocks differ."""


class Blocked(BaseException):
    """Raised inside code that has blocked for too long. It is not an `Exception`, because such code often
    catches `Exception`."""

    def __init__(self, seconds: float, *, computes: bool) -> None:
        super().__init__(f"it has blocked the service for {seconds:g} s")
        self.computes = computes
        """True if the code used the processor, False if it waited for something. For code that computes, a
        thread does not help: it may hold the lock of the interpreter, as a regular expression does."""


@attrs.define(eq=False)
class Watchdog:
    """Limits how long a piece of code may run without returning control."""

    seconds: float
    """The limit."""
    _after: float = attrs.field(default=0.0, init=False)
    """The limit of the armed code."""
    _until: float = attrs.field(default=0.0, init=False)
    """The time at which this limit is over."""
    _rings: float = attrs.field(default=inf, init=False)
    """The time at which the timer fires next; infinity if it does not run."""
    _set: float = attrs.field(default=0.0, init=False)  # when it was set,
    _used: float = attrs.field(default=0.0, init=False)  # and the CPU seconds at that time
    _armed: bool = attrs.field(default=False, init=False)
    _usable: bool = attrs.field(default=False, init=False)

    @contextmanager
    def installed(self) -> Generator[None]:
        """Installs the signal handler. `start` and `stop` do nothing outside this context, or if it was
        entered outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGALRM, self._expired)
        self._usable = True
        try:
            yield
        finally:
            self._usable = False
            self._rings = inf
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def start(self, most: float = inf) -> None:
        """Until `stop`, raises `Blocked` each time that `seconds` have passed, or ``most`` seconds if that is
        less. It is raised again in code that catches it and goes on."""
        if self._usable:
            self._after = min(self.seconds, most)
            self._until = time.monotonic() + self._after
            self._armed = True  # set before the timer is checked, because it may fire at any time
            if self._until < self._rings:
                self._set_timer(self._after)

    def stop(self) -> None:
        """Ends the watch that `start` began."""
        self._armed = False

    async def watched(self, coroutine: Coroutine[Any, Any, Any], most: float = inf) -> Any:
        """Returns the result of a coroutine, which may wait but not block for more than ``most`` seconds."""
        return await _watched(self, coroutine, most)

    def _set_timer(self, seconds: float) -> None:
        self._set = time.monotonic()
        self._used = time.thread_time()
        self._rings = self._set + seconds
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _expired(self, _: int, __: FrameType | None) -> None:
        self._rings = inf
        if not self._armed:  # it has been stopped, and nothing was started since
            return
        now = time.monotonic()
        if self._until - now > _SHORT:  # the timer was set for something else
            # Never so short that no use of CPU time can be measured.
            self._set_timer(max(self._until - now, self._after / 10))
            return
        used, passed = time.thread_time() - self._used, now - self._set
        self._until = now + self._after
        self._set_timer(self._after)
        # Code that waits uses almost no CPU time. On a busy machine computing code gets little of it too, so
        # a small share is enough.
        raise Blocked(self._after, computes=used > passed / 20)


@coroutine
def _watched(watchdog: Watchdog, inner: Coroutine[Any, Any, Any], most: float) -> Generator[Any, Any, Any]:
    """Passes each request of a coroutine to Trio and Trio's answer back; the watchdog runs in between."""
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
