"""What all sessions of one service share: where the servers are, limits, timeouts, rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from sansio_smtp import Config, Dialect, Networks, Question, Room, Spool, WaitingFor
from sansio_smtp.networks import NO_NETWORKS
from sansio_smtp.rules import RuleSet
from trio_proxy.account.account import Tell
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.hits import Hits
from trio_proxy.metrics.meter import NO_METER, Meter
from trio_proxy.routes.group import Group
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.settings.options import DEFAULTS
from trio_proxy.settings.timeouts import Timeouts

from .pool import Pool
from .streams import Connecting, SocketStream, Stream
from .tls_stream import TlsStream

if TYPE_CHECKING:  # cryptography takes a tenth of a second to import
    from trio_proxy.login.logins import Logins
    from trio_proxy.tls.server_side import ServerTls
    from trio_proxy.tls.upstream import Leg
    from trio_proxy.tracing.sessions import Tracing

    from .reactor import Reactor
    from .sweep import Sweep

__all__ = ["Judge", "Settings"]

Judge = Callable[[Question[Any]], Awaitable[Any]]
"""Takes an open question, returns its verdict."""

_HANDSHAKE_THREADS: Final = 4


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a `Session`."""

    connect: Callable[[], Awaitable[Stream]]
    """Gives a connection to the upstream server; raises OSError."""
    connect_now: Callable[[], Stream | Connecting | None] | None = None
    """The same without waiting: it gives a connection, or what is to be awaited for it; or None if not even
    that is possible without waiting. None: always use ``connect``."""
    connect_to: Callable[[str], Awaitable[Stream]] | None = None
    """The same for a server that a rule names."""
    pool: Pool | None = None
    """Idle connections to servers, for sessions with `Config.keep`."""
    groups: Callable[[str | None], Group | None] | None = None
    """Gives the list of servers that stands for the usual one (None), or for one that a rule names; None if
    that is one server alone."""
    tls: ServerTls | None = None
    """The certificates for clients; None: no client can speak TLS."""
    upstream_tls: Callable[[str | None], Leg | None] | None = None
    """What TLS is to the usual server, or to one that a rule names; it returns None for plain text, and
    raises OSError if the name cannot be read. None: `Config.upstream_tls` has to be NONE too."""
    upstream_dialect: Callable[[str | None], Dialect] | None = None
    """What the usual server speaks, or one that a rule names; it raises OSError if the name cannot be read.
    None: all speak what `Config.upstream_dialect` says."""
    listener_of: Callable[[SocketStream], str] | None = None
    """Names the listener that took a connection. None: nobody needs to know."""
    guard: Guard | None = None
    """Counts what each network of clients does. None: there are no such limits."""
    sweep: Sweep | None = None
    """Looks at what the guard counts, from time to time. None: nothing but connections is counted."""
    held_total: Room | None = None
    """The memory of all messages that are kept whole."""
    error_delay: float = DEFAULTS.error_delay
    """Seconds that a client waits after each of its inputs, when it has had `Config.soft_errors` refusals."""
    hits: Hits = attrs.field(factory=lambda: Hits(trio.current_time))
    """Counts how often a limit was hit."""
    accept_proxy: Networks = NO_NETWORKS
    """Clients that must say in a PROXY header who the client is."""
    config: Config = attrs.field(factory=Config)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    reactor: Reactor | None = None
    """Looks at the time limits of sessions, and reads their streams if these are its own (`Reactor.stream`).
    None: each session has a pair of tasks."""
    ask: frozenset[str] = frozenset()
    judge: Judge | None = None
    """Answers the questions that ``ask`` raises."""
    rules: Callable[[], AbstractContextManager[RuleSet]] | None = None
    """Gives the rules of a new session, for as long as it lasts; in place of ``ask`` and ``judge``."""
    rule_settings: RuleSettings = attrs.field(factory=RuleSettings)
    logins: Logins | None = None
    """How servers are logged in to; needed where `Config.login_mode` is not RELAY."""
    meter: Meter = NO_METER
    """Is told what happens, to count it."""
    make_spool: Callable[[], Spool] | None = None
    """Makes room on disk for a message that is too large to be held in memory."""
    tell: Tell | None = None
    """Gets each record of the account, besides the log."""
    tracing: Tracing | None = None
    """Makes spans. None: there are none, and nothing knows of them."""
    upstream_name: str = ""
    """The address of the usual server, for the log."""
    upstream_label: str = ""
    """What metrics call it."""
    write_transcript: Callable[[str], None] | None = None
    show_states: bool = False
    """True if changes of the joint state go to the log and the transcript (``-vv``)."""
    seconds: dict[WaitingFor, float] = attrs.field(init=False)
    """`timeouts`, as the core names them."""
    _threads: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_HANDSHAKE_THREADS), init=False
    )
    """Of handshakes that take long. Rules, which may hang, cannot take them."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "seconds", self.timeouts.table)  # frozen for everybody else

    def for_clients(self, dialect: Dialect) -> Settings:
        """The same settings for clients that speak this dialect."""
        return attrs.evolve(self, config=attrs.evolve(self.config, client_dialect=dialect))

    def with_limits(self, error_delay: float, limits: Mapping[str, Any]) -> Settings:
        """The same settings with these limits; ``limits`` are fields of `Config`."""
        return attrs.evolve(self, error_delay=error_delay, config=attrs.evolve(self.config, **limits))

    def tls_with_client(self, raw: Stream) -> TlsStream:
        """A stream for TLS with a client, whose handshake comes next."""
        if self.tls is None:
            raise ValueError("TLS was offered to a client, and there is no certificate")
        threads = self._threads if self.tls.is_slow else None
        return TlsStream(raw, self.tls.context, server_side=True, threads=threads)
