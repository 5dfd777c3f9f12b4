"""What fails on the machine: no descriptor is left, the disk is full, the clock jumps.

The limits are those of this process, so nothing else may run meanwhile.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import trio
from trio.testing import MockClock

__all__ = ["MACHINE_WAYS", "for_a_while"]

_JUMP: Final = 500.0
"""Seconds: past all time limits of the proxy, and not past the patience of a client."""


@contextmanager
def _no_descriptors(clock: MockClock) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def _no_room(clock: MockClock) -> Generator[None]:
    """No file can become longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _jump(clock: MockClock) -> Generator[None]:
    clock.jump(_JUMP)
    yield


MACHINE_WAYS: Final[Mapping[str, Callable[[MockClock], AbstractContextManager[None]]]] = {
    "descriptors": _no_descriptors,
    "disk": _no_room,
    "clock": _jump,
}


async def for_a_while(way: Callable[[MockClock], AbstractContextManager[None]], clock: MockClock) -> None:
    with way(clock):
        await trio.sleep(30)
