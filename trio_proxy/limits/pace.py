"""`Pace`: notices a client that sends its message too slowly, such as octet by octet, to keep a connection
for ever. It counts the octets of one message within a window of time. A time limit for each piece is not
enough: one octet a minute would meet it. No window runs while the proxy does not wait for the client.
"""

from __future__ import annotations

from .rates import Rate

__all__ = ["Pace"]


class Pace:
    """The pace of one session. It is told from time to time how many octets have come."""

    __slots__ = ("_before", "_least", "_since")

    def __init__(self, least: Rate) -> None:
        """``least``: so many octets in so many seconds."""
        self._least = least
        self._since = 0.0
        self._before: int | None = None

    def is_too_slow(self, now: float, octets: int | None) -> bool:
        """Returns True if too few octets have come in a whole window. ``octets``: the octets of the message
        up to now; None if the proxy does not wait for the client."""
        before = self._before
        if octets is None or before is None or octets < before:  # no message, or another one
            self._since, self._before = now, octets
            return False
        if now - self._since < self._least.seconds:
            return False
        self._since, self._before = now, octets
        return octets - before < self._least.count
