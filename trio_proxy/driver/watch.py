"""Notices that the connection of a client is lost while the client is not read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

import trio

from .outbox import Outbox

__all__ = ["Watch"]

_SECONDS: Final = 1.0
"""The seconds between two checks. A client is usually read again before the first check."""


class Watch:
    """Checks a client's connection from time to time, as long as no task reads it.

    A read notices a reset, and so does the reactor. But a pump does not read a client while a rule runs,
    while the server does not take its input, and after the end of the client's input. After that end the
    kernel reports "readable" for ever, so there is no event to wait for. `Stream.is_lost` distinguishes a
    reset from an end.
    """

    __slots__ = ("_client", "_is_paused", "_looks", "_lost", "_start", "_unread")

    def __init__(
        self,
        client: Outbox,
        lost: Callable[[OSError], None],
        is_paused: Callable[[], bool],
        start: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        """``lost`` is called once, if the connection is lost. ``is_paused`` returns True if no task reads the
        client. ``start`` starts the task that checks."""
        self._client = client
        self._lost = lost
        self._is_paused = is_paused
        self._start = start
        self._unread = 0
        self._looks = False

    def begin(self) -> None:
        """Begins to watch: the client is not read while it is paused."""
        if not self._looks:
            self._looks = True
            self._start(self._look)

    @contextmanager
    def unread(self) -> Generator[None]:
        """The client is not read within this block."""
        self._unread += 1
        self.begin()
        try:
            yield
        finally:
            self._unread -= 1

    async def _look(self) -> None:
        while True:
            await trio.sleep(_SECONDS)
            if not self._unread and not self._is_paused():
                break
            if self._client.broken is not None or self._client.stream.is_lost():
                self._lost(ConnectionResetError("the client has reset its connection"))
                break
        self._looks = False
