"""`SharedCounts`: the counts of all workers together, in memory that the parent makes and all workers map.

A limit holds for the whole service, whichever worker a client reaches. Messages between workers would come
too late, or cost each client a round trip. So each worker writes its counts where all can read them, and adds
up the counts of the others: 5 to 10 µs for a connection, nothing for a command or a message. There is no
lock, so a worker that hangs blocks no other::

              totals                           networks: sets of 8 entries
              clients  held                    key        full again at (for each of three rates)
    row 0        12    65536            0     9f3a...     5021.5   5020.1   4999.0
    row 1         7        0            1     (free)
    ...                                 ...
                                               open: connections, for each row and each entry
                                        row 0      0   12    3    0 ...
                                        row 1      1    4    0    0 ...

*Rows* have one writer each: the worker that got the row from the parent. The parent clears the row of a
worker that has ended for any reason. While workers are replaced, old and new ones have separate rows, and all
of them count.

*Buckets* have many writers. A bucket is one number, the time at which it is full again (`Rate`). A worker
reads, changes and writes it as one aligned word. Tokens that another worker takes between reading and writing
are not counted: a rate may be exceeded slightly, but no client is refused wrongly. The time comes from the
system's monotonic clock, which is the same for all processes.

*Entries* are found by a keyed hash of 128 bits of the network, so two networks never share one, and the
memory holds no address. The hash selects the set. If the set has no entry with this hash, an entry without
connections is reused: the one whose buckets have been full for the longest time. If all entries have
connections, each worker counts the network alone, which errs in favour of the client. If two workers take the
same entry at the same time for two networks, they notice it at the next search for their network, and take
another entry; until then a count may be off by one.

Checking and counting are two steps, so workers that accept at the same moment may exceed a limit of
connections or memory by one use each.

The memory begins with a mark of its layout. A worker of a version that does not know this layout counts
alone, and so does a worker without a row; the log says so.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from functools import lru_cache, partial
from typing import Final, TypeAlias

from .rates import Buckets, Rate

__all__ = ["BUCKETS", "Entry", "SharedBuckets", "SharedCounts", "SharedMemory", "Total", "UnknownLayout"]

LAYOUT: Final = b"smtp-proxy limits 1\n".ljust(32)
"""Change this with every change of the layout below."""
_ROWS: Final = struct.Struct("=Q")
_SECRET: Final = 16
_HEAD: Final = 64
"""The mark of the layout, the number of rows, the secret of the hash."""
BUCKETS: Final = 3
"""The entry of a network."""
_TOTALS: Final = 2
"""The numbers in a row of totals: clients, octets held."""
_WAYS: Final = 8
"""Entries of a set."""
_ENTRIES: Final = _WAYS * 8_192
_KEY: Final = 16
_FREE: Final = bytes(_KEY)
"""The key of an unused entry; no hash is 0."""
_KNOWN: Final = 4_096
"""The number of networks whose hash is cached."""


Entry: TypeAlias = int | bytes
"""The number of an entry; or the network itself, if there is no place for it and this worker counts it
alone."""


class UnknownLayout(Exception):
    """Another version of the program made the memory, and this version does not know its layout."""


class SharedMemory:
    """The memory itself. Its pages use real memory only when they are written."""

    def __init__(self, descriptor: int) -> None:
        """Maps the memory of this descriptor, which still belongs to the caller. Raises `UnknownLayout` if
        the layout is not known, and OSError."""
        from hashlib import blake2b  # imported late: it loads OpenSSL, and a single process hashes nothing

        size = os.fstat(descriptor).st_size
        if size < _HEAD:
            raise UnknownLayout
        self._map = mmap.mmap(descriptor, size)
        self.rows = self._head(self._map, size)
        at = _HEAD + 8
        view = memoryview(self._map)
        self.hash = partial(blake2b, digest_size=_KEY, key=bytes(view[_HEAD - _SECRET : _HEAD]))
        self.used = view[_HEAD:at].cast("Q")
        """The number of the first row that was never given to a worker."""
        at, self.totals = at + self.rows * _TOTALS * 8, view[at : at + self.rows * _TOTALS * 8].cast("Q")
        at, self.full_at = at + _ENTRIES * BUCKETS * 8, view[at : at + _ENTRIES * BUCKETS * 8].cast("d")
        self.keys_at = at
        at += _ENTRIES * _KEY
        self.open = view[at : at + self.rows * _ENTRIES * 4].cast("I")

    @classmethod
    def create(cls, rows: int) -> tuple[int, SharedMemory]:
        """New memory for so many workers, and the descriptor with which they map it. Raises OSError."""
        descriptor = _anonymous()
        try:
            os.ftruncate(descriptor, _size(rows))
            os.pwrite(descriptor, LAYOUT + _ROWS.pack(rows), 0)
            os.pwrite(descriptor, os.urandom(_SECRET), _HEAD - _SECRET)
            return descriptor, cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @staticmethod
    def _head(octets: mmap.mmap, size: int) -> int:
        """The number of rows."""
        (rows,) = _ROWS.unpack_from(octets, len(LAYOUT))
        if octets[: len(LAYOUT)] != LAYOUT or size != _size(rows):
            raise UnknownLayout
        return int(rows)

    def find(self, key: bytes, first: int) -> int | None:
        """The entry with this key, in the set that begins with the entry ``first``."""
        start = self.keys_at + first * _KEY
        at = self._map.find(key, start, start + _WAYS * _KEY)
        # Rounded up: the zeros found for a free entry may begin at the end of the key before it.
        return None if at < 0 else -((self.keys_at - at) // _KEY)

    def assign(self, entry: int, key: bytes) -> None:
        """Gives this entry to this key, with full buckets."""
        for bucket in range(entry * BUCKETS, (entry + 1) * BUCKETS):
            self.full_at[bucket] = 0.0
        at = self.keys_at + entry * _KEY
        self._map[at : at + _KEY] = key

    def connections(self, entry: int) -> int:
        """The connections of all workers together."""
        return sum(self.open[entry : self.used[0] * _ENTRIES : _ENTRIES])

    def tell(self, number: int, connections: int) -> None:
        """Writes one number of ``open``."""
        self.open[number] = connections

    def use(self, row: int) -> None:
        """Marks this row as given to a worker."""
        self.used[0] = max(self.used[0], row + 1)

    def clear(self, row: int) -> None:
        """Clears the counts of the worker of this row."""
        for number in range(_TOTALS):
            self.totals[number * self.rows + row] = 0
        nothing = memoryview(bytes(_ENTRIES * 4)).cast("I")
        self.open[row * _ENTRIES : (row + 1) * _ENTRIES] = nothing


class Total:
    """A number of each worker, whose sum is limited."""

    __slots__ = ("_at", "_end", "_numbers", "_start", "_used")

    def __init__(self, memory: SharedMemory, number: int, row: int) -> None:
        self._numbers = memory.totals
        self._start = number * memory.rows
        self._at = self._start + row
        self._used = memory.used

    def tell(self, own: int) -> None:
        """Sets this worker's number to ``own``."""
        self._numbers[self._at] = own

    @property
    def elsewhere(self) -> int:
        """The sum of the other workers' numbers."""
        numbers = self._numbers
        return sum(numbers[self._start : self._start + self._used[0]]) - numbers[self._at]


class SharedCounts:
    """The counts of all workers, seen by the worker of this row."""

    def __init__(self, memory: SharedMemory, row: int) -> None:
        self._memory = memory
        self._own = row * _ENTRIES
        self._at: dict[bytes, int] = {}  # network → the entry that has its connections here, if there are any
        self.clients = Total(memory, 0, row)
        self.held = Total(memory, 1, row)
        """Octets of messages that are kept whole."""
        self._place = lru_cache(_KNOWN)(self._place_of)

    @classmethod
    def mapped(cls, descriptor: int, row: int) -> SharedCounts:
        """The counts in the memory of this descriptor. Raises like `SharedMemory`."""
        return cls(SharedMemory(descriptor), row)

    def entry_of(self, network: bytes) -> Entry:
        """The entry of this network, maybe a new one. It is valid until another task runs."""
        memory, (key, first) = self._memory, self._place(network)
        entry = memory.find(key, first)
        if entry is None:
            entry = memory.find(_FREE, first)
            if entry is None:
                entry = self._idle(first)
            if entry is None:
                return network
            memory.assign(entry, key)
        return entry

    def open_elsewhere(self, entry: Entry) -> int:
        """The number of connections of this network at other workers."""
        if isinstance(entry, bytes):
            return 0
        return self._memory.connections(entry) - self._memory.open[self._own + entry]

    def tell_open(self, network: bytes, entry: Entry, own: int) -> None:
        """Sets how many connections of this network this worker has."""
        before, memory = self._at.pop(network, None), self._memory
        if before is not None and before != entry:  # another worker has taken it for another network
            memory.tell(self._own + before, 0)
        if not isinstance(entry, bytes):
            memory.tell(self._own + entry, own)
            if own:
                self._at[network] = entry

    def buckets(self, number: int, rate: Rate) -> SharedBuckets:
        """The buckets of one of the `BUCKETS` rates."""
        return SharedBuckets(self._memory, number, rate)

    def _idle(self, first: int) -> int | None:
        """The entry of this set to reuse; None if all have connections."""
        memory, full_at = self._memory, self._memory.full_at
        idle = [entry for entry in range(first, first + _WAYS) if not memory.connections(entry)]
        return min(
            idle, key=lambda entry: max(full_at[entry * BUCKETS : (entry + 1) * BUCKETS]), default=None
        )

    def _place_of(self, network: bytes) -> tuple[bytes, int]:
        """The key of a network, and the first entry of its set."""
        key = self._memory.hash(network).digest()
        return key, int.from_bytes(key[:4]) % (_ENTRIES // _WAYS) * _WAYS


class SharedBuckets:
    """A bucket for each entry, for one rate: like `Buckets`, shared by all workers."""

    __slots__ = ("_alone", "_full_at", "_number", "rate")

    def __init__(self, memory: SharedMemory, number: int, rate: Rate) -> None:
        self._full_at = memory.full_at
        self._number = number
        self.rate = rate
        self._alone = Buckets(rate)  # for networks without an entry

    def take(self, entry: Entry, now: float, count: int = 1) -> bool:
        """Takes tokens. Returns False, and takes none, if there are not so many."""
        if isinstance(entry, bytes):
            return self._alone.take(entry, now, count)
        full_at = self.rate.take(self._full(entry, now), now, count)
        if full_at is not None:
            self._full_at[entry * BUCKETS + self._number] = full_at
        return full_at is not None

    def spend(self, entry: Entry, now: float, count: int) -> bool:
        """Takes tokens for what has been done already. Returns False, and takes all, if there are not so
        many."""
        if isinstance(entry, bytes):
            return self._alone.spend(entry, now, count)
        full_at = self.rate.take(self._full(entry, now), now, count)
        at = entry * BUCKETS + self._number
        self._full_at[at] = now + self.rate.seconds if full_at is None else full_at
        return full_at is not None

    def has_any(self, entry: Entry, now: float) -> bool:
        """Returns True if a token can be taken."""
        if isinstance(entry, bytes):
            return self._alone.has_any(entry, now)
        return self.rate.take(self._full(entry, now), now) is not None

    def _full(self, entry: int, now: float) -> float:
        """The time at which this bucket is full again. It is limited to an empty bucket, because a worker
        with other settings may have written a later time."""
        at = entry * BUCKETS + self._number
        full_at, latest = self._full_at[at], now + self.rate.seconds
        if full_at > latest:
            self._full_at[at] = full_at = latest
        return full_at


def _size(rows: int) -> int:
    return _HEAD + 8 + rows * _TOTALS * 8 + _ENTRIES * (BUCKETS * 8 + _KEY) + rows * _ENTRIES * 4


def _anonymous() -> int:
    """The descriptor of a file without a name; in memory, if the system supports that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("smtp-proxy-limits")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
