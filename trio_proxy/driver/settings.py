"""The settings that all sessions of a service share: servers, limits, timeouts, rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from sansio_smtp import Config, Dialect, Networks, Question, Room, Spool, WaitingFor
from sansio_smtp.networks import NO_NETWORKS
from sansio_smtp.rules import RuleSet
from trio_proxy.account.account import Tell
from trio_proxy.account.kept import KeptMail
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

if TYPE_CHECKING:  # cryptography takes a tenth of a second to import, and so does OpenSSL
    import ssl

    from trio_proxy.login.logins import Logins
    from trio_proxy.tls.upstream import Leg
    from trio_proxy.tracing.sessions import Tracing

    from .reactor import Reactor
    from .sweep import Sweep

__all__ = ["Judge", "Settings"]

Judge = Callable[[Question[Any]], Awaitable[Any]]
"""Takes an open question, returns its verdict."""

_HANDSHAKE_THREADS: Final = 4


class ClientCertificates(Protocol):
    """What TLS with clients needs: `ServerTls`, or one that is made when the first client wants it."""

    @property
    def context(self) -> ssl.SSLContext:
        """For a handshake that begins now."""
        ...

    @property
    def is_slow(self) -> bool:
        """True if a handshake may take long."""
        ...


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a `Session`."""

    connect: Callable[[], Awaitable[Stream]]
    """Connects to the upstream server; raises OSError."""
    connect_now: Callable[[], Stream | Connecting | None] | None = None
    """The same without waiting: returns a connection, or an awaitable for it, or None if it would have to
    wait before. None: always use ``connect``."""
    connect_to: Callable[[str], Awaitable[Stream]] | None = None
    """The same for a server that a rule names."""
    pool: Pool | None = None
    """Idle connections to servers, for sessions with `Config.keep`."""
    groups: Callable[[str | None], Group | None] | None = None
    """Returns the list of servers for the usual server (None), or for one that a rule names; None if it is a
    single server."""
    tls: ClientCertificates | None = None
    """The certificates for clients; None: no client can speak TLS."""
    upstream_tls: Callable[[str | None], Leg | None] | None = None
    """Returns the TLS settings for the usual server, or for one that a rule names; None for plain text.
    Raises OSError if the name cannot be read. None: `Config.upstream_tls` must be NONE too."""
    upstream_dialect: Callable[[str | None], Dialect] | None = None
    """Returns the dialect of the usual server, or of one that a rule names; raises OSError if the name cannot
    be read. None: `Config.upstream_dialect` applies to all."""
    listener_of: Callable[[SocketStream], str] | None = None
    """Names the listener that accepted a connection. None: no setting needs it."""
    guard: Guard | None = None
    """Counts what each network of clients does. None: there are no such limits."""
    sweep: Sweep | None = None
    """Updates the guard's counts from time to time. None: only connections are counted."""
    held_total: Room | None = None
    """The memory of all messages that are kept whole."""
    error_delay: float = DEFAULTS.error_delay
    """Seconds that a client waits after each of its inputs, when it has had `Config.soft_errors` refusals."""
    hits: Hits = attrs.field(factory=lambda: Hits(trio.current_time))
    """Counts how often a limit was hit."""
    accept_proxy: Networks = NO_NETWORKS
    """The peers that must send a PROXY header."""
    config: Config = attrs.field(factory=Config)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    reactor: Reactor | None = None
    """Checks the time limits of sessions, and reads the streams that it made (`Reactor.stream`). None: each
    session has a pair of tasks."""
    ask: frozenset[str] = frozenset()
    judge: Judge | None = None
    """Answers the questions that ``ask`` raises."""
    rules: Callable[[], AbstractContextManager[RuleSet]] | None = None
    """Gives a new session its rules for its whole duration; used in place of ``ask`` and ``judge``."""
    rule_settings: RuleSettings = attrs.field(factory=RuleSettings)
    logins: Logins | None = None
    """How to log in to servers; needed if `Config.login_mode` is not RELAY."""
    meter: Meter = NO_METER
    """Counts what happens."""
    make_spool: Callable[[], Spool] | None = None
    """Makes room on disk for a message that is too large to be held in memory."""
    tell: Tell | None = None
    """Gets each record of the account, in addition to the log."""
    kept: KeptMail | None = None
    """What the built-in server has kept. None: there is no built-in server."""
    tracing: Tracing | None = None
    """Makes spans. None: no spans are made."""
    upstream_name: str = ""
    """The address of the usual server, for the log."""
    upstream_label: str = ""
    """The name of the usual server in metrics."""
    write_transcript: Callable[[str], None] | None = None
    show_states: bool = False
    """True if changes of the joint state go to the log and the transcript (``-vv``)."""
    seconds: dict[WaitingFor, float] = attrs.field(init=False)
    """`timeouts`, with the core's names."""
    _threads: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(_HANDSHAKE_THREADS), init=False
    )
    """The threads for slow handshakes. Rules, which may hang, cannot use them up."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "seconds", self.timeouts.table)  # the class is frozen

    def for_clients(self, dialect: Dialect) -> Settings:
        """The same settings for clients that speak this dialect."""
        return attrs.evolve(self, config=attrs.evolve(self.config, client_dialect=dialect))

    def with_limits(self, error_delay: float, limits: Mapping[str, Any]) -> Settings:
        """The same settings with these limits; ``limits`` are fields of `Config`."""
        return attrs.evolve(self, error_delay=error_delay, config=attrs.evolve(self.config, **limits))

    def tls_with_client(self, raw: Stream) -> TlsStream:
        """A stream for TLS with a client, whose handshake comes next. Raises OSError if its certificate
        cannot be made."""
        if self.tls is None:
            raise ValueError("TLS was offered to a client, and there is no certificate")
        threads = self._threads if self.tls.is_slow else None
        return TlsStream(raw, self.tls.context, server_side=True, threads=threads)
