"""The health of a server, shared by all sessions: it says if the server should be tried now. A failed server
is left out for a pause, which doubles with each further failure. Then one session tries it again, while the
others still leave it out::

    UP ── failed ──> DOWN ── the pause is over, a session begins to try ──> PROBED ─┬─ worked ─> UP
                      ^                                                             └─ failed ─> DOWN

A pause is shortened at random, to not less than half, so that several proxies do not retry at the same
moment. What must never happen: a client is refused because a working server is left out. So if all servers of
a list are DOWN, they are tried before their pauses are over.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from typing import Final

import structlog
import trio

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Health", "HealthState", "Probe", "Try"]

log = structlog.stdlib.get_logger("smtp_proxy")

FIRST_PAUSE: Final = 1.0
"""Seconds."""
LONGEST_PAUSE: Final = 60.0
"""The longest pause: a server that works again gets clients after so many seconds at the latest."""


class HealthState(Enum):
    """The state of a server."""

    UP = "up"
    """Clients are connected to it."""
    DOWN = "down"
    """It has failed. It is left out while another server can be used."""
    PROBED = "probed"
    """One session is trying it again. Others leave it out, or wait for the result."""


class Probe:
    """An attempt at a server that was DOWN. Other sessions may wait for its result."""

    __slots__ = ("_ended", "_worked")

    def __init__(self) -> None:
        self._ended = trio.Event()
        self._worked = False

    def end(self, *, worked: bool) -> None:
        """The result is known."""
        self._worked = worked
        self._ended.set()

    async def wait(self) -> bool:
        """Waits for the result. Returns True if the server could be used."""
        await self._ended.wait()
        return self._worked


class Health:
    """The health of one server, from the results of attempts: see `begin`."""

    __slots__ = ("_clock", "_due", "_failures", "_random", "name", "probe", "why")

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = trio.current_time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``name`` is for the log. ``chance`` gives a number from 0 up to 1."""
        self.name = name
        self.why = ""
        """The reason of the last failure."""
        self.probe: Probe | None = None
        """The current attempt at a server that was DOWN."""
        self._clock = clock
        self._random = chance
        self._failures = 0  # in a row
        self._due = 0.0  # when the pause is over

    @property
    def state(self) -> HealthState:
        """The state of the server."""
        if not self._failures:
            return HealthState.UP
        return HealthState.DOWN if self.probe is None else HealthState.PROBED

    @property
    def is_due(self) -> bool:
        """True if it should be tried: it is UP, or DOWN and its pause is over."""
        return not self._failures or (self.probe is None and self._clock() >= self._due)

    @property
    def due_in(self) -> float:
        """Seconds until the pause is over; 0 if none is left."""
        return max(0.0, self._due - self._clock()) if self._failures else 0.0

    def begin(self) -> Try:
        """A session begins to try this server."""
        if not self._failures or self.probe is not None:
            return Try(self)
        self.probe = Probe()
        return Try(self, self.probe)

    def worked(self) -> None:
        """The server has greeted: it can be used."""
        if self._failures:
            self._failures = 0
            log.warning("upstream server can be used again", upstream=self.name)
        self._end_probe(worked=True)

    def failed(self, why: str, probe: Probe | None = None) -> None:
        """The server could not be used. ``probe``: see `Try`."""
        self.why = why
        if self._failures and (probe is None or probe is not self.probe):
            return  # several tried it at the same time, and the first has reported it
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, 16), LONGEST_PAUSE)
        pause *= 0.5 + self._random() / 2
        self._failures += 1
        self._due = self._clock() + pause
        tell = log.warning if self._failures == 1 else log.info
        tell("upstream server is left out", upstream=self.name, error=why, seconds=round(pause, 1))
        self._end_probe(worked=False)

    def gave_up(self, probe: Probe | None) -> None:
        """A session has ended without a result."""
        if probe is not None and probe is self.probe:
            self._end_probe(worked=False)

    def _end_probe(self, *, worked: bool) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.end(worked=worked)


class Try:
    """One attempt of a session at a server. Only the first report of a result counts.

    ``probe``: the probe that other sessions wait for, if the server was DOWN.
    """

    __slots__ = ("_health", "_probe")

    def __init__(self, health: Health, probe: Probe | None = None) -> None:
        self._health: Health | None = health
        self._probe = probe

    def worked(self) -> None:
        """The server has greeted."""
        if (health := self._take()) is not None:
            health.worked()

    def failed(self, why: str) -> None:
        """The server could not be used."""
        if (health := self._take()) is not None:
            health.failed(why, self._probe)

    def gave_up(self) -> None:
        """The session has ended before."""
        if (health := self._take()) is not None:
            health.gave_up(self._probe)

    def _take(self) -> Health | None:
        health, self._health = self._health, None
        return health
