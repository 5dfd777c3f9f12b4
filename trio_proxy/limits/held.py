"""`HeldTotal`: the total memory of messages that are kept whole, for rules that need the whole message."""

from __future__ import annotations

from .shared import Total

__all__ = ["HeldTotal"]


class HeldTotal:
    """A `sansio_smtp.Room` for all sessions of a service. A session that gets no room counts as a hit."""

    def __init__(self, most: int, total: Total | None = None) -> None:
        """``most``: octets. ``total``: the total that includes other workers."""
        self.octets = 0
        """The octets that this process uses now."""
        self.most = most
        self._total = total

    def limit(self, most: int) -> None:
        """Changes the number of octets that are allowed."""
        self.most = most

    def take(self, octets: int) -> bool:
        elsewhere = 0 if self._total is None else self._total.elsewhere
        if self.octets + octets + elsewhere > self.most:
            return False
        self._count(octets)
        return True

    def give(self, octets: int) -> None:
        self._count(-octets)

    def _count(self, octets: int) -> None:
        self.octets += octets
        if self._total is not None:
            self._total.tell(self.octets)
