"""`Sweep`: one task that looks at the time limits of all sessions, once in each tick.

A timer for each session would cost each of them more than a look now and then. A limit is at most a tick
late.
"""

from __future__ import annotations

from typing import Final, Protocol

import structlog
import trio

__all__ = ["TICK", "Sweep", "Swept"]

log = structlog.stdlib.get_logger("smtp_proxy")

TICK: Final = 1.0
"""Seconds from one look to the next, if nothing asks for less."""


class Swept(Protocol):
    """A time limit that is looked at from time to time."""

    def look(self, now: float) -> None:
        """Ends what has taken too long."""


class Sweep:
    """The limits that are looked at."""

    def __init__(self, tick: float = TICK) -> None:
        self._tick = tick
        self._swept: set[Swept] = set()

    def add(self, limit: Swept) -> None:
        """Looks at this one from now on."""
        self._swept.add(limit)

    def discard(self, limit: Swept) -> None:
        """Looks at this one no more."""
        self._swept.discard(limit)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Looks at all of them until it is cancelled."""
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
