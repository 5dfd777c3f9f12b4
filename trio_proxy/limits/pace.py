"""`Pace`: notices a client whose message comes too slowly: octet by octet, to hold a connection for ever.

What counts are the octets of one message within a window of time. A time limit for each piece is not enough:
an octet a minute keeps it. While the client is not what is waited for, there is no window.
"""

from __future__ import annotations

from .rates import Rate

__all__ = ["Pace"]


class Pace:
    """Of one session. It is told from time to time how many octets have come."""

    __slots__ = ("_before", "_least", "_since")

    def __init__(self, least: Rate) -> None:
        """``least``: so many octets in so many seconds."""
        self._least = least
        self._since = 0.0
        self._before: int | None = None

    def is_too_slow(self, now: float, octets: int | None) -> bool:
        """Returns True if a whole window is over in which too few octets have come. ``octets`` are those of
        the message up to now; None if the client is not to send any."""
        before = self._before
        if octets is None or before is None or octets < before:  # no message, or another one
            self._since, self._before = now, octets
            return False
        if now - self._since < self._least.seconds:
            return False
        self._since, self._before = now, octets
        return octets - before < self._least.count
