"""`Rate` and `Buckets`: how often something may happen, counted for each of many keys in bounded memory.

A rate of N in P seconds is a token bucket: it holds N tokens, gets a new one every P/N seconds, and each use
takes one. So N uses may come at once, and then one every P/N seconds. One number is enough for a bucket: the
time at which it is full again (the generic cell rate algorithm)::

    now        full again                            now + P
     |-------------|------------------------------------|
       tokens that     tokens that may be taken now
       were taken

A full bucket equals one that was never used, so it is forgotten. If there are more keys than may be kept, the
bucket that was used longest ago is forgotten first: this errs in favour of the client.

``--help`` imports this module, so it needs nothing but the standard library and attrs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

import attrs

from trio_proxy.text.units import Reads, parse_duration, parse_size

__all__ = ["A_RATE", "NO_RATE", "Buckets", "Rate"]

NO_RATE: Final = "none"
_MOST_KEYS: Final = 20_000
"""The most keys of one table: 5 MB."""


@attrs.frozen
class Rate:
    """So many uses in so many seconds."""

    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds:g}s"

    def take(self, full_at: float, now: float, count: int = 1) -> float | None:
        """Takes ``count`` tokens from a bucket that is full again at ``full_at``. Returns the new time at
        which it is full; None if it has fewer tokens."""
        full_at = max(full_at, now) + count * self.seconds / self.count
        return None if full_at - now > self.seconds * _ALMOST else full_at


def _parse(value: Any) -> Rate | None:
    if value == NO_RATE:
        return None
    try:
        count, _, seconds = value.partition("/") if isinstance(value, str) else ("", "", "")
        rate = Rate(parse_size(count), parse_duration(seconds or "0"))
    except ValueError:
        rate = Rate(0, 0)
    if not (rate.count < 2**53 and 0 < rate.seconds < 10**9):
        raise ValueError(f"expected {A_RATE.expected}{_with_unit(value)}")
    return rate


def _with_unit(value: Any) -> str:
    """What to write for ``100/hour``; empty for any other value."""
    count, _, period = value.partition("/") if isinstance(value, str) else ("", "", "")
    unit = _UNITS.get(period.strip().lower(), "")
    return f'; write "{count.strip()}/1{unit}"' if unit and count.strip().isdecimal() else ""


_WORDS: Final = {
    "s": ("s", "sec", "second", "seconds"),
    "m": ("m", "min", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
}
_UNITS: Final = {word: unit for unit, words in _WORDS.items() for word in words}
"""A period as people write it → the unit of a time."""


A_RATE: Final = Reads('a number in a time such as "600/60s", or "none"', _parse)


class Buckets:
    """A bucket for each key. The times that callers pass must never go back."""

    __slots__ = ("_full_at", "_most", "rate")

    def __init__(self, rate: Rate, most: int = _MOST_KEYS) -> None:
        """``most``: the largest number of keys that are kept."""
        self.rate = rate
        self._most = most
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float, count: int = 1) -> bool:
        """Takes ``count`` tokens. Returns False, and takes none, if there are fewer."""
        full_at = self.rate.take(self._full_at.get(key, now), now, count)
        if full_at is not None:
            self._put(key, full_at, now)
        return full_at is not None

    def spend(self, key: Hashable, now: float, count: int) -> bool:
        """Takes tokens for uses that have already happened. Returns False, and takes all, if there are
        fewer."""
        full_at = self.rate.take(self._full_at.get(key, now), now, count)
        self._put(key, now + self.rate.seconds if full_at is None else full_at, now)
        return full_at is not None

    def has_any(self, key: Hashable, now: float) -> bool:
        """Returns True if a token can be taken."""
        return self.rate.take(self._full_at.get(key, now), now) is not None

    def _put(self, key: Hashable, full_at: float, now: float) -> None:
        """Adds at most one key and forgets one, so the table stays small."""
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        oldest = next(iter(self._full_at))
        if self._full_at[oldest] <= now or len(self._full_at) > self._most:
            del self._full_at[oldest]


_ALMOST: Final = 1 + 1e-9
"""A tolerance, so that rounding errors do not take away the last token."""
