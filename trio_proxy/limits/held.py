"""`HeldTotal`: the memory of all messages together that are kept whole, as rules may ask for."""

from __future__ import annotations

from .hits import Hits
from .table import HELD_TOTAL

__all__ = ["HeldTotal"]


class HeldTotal:
    """A `sansio_smtp.Room` for all sessions of a service."""

    def __init__(self, most: int, hits: Hits) -> None:
        """``most``: octets."""
        self.octets = 0
        """That are taken now."""
        self._most = most
        self._hits = hits

    def take(self, octets: int) -> bool:
        if self.octets + octets > self._most:
            self._hits.hit(HELD_TOTAL, held=self.octets, most=self._most)
            return False
        self.octets += octets
        return True

    def give(self, octets: int) -> None:
        self.octets -= octets
