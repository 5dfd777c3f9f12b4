"""The limits of the settings: made at the start, and changed when the settings are reread.

The counters live as long as the service, so a change of limits forgets no count. Limits per network and for
all clients together change at once; limits of a single session change only for sessions that begin later.
"""

from __future__ import annotations

import time
from typing import Final

import structlog
import trio

from trio_proxy.driver.server import Server
from trio_proxy.driver.settings import Settings
from trio_proxy.limits.held import HeldTotal
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.of_service import guard_of
from trio_proxy.limits.shared import SharedCounts
from trio_proxy.limits.table import LIMIT_OF
from trio_proxy.settings.options import LIMITS, SETTINGS, Options

__all__ = ["LIMIT_SETTINGS", "Limits"]

log = structlog.stdlib.get_logger("smtp_proxy")

LIMIT_SETTINGS: Final = frozenset(
    (*LIMIT_OF, *(name for name, setting in SETTINGS.items() if setting.table == LIMITS))
)
"""The settings that belong to limits."""
_IN_CORE: Final = tuple(name for name in LIMIT_SETTINGS if SETTINGS[name].in_core)


class Limits:
    """The counters and limits of one service."""

    def __init__(self, options: Options, shared: SharedCounts | None) -> None:
        """``shared``: counts that all workers share."""
        self.hits = Hits(trio.current_time)
        # Not Trio's clock: it differs between processes.
        self.guard = guard_of(options, self.hits, time.monotonic, shared)
        self.held = HeldTotal(options.max_held_total, None if shared is None else shared.held)
        self._options = options

    def change(self, options: Options, settings: Settings, server: Server) -> Settings:
        """Applies these options from now on. Returns the settings of new sessions."""
        before, self._options = self._options, options
        changed = [
            setting
            for name, setting in SETTINGS.items()
            if name in LIMIT_SETTINGS and getattr(before, name) != getattr(options, name)
        ]
        if not changed:
            return settings
        self.guard.use(guard_of(options, self.hits, time.monotonic, self.guard.shared))
        self.held.limit(options.max_held_total)
        server.limit(options.max_connections)
        log.warning("limits reloaded", settings=", ".join(f"[{each.table}] {each.key}" for each in changed))
        return settings.with_limits(options.error_delay, {name: getattr(options, name) for name in _IN_CORE})
