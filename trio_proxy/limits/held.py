"""`HeldTotal`: the memory of all messages together that are kept whole, as rules may ask for."""

from __future__ import annotations

from .shared import Total

__all__ = ["HeldTotal"]


class HeldTotal:
    """A `sansio_smtp.Room` for all sessions of a service. The session that gets none counts a hit."""

    def __init__(self, most: int, total: Total | None = None) -> None:
        """``most``: octets. ``total``: with those of other workers."""
        self.octets = 0
        """That are taken now, by this process."""
        self.most = most
        self._total = total

    def limit(self, most: int) -> None:
        """So many octets are permitted from now on."""
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
