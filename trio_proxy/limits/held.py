"""`HeldTotal`: the memory of all messages together that are kept whole, as rules may ask for."""

from __future__ import annotations

__all__ = ["HeldTotal"]


class HeldTotal:
    """A `sansio_smtp.Room` for all sessions of a service. The session that gets none counts a hit."""

    def __init__(self, most: int) -> None:
        """``most``: octets."""
        self.octets = 0
        """That are taken now."""
        self._most = most

    def take(self, octets: int) -> bool:
        if self.octets + octets > self._most:
            return False
        self.octets += octets
        return True

    def give(self, octets: int) -> None:
        self.octets -= octets
