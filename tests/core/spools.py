"""A spool in memory, which can be made to fail."""

from __future__ import annotations


class MemorySpool:
    """What a driver gives: here a bytearray. ``room``: octets that fit."""

    def __init__(self, room: int = 1 << 30, readable: bool = True) -> None:
        self.octets = b""
        self.room = room
        self.readable = readable
        self.closed = False

    def write(self, data: bytes) -> None:
        if len(self.octets) + len(data) > self.room:
            raise OSError("no space left")
        self.octets += data

    def read(self, start: int, count: int) -> bytes:
        if not self.readable:
            raise OSError("input/output error")
        return self.octets[start : start + count]

    def view(self) -> memoryview:
        return memoryview(self.octets)

    def close(self) -> None:
        self.closed = True


class MemoryRoom:
    """A `Room` of so many octets."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def take(self, octets: int) -> bool:
        if self.taken + octets > self.most:
            return False
        self.taken += octets
        return True

    def give(self, octets: int) -> None:
        self.taken -= octets
