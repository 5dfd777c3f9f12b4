"""The inbox of an end: octets that have arrived and are not yet parsed."""

from __future__ import annotations

import attrs

__all__ = ["Inbox"]


@attrs.define
class Inbox:
    """A queue of octets that gives lines or counted octets.

    A segment that arrives at an empty inbox is kept as it is, without a copy; that is the usual
    case. Nothing is searched twice, nothing is moved once for each line.
    """

    empty: bool = attrs.field(default=True, init=False)
    """Kept beside the length because it is asked for before every step."""
    _data: bytes | bytearray = attrs.field(default=b"", init=False, repr=False)
    _start: int = attrs.field(default=0, init=False)
    _searched: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        if self.empty:
            self._data, self._start, self._searched = data, 0, 0
            self.empty = not data
            return
        if self._start or not isinstance(self._data, bytearray):
            self._data = bytearray(memoryview(self._data)[self._start :])
            self._searched -= self._start
            self._start = 0
        self._data += data

    def next_line(self) -> bytes | None:
        """The next line with its LF, whatever stands before it; None if there is none yet."""
        end = self._data.find(b"\n", self._searched) + 1
        if not end:
            self._searched = len(self._data)
            return None
        line = bytes(self._data[self._start : end])
        self._start = self._searched = end
        self.empty = end == len(self._data)
        return line

    def take(self, count: int | None = None) -> bytes:
        """At most ``count`` octets, or all that are there."""
        start, end = self._start, len(self._data)
        if count is not None and count < end - start:
            end = start + count
        taken = self._data if start == 0 and end == len(self._data) else self._data[start:end]
        if end == len(self._data):
            self._data, end, self.empty = b"", 0, True
        self._start = self._searched = end
        return bytes(taken)

    def head(self) -> bytes:
        """The first octets, for a log."""
        return bytes(self._data[self._start : self._start + 64])

    def peek(self) -> int | None:
        """The first octet."""
        return None if self.empty else self._data[self._start]
