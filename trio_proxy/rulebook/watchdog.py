"""Interrupts rules that block: code that does not give the control back in time gets an exception.

Trio runs all sessions in one thread, so a rule that calls ``time.sleep`` or computes for long would stop all
of them. A timer signal (SIGALRM) interrupts it: Python runs the handler in the main thread, between two
instructions of the code that blocks, and the handler raises `Blocked`. ::

    off ──start──▶ armed ──seconds pass──▶ Blocked is raised; still armed, for code that catches it
     ▲              │
     └────stop──────┘

A function is armed while it is called. A coroutine is armed from each resumption to its next wait, so it may
wait as long as it likes. `Blocked` must not be raised in code of the service, which is
why `stop` clears the flag before the timer: a signal that arrives in between does nothing. Outside of the
main thread there are no signal handlers, and nothing is interrupted.
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
    """Raised inside code that has blocked for too long. It is no `Exception`, because such code often catches
    those."""

    def __init__(self, seconds: float, *, computes: bool) -> None:
        super().__init__(f"it has blocked the service for {seconds:g} s")
        self.computes = computes
        """True if the code used the processor, False if it waited for something. To run code that computes in
        a thread does not help: it may hold the lock of the interpreter, as a regular expression does."""


@attrs.define(eq=False)
class Watchdog:
    """Limits how long a piece of code may run without giving the control back."""

    seconds: float
    """The limit."""
    _used: float = attrs.field(default=0.0, init=False)  # seconds of the processor, when it began
    _after: float = attrs.field(default=0.0, init=False)
    _armed: bool = attrs.field(default=False, init=False)
    _usable: bool = attrs.field(default=False, init=False)

    @contextmanager
    def installed(self) -> Generator[None]:
        """Installs the signal handler. `start` and `stop` do nothing outside of this context, and if it was
        entered in another thread than the main one."""
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
        """Until `stop`, raises `Blocked` each time that `seconds` have passed, or ``most`` seconds if that is
        less. It is raised again in code that catches it and goes on."""
        if self._usable:
            self._armed = True
            self._used = time.thread_time()
            self._after = min(self.seconds, most)
            signal.setitimer(signal.ITIMER_REAL, self._after, self._after)

    def stop(self) -> None:
        """Ends what `start` began."""
        self._armed = False
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)

    async def watched(self, coroutine: Coroutine[Any, Any, Any], most: float = inf) -> Any:
        """Returns the result of a coroutine, which may wait but not block for more than ``most`` seconds."""
        return await _watched(self, coroutine, most)

    def _expired(self, _: int, __: FrameType | None) -> None:
        if self._armed:  # else it has just been stopped
            used = time.thread_time() - self._used
            self._used += used
            # Code that waits uses almost no time of the processor. On a busy machine code that computes gets
            # little of it, so a small share is enough.
            raise Blocked(self._after, computes=used > self._after / 20)


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
