"""The watch over a client that is not read: it notices when the connection is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

import trio

from .outbox import Outbox

__all__ = ["Watch"]

_SECONDS: Final = 1.0
"""Between two looks. Most times in which a client is not read are shorter and cost no look."""


class Watch:
    """Looks now and then at a client's connection, as long as nobody reads it.

    Who reads a connection learns that it was reset, and so does the reactor. A pump does not read a client
    while a rule thinks, while the server does not take what it was sent, and after the end of its input.
    After that end the kernel says "readable" for ever, so that there is no event to wait for.
    `Stream.is_lost` tells a reset from an end.
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
        client. ``start`` starts the task that looks."""
        self._client = client
        self._lost = lost
        self._is_paused = is_paused
        self._start = start
        self._unread = 0
        self._looks = False

    def begin(self) -> None:
        """The client is not read from now on, as long as it is paused."""
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
