"""`Sweep`: one task that checks the time limits of all sessions, once in each tick.

A timer for each session would cost more than these checks. A limit is at most one tick late.
"""

from __future__ import annotations

from typing import Final, Protocol

import structlog
import trio

__all__ = ["TICK", "Sweep", "Swept"]

log = structlog.stdlib.get_logger("smtp_proxy")

TICK: Final = 1.0
"""The seconds between two checks, unless a shorter time is needed."""


class Swept(Protocol):
    """A time limit that is checked from time to time."""

    def look(self, now: float) -> None:
        """Ends what has taken too long."""


class Sweep:
    """The time limits that are checked."""

    def __init__(self, tick: float = TICK) -> None:
        self._tick = tick
        self._swept: set[Swept] = set()

    def add(self, limit: Swept) -> None:
        """Checks this limit from now on."""
        self._swept.add(limit)

    def discard(self, limit: Swept) -> None:
        """Stops checking this limit."""
        self._swept.discard(limit)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Checks all limits until it is cancelled."""
        task_status.started()
        while True:
            await trio.sleep(self._tick)
            now = trio.current_time()
            for limit in tuple(self._swept):
                try:
                    limit.look(now)
                except Exception:  # no failure of one session may end another
                    log.exception("internal error, a time limit is not looked at any more")
                    self._swept.discard(limit)
