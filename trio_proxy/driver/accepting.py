"""Waits for the clients of a listener: with a task, or without one in the reactor (`Reactor.accept`)."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

__all__ = ["Accept", "Take", "accept_by_task"]

Take: TypeAlias = Callable[[], bool]
"""Accepts a client, if one is waiting. Returns False if none is. An exception ends the waiting."""
Accept: TypeAlias = Callable[[socket.socket, Take], Awaitable[None]]
"""Takes each client of this listener until it is cancelled."""

_CLIENTS_A_TURN: Final = 32


async def accept_by_task(listener: socket.socket, take: Take) -> None:
    """Waits for the listener as Trio does."""
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(_CLIENTS_A_TURN):
            if not take():
                break
