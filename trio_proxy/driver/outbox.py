"""Holds the octets still to be written to a connection, in the core's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from .streams import Stream

__all__ = ["MeteredOutbox", "Outbox"]

_PARTS: Final[type[list[bytes]]] = list
"""Makes a list in a third of the time that ``list[bytes]`` takes."""


@attrs.define(eq=False)
class Outbox:
    """Holds the octets still to be written to one stream, in the core's order.

    `put` adds octets at once; `flush` writes all of them as one. A lock lets only one task write at a time,
    so octets leave in the core's order. A cancelled flush loses nothing.
    """

    stream: Stream
    broken: Exception | None = attrs.field(default=None, init=False)
    """The error after which nothing can be written any more; octets added later are dropped."""
    waiting: bool = attrs.field(default=False, init=False)
    """True if something is still to be written. It is an attribute because it is read after every input."""
    _parts: list[bytes] = attrs.field(factory=_PARTS, init=False)
    _rest: memoryview | None = attrs.field(default=None, init=False)
    _writing: bool = attrs.field(default=False, init=False)
    _lock: trio.Lock | None = attrs.field(default=None, init=False)
    """Made when first needed: it takes half a KiB, and most sessions never need it."""

    @property
    def unwritten(self) -> bytes:
        """The octets still to be written."""
        return b"".join((self._rest or b"", *self._parts))

    def put(self, data: bytes) -> None:
        if data and self.broken is None:
            self._parts.append(data)
            self.waiting = True

    def send(self, data: bytes) -> bool:
        """`put` and `flush_now` in one call, for the usual case that the outbox is empty."""
        if self.waiting or self._writing or self.broken is not None:
            self.put(data)
            return self.flush_now()
        try:
            sent = self.stream.send_now(data)
        except (OSError, trio.ClosedResourceError) as error:
            self._break(error)
            return True
        if sent == len(data):
            return True
        self._rest, self.waiting = memoryview(data)[sent:], True
        return False

    def drop(self) -> None:
        self._parts.clear()
        self._rest = None
        self.waiting = False

    def secure(self, stream: Stream) -> None:
        """From now on writes to this stream, over the same connection. All earlier octets must have been
        written."""
        self.stream = stream

    def lose(self, error: Exception) -> None:
        """The connection is lost: closes it, and drops all that is added from now on."""
        self._break(error)
        self.stream.close()

    def can_wait(self) -> bool:
        """For use after `flush_now` has returned False: asks the stream to tell its reader when there is
        room. Returns False if a task has to `flush`, or already does."""
        return not self._writing and self.stream.when_writable()

    def flush_now(self) -> bool:
        """Writes what can be written without waiting. Returns True if nothing is left. If it returns False,
        await `flush`, or leave the rest to a task that does."""
        if self._writing:
            return False
        try:
            while self.waiting:
                data: bytes | memoryview | None = self._rest
                if data is None:
                    parts, self._parts = self._parts, []  # like `_next`, but saves a call
                    data = parts[0] if len(parts) == 1 else b"".join(parts)
                sent = self.stream.send_now(data)
                if sent < len(data):  # the kernel takes no more
                    self._rest = memoryview(data)[sent:]
                    return False
                self._rest = None
                self.waiting = bool(self._parts)
        except (OSError, trio.ClosedResourceError) as error:
            self._break(error)
        return True

    async def flush(self) -> None:
        """Writes until nothing is left. Waiting here is the back-pressure. Raises nothing but Cancelled."""
        if self.flush_now():
            return
        self._lock = lock = self._lock or trio.Lock()
        async with lock:
            self._writing = True
            try:
                while self.waiting:
                    rest = self._rest = memoryview(self._next())
                    sent = await self.stream.send_some(rest)
                    if self._rest is rest:  # otherwise it was dropped meanwhile
                        self._rest = rest[sent:] if sent < len(rest) else None
                    self.waiting = self._rest is not None or bool(self._parts)
            except (OSError, trio.ClosedResourceError) as error:
                self._break(error)
            finally:
                self._writing = False

    def _next(self) -> bytes | memoryview:
        """All octets to be written next, as one; the caller keeps the unwritten rest in `_rest`."""
        if self._rest is not None:
            return self._rest
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _break(self, error: Exception) -> None:
        self.broken = error
        self.drop()


@attrs.define(eq=False)
class MeteredOutbox(Outbox):
    """The outbox of a client whose replies are counted. Replies that the core decides are counted
    elsewhere."""

    _passed: Callable[[bytes], None]
    """Gets the replies that are passed on unchanged."""

    def send(self, data: bytes) -> bool:
        self._passed(data)
        return super().send(data)
