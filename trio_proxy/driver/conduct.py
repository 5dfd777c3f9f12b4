"""`Conduct`: tells the guard what a client does, and ends the session of one that sends too slowly.

It reads the core's own counts once in each tick of a `Sweep`, so passing data on costs nothing more. So it
notices a limit of commands or messages up to one tick late. If a network is over a rate, its session gets
421, after the mail transaction if one is open.
"""

from __future__ import annotations

from typing import Protocol

from sansio_smtp import Proxy
from trio_proxy.limits.guard import Guard, Network
from trio_proxy.limits.pace import Pace
from trio_proxy.limits.table import COMMAND_RATE, MESSAGE_RATE, SLOW_CONTENT, Limit

__all__ = ["Conduct", "Conducted"]


class Conducted(Protocol):
    """A session, as `Conduct` sees it."""

    @property
    def is_stalled(self) -> bool:
        """True if the server does not take what the client sends."""
        ...

    def over(self, limit: Limit, *, now: bool) -> None:
        """A limit is reached: ends the session, ``now`` or after its mail transaction. Raises nothing."""


class Conduct:
    """The conduct of one session, from its beginning or from the moment at which its client is named."""

    __slots__ = ("_counts", "_network", "_pace", "_proxy", "_session", "guard")

    def __init__(self, session: Conducted, proxy: Proxy, guard: Guard, network: Network) -> None:
        self._session = session
        self._proxy = proxy
        self.guard = guard
        self._network = network
        self._pace = None if guard.least_pace is None else Pace(guard.least_pace)
        self._counts = proxy.counts

    def look(self, now: float) -> None:
        """Checks what the client has done since the last call: see `Swept`."""
        if self._proxy.closed:
            return
        if (limit := self.charge()) is not None:
            self._session.over(limit, now=False)
        elif self._pace is not None:
            octets = None if self._session.is_stalled else self._proxy.receiving
            if self._pace.is_too_slow(now, octets):
                self.guard.hit(SLOW_CONTENT, self._network)
                self._session.over(SLOW_CONTENT, now=True)

    def charge(self) -> Limit | None:
        """Tells the guard what the client has done since the last call. Returns the limit that is reached, if
        any."""
        before, over = self._counts, None
        self._counts = now = self._proxy.counts
        for limit, last, first in zip((COMMAND_RATE, MESSAGE_RATE), now, before, strict=True):
            count = last - first
            if count and not self.guard.charge(limit, self._network, count):
                over = limit
        return over
