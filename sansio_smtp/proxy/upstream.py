"""The connection to one server: its mail transaction, its state, and what the server was told. There is one
`Upstream` object for each connection. Another server, or a new connection to the same one, gets a new object,
so facts about a server cannot outlive its connection. The *setup* are the steps before the client's next
command; `server_setup` chooses them. They are sent one at a time::

    CONNECTING ──> GREETING ──2xx──> SETUP ──nothing lacks──> READY ──reset in mail data──> DETACHED
                                       ^                       │
                                       └── something lacks ────┘         from every state ──> CLOSED

Every connection goes through these states. For the first one the setup is empty, because the client has sent
nothing yet.
"""

from __future__ import annotations

import attrs

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.config import Config, Dialect, LoginMode, SendClient, UpstreamTls
from sansio_smtp.ends.client import ClientConnection
from sansio_smtp.ends.limits import Limits
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.members import DIALECT_LMTP, KIND_HELLO
from sansio_smtp.states import UPSTREAM, UpstreamState, UpstreamStep, following
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

__all__ = ["Carried", "Upstream"]


@attrs.frozen(eq=False)
class Carried:
    """A mail transaction that began on another connection and continues on this one. ``mail`` is MAIL as the
    old server accepted it."""

    mail: Command
    envelope: Envelope
    """The client's envelope. Each transaction has its own object: if the client's end now has another one,
    this transaction is over."""


@attrs.define(eq=False)
class Upstream:
    """The connection to one server. ``name`` is the server's name in verdicts (`Route`); None is the server
    that the driver connects first."""

    config: Config
    name: str | None = None
    carried: Carried | None = None
    """The carried transaction, until this server has accepted its MAIL."""
    level: UpstreamTls = attrs.field(init=False)
    """The level of TLS on this connection."""
    tls: TlsInfo | None = attrs.field(default=None, init=False)
    tls_refused: bool = attrs.field(default=False, init=False)
    """True if the server has refused STARTTLS: it is used in plain text, if that is allowed."""
    named: bool = attrs.field(default=False, init=False)
    """True if the server was told who the client is, for the whole connection."""
    logged_in: bool = attrs.field(default=False, init=False)
    """True if the proxy itself has logged in to the server."""
    forwarded_for: Command | None = attrs.field(default=None, init=False)
    """The client's command before which the server last got XFORWARD. That XFORWARD counts only for this
    command: another MAIL may be for another client."""
    introduced: bool = attrs.field(default=False, init=False)
    """True if the server must get EHLO before other commands, even if the client has sent none."""
    stale: bool = attrs.field(default=False, init=False)
    """True if the server knows an old client, and cannot forget it: the next command needs a new
    connection."""
    kept: bool = attrs.field(default=False, init=False)
    """True if another client has used this connection, and the server has answered nothing since."""
    greeting: Reply | None = attrs.field(default=None, init=False)
    """The server's greeting, if connections are kept."""
    spent: bool = attrs.field(default=False, init=False)
    """True if the connection must not serve another client."""
    released: bool = attrs.field(default=False, init=False)
    """True if the connection may serve another client when this session is over."""
    limits: Limits = attrs.field(factory=Limits, init=False)
    """The server's limits on this connection, and the counts for them."""
    may_lack: bool = attrs.field(default=False, init=False)
    """True if the setup must be checked before each command."""
    state: UpstreamState = attrs.field(default=UpstreamState.CONNECTING, init=False)
    end: ClientConnection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        config = self.config
        self.end = ClientConnection(config)
        self.level = config.upstream_tls
        if (
            config.send_client is not SendClient.NONE
            or self.level is not UpstreamTls.NONE
            or config.login_mode is not LoginMode.RELAY
        ):
            self.named = config.send_client.in_header
            self.settle()

    @property
    def detached(self) -> bool:
        """True if the connection was reset while the client is still served."""
        return self.state is UpstreamState.DETACHED

    @property
    def speaks_lmtp(self) -> bool:
        """True if this server gives one reply to a message for each recipient (RFC 2033)."""
        return self.end.dialect is DIALECT_LMTP

    @property
    def in_transaction(self) -> bool:
        """True if this server has accepted MAIL, and the transaction has not ended."""
        return self.end.transaction.open

    @property
    def has_recipients(self) -> bool:
        """True if this server has accepted a recipient of the open transaction."""
        return bool(self.end.transaction.envelope.recipients)

    @property
    def may_take_chunks(self) -> bool:
        """True if a message of the open transaction may be sent in chunks."""
        ready = self.state is UpstreamState.READY and self.carried is None
        return ready and self.end.takes_chunks and self.in_transaction and self.has_recipients

    @property
    def may_require_tls(self) -> bool:
        """True if a message that requires verified TLS may be sent (RFC 8689 §4.2.1)."""
        offered = self.end.keywords
        return self.tls is not None and self.tls.verified and "REQUIRETLS" in offered

    def transaction_for(self, envelope: Envelope) -> Carried | None:
        """What another connection needs to continue the client's transaction with this envelope. None if no
        server has accepted its MAIL, or if this server has accepted recipients, which would be lost."""
        if self.has_recipients or envelope.mail is None:
            return None
        if self.in_transaction:
            mail = self.end.transaction.envelope.mail
            assert mail is not None  # the transaction is open
            return Carried(mail, envelope)
        return self.carried if self.carried is not None and self.carried.envelope is envelope else None

    # State

    def step(self, step: UpstreamStep) -> None:
        """Moves the state by its table."""
        self.state = following(UPSTREAM, self.state, step)

    def connected(self) -> None:
        """The first octets, or the end of input, have come from the server: it is connected."""
        self.step(UpstreamStep.CONNECTED)

    def greeted(self) -> None:
        """The server has greeted; its setup begins."""
        self.step(UpstreamStep.GREETED)

    def prepare(self) -> None:
        """The server is READY, but needs something before the client's next command."""
        self.step(UpstreamStep.PREPARE)

    def set_up(self) -> None:
        """The setup is complete, or its rest is dropped; the server is READY."""
        self.step(UpstreamStep.SET_UP)
        self.settle()

    def reset(self) -> None:
        """The connection was reset, and the client is still served."""
        self.step(UpstreamStep.RESET)
        self.end.close()

    def lose(self, envelope: Envelope) -> None:
        """The server has ended the connection while it owed no reply. The client is still served; its
        transaction with this envelope may continue elsewhere."""
        self.carried = self.transaction_for(envelope)
        self.reset()

    def close(self) -> None:
        """Closes the connection: another server replaces this one, or the session is over."""
        self.step(UpstreamStep.CLOSE)
        self.end.close()

    # Connections that are kept for the next client, or were kept

    def take_over(self) -> None:
        """Another client has used this connection. Called before the server's first octets in this
        session."""
        if self.state is not UpstreamState.CONNECTING:
            raise LocalProtocolError("call server_connected before the server's first octets")
        self.kept = self.introduced = True

    def prove(self) -> None:
        """The server has answered: the connection now belongs to this client."""
        self.kept = False

    def keep_greeting(self, reply: Reply) -> None:
        """Keeps the server's greeting."""
        self.greeting = reply

    def spend(self) -> None:
        """The connection may depend on this client from now on."""
        self.spent = True

    def release(self) -> None:
        """The server has been reset, and the session does not need it any more."""
        self.released = True

    # What the server was told

    def use_level(self, level: UpstreamTls, dialect: Dialect | None = None) -> None:
        """Sets the level of TLS and the server's dialect, before its first octets."""
        if self.state is not UpstreamState.CONNECTING:
            raise LocalProtocolError("call server_connected before the server's first octets")
        self.level = level
        if dialect is not None:
            self.end.speak(dialect)
        self.settle()

    def spoken(self, hello: Command) -> Command:
        """EHLO, HELO or LHLO in the form for this server; the same object if it needs no change."""
        if self.speaks_lmtp is (hello.verb == b"LHLO"):
            return hello
        verb = b"LHLO" if self.speaks_lmtp else b"EHLO"
        return Command(verb, verb + hello.raw[len(hello.verb) :], KIND_HELLO)

    def tls_started(self, info: TlsInfo) -> None:
        """TLS has begun: after STARTTLS, or before the server's first octets (RFC 8314 §3.3)."""
        if self.state is not UpstreamState.CONNECTING:
            self.end.tls_started()
        self.tls = info

    def refuse_tls(self) -> None:
        """The server has refused STARTTLS."""
        self.tls_refused = True

    def introduce(self) -> None:
        """The server gets the proxy's own EHLO."""
        self.introduced = True

    def take_name(self) -> None:
        """The server knows who the client is, for the whole connection; it must get EHLO again."""
        self.named = self.introduced = True

    def log_in(self) -> None:
        """The server has accepted a login of the proxy."""
        self.logged_in = True

    def take_forwarded(self, command: Command) -> None:
        """The server knows the client of the mail transaction to which this command belongs."""
        self.forwarded_for = command

    def taken_over(self) -> None:
        """The server has accepted MAIL of the carried transaction."""
        self.carried = None

    def greet_again(self) -> None:
        """The client has begun again. The server must get EHLO, the client's or the proxy's, before other
        commands."""
        self.end.forget_hello()
        self.introduced = self.may_lack = True

    def go_stale(self) -> None:
        """See `stale`."""
        self.stale = self.may_lack = True

    def settle(self) -> None:
        """Decides if the setup must be checked before the next commands."""
        send = self.config.send_client
        wants_tls = self.level is not UpstreamTls.NONE and self.tls is None and not self.tls_refused
        wants_name = send in (SendClient.XCLIENT, SendClient.AUTO) and not self.named
        forwards = send is SendClient.XFORWARD or (
            send is SendClient.AUTO and bool(self.config.accept_xforward)
        )
        wants_login = self.config.login_mode is not LoginMode.RELAY and not self.logged_in
        self.may_lack = wants_tls or wants_name or wants_login or forwards or self.stale
