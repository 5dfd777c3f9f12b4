"""Reads rules, servers, limits and certificates again while the service runs.

::

    SIGHUP, or the parent of a worker ─> certificates are read ─> settings file, rules, servers, limits
                                                  │                             │
                            all is right: all of it is for new connections, in one step
                            anything is wrong: everything stays, and the log says what is wrong

Every other change of a setting takes effect at a restart; the log names these settings. Certificates, and
files of rules with ``--reload``, are also read when they change, each file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs
import structlog

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.routes.routing import with_routes
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.rulebook.reload import RESTART, RuleBook
from trio_proxy.settings.choose import reread
from trio_proxy.settings.options import SETTINGS, Options

from .limits import LIMIT_SETTINGS
from .open_relay import open_relay_warning
from .rate_cautions import rate_cautions
from .upstreams import servers_now

if TYPE_CHECKING:
    from trio_proxy.tls.reload import Certificates

__all__ = ["RELOADED", "Loading", "needing_new_parent", "needing_restart"]

log = structlog.stdlib.get_logger("smtp_proxy")

RELOADED: Final = frozenset(("rules", "upstream", "verbose", "quiet")) | LIMIT_SETTINGS
"""The settings that take effect at a reload, besides ``[rules.NAME]`` and ``[[route]]``."""
_COPIED: Final = RELOADED - {"rules", "upstream"}
"""The settings among them whose values are used unchanged."""
_OF_PARENT: Final = ("[server] admin", "[server] control", "[server] user")
"""Settings that new workers do not change, since they are for the parent."""


def needing_restart(start: Options, now: Options) -> list[str]:
    """The settings that have changed since the start but need a restart, written as ``[server] listen``."""
    return [
        f"[{setting.table}] {setting.key}"
        for name, setting in SETTINGS.items()
        if name not in RELOADED and setting.table is not None and getattr(start, name) != getattr(now, name)
    ]


def needing_new_parent(start: Options, now: Options) -> list[str]:
    """Those of them for which new workers are not enough."""
    return [name for name in needing_restart(start, now) if name in _OF_PARENT]


@attrs.define(eq=False)
class Loading:
    """Reads all that can be reloaded, at the start and at each reload."""

    options: Options
    """The options of the start."""
    says: bool = True
    """False if another process prints the warnings about settings."""
    worker: int = 0
    """The number of this worker for the log; 0: there are no workers."""
    _certificates: Certificates | None = attrs.field(default=None, init=False)
    _problems: Sequence[Problem] = attrs.field(default=(), init=False)
    """Mistakes in the certificates that this reload has read."""
    _use: Callable[[], None] | None = attrs.field(default=None, init=False)
    """Makes new connections use these certificates."""
    _need_restart: Sequence[str] = attrs.field(default=(), init=False)

    @property
    def not_applied(self) -> str:
        """The changed settings that the last reload did not apply, and what applies them; empty if there are
        none."""
        return f"{', '.join(self._need_restart)}; {self._hint}" if self._need_restart else ""

    @property
    def _hint(self) -> str:
        parents = [name for name in self._need_restart if name in _OF_PARENT]
        if len(parents) == len(self._need_restart):
            return RESTART
        exception = f", except {' and '.join(parents)}: for that {RESTART}" if parents else ""
        return f'"smtp-proxy reload" applies them{exception}'

    def read_too(self, certificates: Certificates) -> None:
        """From now on `reload` reads these certificates too."""
        self._certificates = certificates

    async def reload(self, book: RuleBook) -> str:
        """Reads everything, and lets the book use it. If anything is wrong, all stays as it was, and the
        reason is returned; else returns ""."""
        try:
            if self._certificates is not None:
                problems, self._use = await self._certificates.prepare()
                self._problems = [Problem("", 0, str(problem)) for problem in problems]
            return await book.reloaded()
        finally:
            self._problems, self._use = (), None

    def load(self) -> LoadedRules:
        """The rules, with the current settings of the settings file. Raises `RuleError` with all mistakes in
        them, in the servers that it names, or in certificates. Blocks."""
        start = self.options
        problems = list(self._problems)
        try:
            now = reread(start)
            used = attrs.evolve(start, **{name: getattr(now, name) for name in _COPIED})
            if (now.upstream, now.routes) != (start.upstream, start.routes):
                used = servers_now(used, now)
            loaded = self._with_servers(used, now)
        except RuleError as error:
            raise RuleError([*problems, *error.problems]) from error
        if problems:
            raise RuleError(problems)
        self._need_restart = needing_restart(start, now)
        return loaded

    def done(self) -> None:
        """Called when new sessions use what was loaded: certificates change at the same moment."""
        if self._use is not None:
            self._use()
        if self._need_restart:
            names = ", ".join(self._need_restart)
            worker = {"worker": self.worker, "hint": self._hint} if self.worker else {}
            log.warning("settings have changed that take effect only at a restart", settings=names, **worker)

    def _with_servers(self, options: Options, now: Options) -> LoadedRules:
        """The rules of ``now``, and the routes of ``options``."""
        loaded = attrs.evolve(load(now.rules, now.rule_settings), origin=options)
        if options.routes:
            loaded = with_routes(loaded, options.routes)
        if self.says:
            for warning in (
                open_relay_warning(options, loaded),
                *rate_cautions(attrs.evolve(options, rule_settings=now.rule_settings), loaded.ruleset),
            ):
                if warning:
                    log.warning(warning)
        return attrs.evolve(loaded, files=(*loaded.files, now.config)) if now.config is not None else loaded
