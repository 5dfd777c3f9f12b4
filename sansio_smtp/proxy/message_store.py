"""A message that is kept until its verdict: in memory, and where it is too large for that, in a `Spool`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import attrs

from sansio_smtp.wire.content import ContentWriter, canonical
from sansio_smtp.wire.violations import RemoteProtocolError

__all__ = ["Held", "Spool"]

_PIECE: Final = 65_536


class Spool(Protocol):
    """Where the driver lets large messages be kept, such as a temporary file. Made for one message."""

    def write(self, data: bytes) -> None:
        """Adds octets. Raises OSError."""

    def read(self, start: int, count: int) -> bytes:
        """So many octets from there on, fewer at the end. Raises OSError."""
        ...

    def view(self) -> memoryview:
        """All that was written, for rules to look at. Raises OSError."""
        ...

    def close(self) -> None:
        """Nobody looks at it any more. Raises nothing."""


@attrs.define(eq=False)
class Held:
    """Decoded octets. ``limit`` of them are kept in memory; more need ``make_spool``."""

    limit: int
    make_spool: Callable[[], Spool] | None = None
    size: int = attrs.field(default=0, init=False)
    """Of the message as it will leave."""
    _head: bytes | bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _spool: Spool | None = attrs.field(default=None, init=False)
    _spooled: int = attrs.field(default=0, init=False)  # octets in the spool
    _start: int = attrs.field(default=0, init=False)  # where in the spool it is that the head is followed

    @property
    def buffered(self) -> int:
        """Octets in memory."""
        return len(self._head)

    def add(self, data: bytes) -> bool:
        """Adds octets; False if they are more than may be kept. Raises OSError."""
        self.size += len(data)
        if self._spool is None:
            self._head += data
            if len(self._head) <= self.limit:
                return True
            if self.make_spool is None:
                return False
            self._spool = self.make_spool()
            data, self._head = bytes(self._head), b""
        self._spool.write(data)
        self._spooled += len(data)
        return True

    def finish(self) -> bytes | memoryview:
        """All of it, ending in CRLF if there is anything. Raises OSError."""
        if self._spool is None and self._head and not self._head.endswith(b"\r\n"):
            self.add(b"\r\n")  # which may be what makes it too large
        if self._spool is None:
            self._head = bytes(self._head)
            return self._head
        if self._spool.read(self._spooled - 2, 2) != b"\r\n":
            self.add(b"\r\n")
        return self._spool.view()

    def replace(self, data: bytes, rest: int | None) -> None:
        """Puts other octets in the place of those before ``rest``, or of all."""
        head = canonical(data)
        if head and not head.endswith(b"\r\n"):
            head += b"\r\n"
        if rest is None or rest >= self.size:
            self.close()
            self._head = head
        elif self._spool is None:
            self._head = head + self._head[rest:]
        else:
            self._head, self._start = head, rest
        self.size = len(self._head) + self._spooled - self._start

    @property
    def spooled(self) -> bool:
        """Whether it leaves in many pieces, for it is not in memory."""
        return self._spool is not None

    def pieces(self) -> Iterator[bytes]:
        """The octets as they will leave, in pieces; in memory, in one. Raises OSError."""
        if self._head:
            yield bytes(self._head)
        if self._spool is not None:
            for at in range(self._start, self._spooled, _PIECE):
                yield self._spool.read(at, _PIECE)

    def unsendable(self) -> RemoteProtocolError | None:
        """Why it must not be sent, in spite of dot-stuffing: a line of NULs and a dot. Raises OSError."""
        if not any(b"\0" in piece for piece in self.pieces()):
            return None
        writer = ContentWriter()
        for piece in self.pieces():
            writer.feed(piece)
            if writer.error is not None:
                return writer.error
        return None

    def wire(self) -> Iterator[bytes]:
        """The octets in wire form, without end-of-data, in pieces. Once. Raises OSError."""
        writer = ContentWriter()
        for piece in self.pieces():
            yield writer.feed(piece)
        self.close()

    def close(self) -> None:
        """Forgets all."""
        self._head = b""
        self._spooled = self._start = 0
        if self._spool is not None:
            self._spool.close()
            self._spool = None
