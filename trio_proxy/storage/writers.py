"""Writes messages to disk in separate threads, which no rule and no other work can use up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio
from trio.lowlevel import RunVar

__all__ = ["write_in_thread"]

T = TypeVar("T")

_THREADS: Final = 64
_limiter: RunVar[trio.CapacityLimiter] = RunVar("limiter of the threads that write messages")


async def write_in_thread(write: Callable[[], T]) -> T:
    """Returns or raises what ``write`` does. Waits for it even if cancelled, so that a message is never
    written in part."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(write, limiter=limiter)
