"""What is read anew while the service runs: rules, servers, limits and certificates.

::

    SIGHUP, or the parent of a worker ─> certificates are read ─> settings file, rules, servers, limits
                                                  │                             │
                            all is right: all of it is for new connections, in one step
                            anything is wrong: everything stays, and the log says what is wrong

Every other setting that has changed takes effect at a restart; the log names these too. Files of rules that
are watched (``--reload``), and certificates, are also read when they change, each for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs
import structlog

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.routes.routing import with_routes
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.choose import reread
from trio_proxy.settings.options import SETTINGS, Options

from .limits import LIMIT_SETTINGS
from .open_relay import open_relay_warning
from .upstreams import servers_now

if TYPE_CHECKING:
    from trio_proxy.tls.reload import Certificates

__all__ = ["RELOADED", "Loading", "needing_restart"]

log = structlog.stdlib.get_logger("smtp_proxy")

RELOADED: Final = frozenset(("rules", "upstream", "verbose", "quiet")) | LIMIT_SETTINGS
"""The settings that take effect at a reload, besides ``[rules.NAME]`` and ``[[route]]``."""
_COPIED: Final = RELOADED - {"rules", "upstream"}
"""Those of them that are used as they stand in the file."""


def needing_restart(start: Options, now: Options) -> list[str]:
    """The settings that have changed since the start, and that a reload cannot change: as in ``[server]
    listen``."""
    return [
        f"[{setting.table}] {setting.key}"
        for name, setting in SETTINGS.items()
        if name not in RELOADED and setting.table is not None and getattr(start, name) != getattr(now, name)
    ]


@attrs.define(eq=False)
class Loading:
    """Reads it, for the start and for each reload."""

    options: Options
    """Those of the start."""
    says: bool = True
    """False if another process warns of settings that are no good idea."""
    _certificates: Certificates | None = attrs.field(default=None, init=False)
    _problems: Sequence[Problem] = attrs.field(default=(), init=False)
    """What is wrong with the certificates that are to be read with the rest."""
    _use: Callable[[], None] | None = attrs.field(default=None, init=False)
    """Puts these certificates in force."""
    _need_restart: Sequence[str] = attrs.field(default=(), init=False)

    def read_too(self, certificates: Certificates) -> None:
        """These belong to what `reload` reads."""
        self._certificates = certificates

    async def reload(self, book: RuleBook) -> str:
        """Reads all of it, and lets the book use it or keep what is in force. Returns why that stays; empty
        if it does not."""
        try:
            if self._certificates is not None:
                problems, self._use = await self._certificates.prepare()
                self._problems = [Problem("", 0, str(problem)) for problem in problems]
            return await book.reloaded()
        finally:
            self._problems, self._use = (), None

    def load(self) -> LoadedRules:
        """The rules, with the settings that are in the settings file now. Raises `RuleError` with all that is
        wrong with them, with the servers that stand there, or with certificates. Blocks."""
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
        """What was loaded is in force now: so are the certificates."""
        if self._use is not None:
            self._use()
        if self._need_restart:
            names = ", ".join(self._need_restart)
            log.warning("some settings have changed that only a restart can use", settings=names)

    def _with_servers(self, options: Options, now: Options) -> LoadedRules:
        """The rules of ``now``, and the routes of ``options``."""
        loaded = attrs.evolve(load(now.rules, now.rule_settings), origin=options)
        if options.routes:
            loaded = with_routes(loaded, options.routes)
        if self.says and (warning := open_relay_warning(options, loaded)):
            log.warning(warning)
        return attrs.evolve(loaded, files=(*loaded.files, now.config)) if now.config is not None else loaded
