"""The inbox of an end: octets that have arrived but are not parsed yet."""

from __future__ import annotations

import attrs

__all__ = ["Inbox"]


@attrs.define
class Inbox:
    """A queue of octets from which lines, or a number of octets, are taken.

    A segment that arrives at an empty inbox, the usual case, is kept without a copy. No octet is searched
    twice, and taking a line moves no octets.
    """

    empty: bool = attrs.field(default=True, init=False)
    """True if no octet is left. It is an attribute because it is read before every step."""
    _data: bytes | bytearray = attrs.field(default=b"", init=False, repr=False)
    _start: int = attrs.field(default=0, init=False)
    _searched: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Adds octets at the end."""
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
        """Takes the next line: all octets up to LF, and the LF. None if there is no LF yet."""
        end = self._data.find(b"\n", self._searched) + 1
        if not end:
            self._searched = len(self._data)
            return None
        line = bytes(self._data[self._start : end])
        self._start = self._searched = end
        self.empty = end == len(self._data)
        return line

    def take(self, count: int | None = None) -> bytes:
        """Takes at most ``count`` octets; all octets if it is None."""
        start, end = self._start, len(self._data)
        if count is not None and count < end - start:
            end = start + count
        taken = self._data if start == 0 and end == len(self._data) else self._data[start:end]
        if end == len(self._data):
            self._data, end, self.empty = b"", 0, True
        self._start = self._searched = end
        return bytes(taken)

    def head(self) -> bytes:
        """The first 64 octets, for a log. They stay in the inbox."""
        return bytes(self._data[self._start : self._start + 64])

    def peek(self) -> int | None:
        """The first octet, which stays in the inbox; None if there is none."""
        return None if self.empty else self._data[self._start]
