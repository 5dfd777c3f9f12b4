"""Keeps a message until its verdict: in memory, or in a `Spool` if it is too large for memory. The message is
kept in decoded form. An edit of the header section does not copy a large body: the new header section is kept
in memory, and the unedited rest stays in the spool::

                as it came              after ``replace(head, rest=offset)``

    small       [ head ]                [ head ]
    large       [ spool          ]      [ head ] + [ (unused) | rest of the spool ]
                                                              ^ offset

`wire` gives both in wire form, in pieces, and releases the store. What must never happen is that a message
counts as kept but is not on disk: so the caller gets every error of the spool (OSError), and answers 451.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import attrs

from sansio_smtp.wire.content import ContentWriter, canonical
from sansio_smtp.wire.violations import RemoteProtocolError

__all__ = ["MessageStore", "Room", "Spool"]

_PIECE: Final = 65_536
"""The number of octets that are read from a spool at once."""


class Spool(Protocol):
    """A store of the driver for one large message, such as a temporary file."""

    def write(self, data: bytes) -> None:
        """Adds octets at the end. Raises OSError."""

    def read(self, start: int, count: int) -> bytes:
        """At most ``count`` octets from the offset ``start`` on; fewer at the end. Raises OSError."""
        ...

    def view(self) -> memoryview:
        """All octets that were written, for rules to read. Raises OSError."""
        ...

    def close(self) -> None:
        """Releases the octets, which are not needed any more. Raises nothing."""


class Room(Protocol):
    """The memory that all sessions share for kept messages."""

    def take(self, octets: int) -> bool:
        """Takes ``octets``. Returns False, and takes none, if there are fewer."""
        ...

    def give(self, octets: int) -> None:
        """Gives back ``octets`` that were taken."""


@attrs.define(eq=False)
class MessageStore:
    """One message in decoded form. At most ``limit`` octets are kept in memory, and only as long as there is
    ``room``; a larger message needs ``make_spool``."""

    limit: int
    make_spool: Callable[[], Spool] | None = None
    binary: bool = False
    """True for a message without lines: it is kept unchanged, to be sent in chunks."""
    room: Room | None = None
    crowded: bool = attrs.field(default=False, init=False)
    """True if it could not be kept because there was no room."""
    size: int = attrs.field(default=0, init=False)
    """The number of octets of the outgoing message, after an edit."""
    _head: bytes | bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _taken: int = attrs.field(default=0, init=False)  # octets of the room
    _spool: Spool | None = attrs.field(default=None, init=False)
    _spooled: int = attrs.field(default=0, init=False)  # number of octets in the spool
    _start: int = attrs.field(default=0, init=False)  # offset in the spool at which the unedited rest begins

    @property
    def buffered(self) -> int:
        """Number of octets in memory."""
        return len(self._head)

    def add(self, data: bytes) -> bool:
        """Adds octets. Returns False if the message is larger than may be kept. Raises OSError."""
        self.size += len(data)
        if self._spool is None:
            fits = len(self._head) + len(data) <= self.limit
            if fits and self._take(len(data)):
                self._head += data
                return True
            if self.make_spool is None:
                self.crowded = fits
                return False
            self._spool = self.make_spool()
            data, self._head = bytes(self._head) + data, b""
            self._give_back()
        self._spool.write(data)
        self._spooled += len(data)
        return True

    def finish(self) -> bytes | memoryview:
        """The whole message, for its question. Adds a CRLF if it does not end in one and is not empty, unless
        it is binary. A memoryview if it is in a spool. Raises OSError."""
        ends = self.binary or not self._head or self._head.endswith(b"\r\n")
        if self._spool is None and not ends:
            self.add(b"\r\n")  # this may make it too large
        if self._spool is None:
            self._head = bytes(self._head)
            return self._head
        if not self.binary and self._spool.read(self._spooled - 2, 2) != b"\r\n":
            self.add(b"\r\n")
        return self._spool.view()

    def replace(self, data: bytes, rest: int | None) -> None:
        """Replaces the octets before the offset ``rest``; all octets if it is None."""
        head = data if self.binary else canonical(data)
        if head and not self.binary and not head.endswith(b"\r\n"):
            head += b"\r\n"
        if rest is None or rest >= self.size:
            self.close()
            self._head = head
        elif self._spool is None:
            self._head = head + self._head[rest:]
        else:
            self._head, self._start = head, rest
        self._give_back()
        self._take(len(self._head))  # a kept message must not be lost because there is no room for an edit
        self.size = len(self._head) + self._spooled - self._start

    @property
    def spooled(self) -> bool:
        """True if the message is in a spool, so that it is sent in many pieces."""
        return self._spool is not None

    def pieces(self) -> Iterator[bytes]:
        """The outgoing octets in decoded form: in one piece from memory, in many from a spool. Raises
        OSError."""
        if self._head:
            yield bytes(self._head)
        if self._spool is not None:
            for at in range(self._start, self._spooled, _PIECE):
                yield self._spool.read(at, _PIECE)

    def unsendable(self) -> RemoteProtocolError | None:
        """The reason why the message must not be sent: it holds a line of NULs and one dot, which
        dot-stuffing does not make safe. None if it may be sent. Raises OSError."""
        if self.binary or not any(b"\0" in piece for piece in self.pieces()):
            return None
        writer = ContentWriter()
        for piece in self.pieces():
            writer.feed(piece)
            if writer.error is not None:
                return writer.error
        return None

    def wire(self) -> Iterator[bytes]:
        """The outgoing octets without end-of-data, in pieces: in wire form, or unchanged if the message is
        binary. Can be used once: then the store is empty. Raises OSError."""
        writer = ContentWriter()
        for piece in self.pieces():
            if self.binary:
                yield from (piece[at : at + _PIECE] for at in range(0, len(piece), _PIECE))
            else:
                yield writer.feed(piece)
        self.close()

    def close(self) -> None:
        """Releases the message."""
        self._head = b""
        self._spooled = self._start = 0
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._give_back()

    def __del__(self) -> None:
        """Gives the room back, however the session has ended."""
        if self._taken and self.room is not None:
            self.room.give(self._taken)

    def _take(self, octets: int) -> bool:
        if self.room is not None:
            if not self.room.take(octets):
                return False
            self._taken += octets
        return True

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        if taken and self.room is not None:
            self.room.give(taken)
