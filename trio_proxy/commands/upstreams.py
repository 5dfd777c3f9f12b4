"""The servers of the settings, for new sessions: made at the start, and again when the settings are reread.

::

    settings file ── reread ──> servers_now ─┬─> checked: rules and servers of new sessions, in one step
                                             └─> wrong: both stay as they were, and the log says why

This module applies ``upstream`` and the routes. A session keeps the servers with which it began. A server
that is still named keeps its health, and its open connections are kept.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio

from sansio_smtp import Dialect
from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean
from trio_proxy.account.kept import BUILT_IN
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import SocketStream, Stream, connect, connect_now
from trio_proxy.routes.fleet import Fleet
from trio_proxy.routes.listeners import Listeners
from trio_proxy.rulebook.reload import RESTART
from trio_proxy.settings.contradictions import contradictions
from trio_proxy.settings.core_config import client_access
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import route_problems
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

from .logins import may_be_plain
from .loops import is_own, leads_to, route_loops
from .open_relay import route_warning
from .security import Security, server_named

if TYPE_CHECKING:
    from trio_proxy.login.logins import Logins

__all__ = ["NamedServers", "Upstreams", "servers_now"]

log = structlog.stdlib.get_logger("smtp_proxy")
_MOST_ROUTES: Final = 1_000


def servers_now(options: Options, now: Options) -> Options:
    """The options of the start with the servers of ``now``, which were reread. Raises `RuleError` with all
    that is wrong with these servers. Looks names up, so it blocks."""
    if options.upstream and not now.upstream:
        text = f"upstream is gone; to keep messages here, {RESTART}"
        raise RuleError([Problem(str(options.config), 0, text)])
    options = attrs.evolve(options, upstream=now.upstream, routes=now.routes)
    texts = list(contradictions(options))
    texts += (
        f"--upstream {each.address}: that is where this proxy listens itself"
        for each in options.upstream
        if any(leads_to(each.address, listener) for listener in options.listen)
    )
    problems = [of_settings(now, text) for text in texts]
    problems += route_problems(options.routes, options.listen, has_certificate=options.has_certificate)
    problems += route_loops(options.routes, options.listen)
    if problems:
        raise RuleError(problems)
    return options


@attrs.define(eq=False)
class Upstreams:
    """Gives the settings of sessions their servers."""

    stream: Callable[[socket.socket], SocketStream]
    """Makes the stream of a connection."""
    listeners: Mapping[socket.socket, Address]
    """The listeners, with their addresses in the settings."""
    here: Sequence[Address]
    """The same, as bound."""
    security: Security
    logins: Logins | None = None
    built_in: Destination | None = None
    """The server of this process, which is used if there is no other."""
    _fleet: Fleet = attrs.field(factory=lambda: Fleet({}), init=False)
    _usual: Address | None = attrs.field(default=None, init=False)
    _options: Options | None = attrs.field(default=None, init=False)
    _labels: frozenset[str] = attrs.field(default=frozenset(), init=False)
    """What metrics call the servers of the settings."""

    def used_by(self, settings: Settings, options: Options) -> Settings:
        """The same settings, with the servers of these options."""
        upstream: Sequence[Destination] = options.upstream
        if not upstream:
            assert self.built_in is not None
            upstream = (self.built_in,)
        lists: dict[str | None, Sequence[Destination]] = {None: upstream}
        lists |= {route.name: route.upstream for route in options.routes}
        fleet = Fleet.of(lists, self._fleet)
        security = attrs.evolve(self.security, options=options)
        named = NamedServers(options, self.stream, self.here)
        logins = self.logins
        if logins is not None:
            logins = attrs.evolve(logins, may_be_plain=partial(may_be_plain, options))
        usual = upstream[0].address
        if usual != self._usual:  # an unchanged function is kept: the pool knows the server by it
            settings = attrs.evolve(
                settings,
                connect=partial(connect, usual, self.stream),
                connect_now=partial(connect_now, usual, self.stream),
            )
        by_listener = any(route.listen for route in options.routes)
        made = attrs.evolve(
            settings,
            upstream_name=str(usual) if options.upstream else BUILT_IN,
            upstream_label=str(usual) if options.upstream else BUILT_IN,
            connect_to=named.connect_to,
            upstream_dialect=named.dialect,
            upstream_tls=security.leg,
            groups=fleet.group if fleet.groups else None,
            listener_of=Listeners(self.listeners).name_of if by_listener else None,
            config=attrs.evolve(settings.config, failover=fleet.largest - 1, **client_access(options)),
            logins=logins,
        )
        self._fleet, self._usual = fleet, usual
        labels = frozenset(str(each.address) for servers in lists.values() for each in servers)
        for label in self._labels - labels:
            settings.meter.left_out(label)
        self._labels = labels
        self._say_if_changed(options)
        return made

    def _say_if_changed(self, options: Options) -> None:
        before, self._options = self._options, options
        if before is None or (before.upstream, before.routes) == (options.upstream, options.routes):
            return
        servers = ", ".join(map(str, options.upstream)) or "none"
        routes = ", ".join(route.name for route in options.routes) or "none"
        log.warning("upstream servers reloaded", upstream=servers, routes=routes)


@attrs.define
class NamedServers:
    """Connects to servers by their addresses: those of lists, and those that rules name."""

    options: Options
    stream: Callable[[socket.socket], SocketStream]
    """Makes the stream of a connection."""
    listeners: Sequence[Address]
    """The listeners of the service."""
    _known: frozenset[Address] = attrs.field(init=False)
    """Servers of the settings: a warning about these was logged when they were read."""
    _seen: set[str] = attrs.field(factory=set[str], init=False)
    """Servers that were checked for an open relay, with a warning if needed."""

    def __attrs_post_init__(self) -> None:
        options = self.options
        lists = (options.upstream, *(route.upstream for route in options.routes))
        self._known = frozenset(each.address for those in lists for each in those)

    async def connect_to(self, upstream: str) -> Stream:
        """A connection to this server. Raises OSError, also if the server is this proxy itself: each
        connection would open another one, without end."""
        address = server_named(upstream)
        if address not in self._known and upstream not in self._seen and len(self._seen) < _MOST_ROUTES:
            self._seen.add(upstream)
            if warning := await trio.to_thread.run_sync(route_warning, self.options, address):
                log.warning(warning)
        try:
            made = await connect(address, self.stream)
        except OSError as error:
            hint = did_you_mean(upstream, [route.name for route in self.options.routes])
            if not hint:
                raise
            raise OSError(f"{error.strerror or error}{hint}") from error
        if is_own(made.sock, self.listeners):
            made.abort()
            raise OSError("that is where this proxy listens itself")
        return made

    def dialect(self, upstream: str | None) -> Dialect:
        """SMTP or LMTP: the dialect of the server of ``--upstream``, or of one that a rule names. Raises
        OSError if the name cannot be read."""
        usual = self.options.upstream
        if upstream is not None:
            speaks_lmtp = server_named(upstream).lmtp
        else:
            speaks_lmtp = bool(usual) and usual[0].address.lmtp
        return Dialect.LMTP if speaks_lmtp else Dialect.SMTP
