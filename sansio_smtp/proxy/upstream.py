"""The leg to one server: its connection, its mail transaction, its state, and what it has been told.

There is one `Upstream` object for each connection. Another server, or a new connection to the same one, gets
a new object, so nothing that is known of a server can outlive its connection. The *setup* is what must come
before the client's next command; `server_setup` says what that is. Its steps are sent one at a time::

    CONNECTING ──> GREETING ──2xx──> SETUP ──nothing lacks──> READY ──reset in mail data──> DETACHED
                                       ^                       │
                                       └── something lacks ────┘         from every state ──> CLOSED

Every connection goes this way. The setup of the first one is empty after its greeting, as the client has sent
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
    """A mail transaction that began on another connection and goes on here. ``mail`` is MAIL as that server
    accepted it."""

    mail: Command
    envelope: Envelope
    """The client's envelope. Each transaction has its own object: if the client's end has another one now,
    this transaction is over."""


@attrs.define(eq=False)
class Upstream:
    """The leg to one server. ``name`` is the server's name in verdicts (`Route`); None is the server that the
    driver connects first."""

    config: Config
    name: str | None = None
    carried: Carried | None = None
    """The transaction that goes on here, until this server has accepted its MAIL."""
    level: UpstreamTls = attrs.field(init=False)
    """What TLS is on this connection."""
    tls: TlsInfo | None = attrs.field(default=None, init=False)
    tls_refused: bool = attrs.field(default=False, init=False)
    """True if the server has refused STARTTLS: it is used in plain text, where that is allowed."""
    named: bool = attrs.field(default=False, init=False)
    """True if the server has been told who the client is, for the whole connection."""
    logged_in: bool = attrs.field(default=False, init=False)
    """True if the proxy has logged in to the server by itself."""
    forwarded_for: Command | None = attrs.field(default=None, init=False)
    """The client's command before which the server was told last, with XFORWARD, whose the mail transaction
    is. It counts for that command only: another MAIL may be another client's."""
    introduced: bool = attrs.field(default=False, init=False)
    """True if the server must have heard EHLO before other commands, also if the client has said none."""
    stale: bool = attrs.field(default=False, init=False)
    """True if the server knows of a client that is no longer there, and cannot be made to forget it: the next
    command needs a new connection."""
    kept: bool = attrs.field(default=False, init=False)
    """True if another client has used this connection, and the server has not answered anything since."""
    greeting: Reply | None = attrs.field(default=None, init=False)
    """The server's greeting, where connections are kept."""
    spent: bool = attrs.field(default=False, init=False)
    """True if the connection must not serve another client."""
    released: bool = attrs.field(default=False, init=False)
    """True if the connection may serve another client when this session is over."""
    limits: Limits = attrs.field(factory=Limits, init=False)
    """What the server takes on this connection, and what it was sent."""
    may_lack: bool = attrs.field(default=False, init=False)
    """True if the setup has to be looked at before each command."""
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
        """True if a message may be sent that is to travel under verified TLS only (RFC 8689 §4.2.1)."""
        offered = self.end.keywords
        return self.tls is not None and self.tls.verified and "REQUIRETLS" in offered

    def transaction_for(self, envelope: Envelope) -> Carried | None:
        """What another connection needs so that the client's transaction with this envelope goes on there.
        None if no server has accepted its MAIL, or if this server has accepted recipients, which would be
        lost."""
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
        """The server is READY, and lacks something for the client's next command."""
        self.step(UpstreamStep.PREPARE)

    def set_up(self) -> None:
        """Nothing lacks, or the rest of the setup is dropped; the server is READY."""
        self.step(UpstreamStep.SET_UP)
        self.settle()

    def reset(self) -> None:
        """The connection is over, and the client is still served."""
        self.step(UpstreamStep.RESET)
        self.end.close()

    def lose(self, envelope: Envelope) -> None:
        """The server has ended the connection, while it owed no reply. The client is still served; its
        transaction with this envelope may go on elsewhere."""
        self.carried = self.transaction_for(envelope)
        self.reset()

    def close(self) -> None:
        """The connection is closed: the server is left for another, or the session is over."""
        self.step(UpstreamStep.CLOSE)
        self.end.close()

    # A connection that is kept for the next client, or was

    def take_over(self) -> None:
        """Another client has used this connection, before the server's first octets in this session."""
        if self.state is not UpstreamState.CONNECTING:
            raise LocalProtocolError("that a connection was kept is said before the server's first octets")
        self.kept = self.introduced = True

    def prove(self) -> None:
        """The server has answered: the connection is one of this client now."""
        self.kept = False

    def keep_greeting(self, reply: Reply) -> None:
        """The server has greeted with this."""
        self.greeting = reply

    def spend(self) -> None:
        """The connection may depend on this client from now on."""
        self.spent = True

    def release(self) -> None:
        """The server has been reset, and the session needs it no more."""
        self.released = True

    # What the server has been told

    def use_level(self, level: UpstreamTls, dialect: Dialect | None = None) -> None:
        """Sets what TLS is on this connection, and what the server speaks, before its first octets."""
        if self.state is not UpstreamState.CONNECTING:
            raise LocalProtocolError("the level of TLS is said before the server's first octets")
        self.level = level
        if dialect is not None:
            self.end.speak(dialect)
        self.settle()

    def spoken(self, hello: Command) -> Command:
        """EHLO, HELO or LHLO as this server has to hear it: the same object if it is that already."""
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
        """The server is sent an EHLO of our own."""
        self.introduced = True

    def take_name(self) -> None:
        """The server knows who the client is, for the whole connection; it must hear EHLO anew."""
        self.named = self.introduced = True

    def log_in(self) -> None:
        """The server has accepted a login of the proxy."""
        self.logged_in = True

    def take_forwarded(self, command: Command) -> None:
        """The server knows whose the mail transaction is that this command begins or goes on with."""
        self.forwarded_for = command

    def taken_over(self) -> None:
        """The server has accepted MAIL of the carried transaction."""
        self.carried = None

    def greet_again(self) -> None:
        """The client has begun anew. Before other commands the server must hear EHLO, from it or from us."""
        self.end.forget_hello()
        self.introduced = self.may_lack = True

    def go_stale(self) -> None:
        """See `stale`."""
        self.stale = self.may_lack = True

    def settle(self) -> None:
        """Looks if the setup has to be looked at before the next commands."""
        send = self.config.send_client
        wants_tls = self.level is not UpstreamTls.NONE and self.tls is None and not self.tls_refused
        wants_name = send in (SendClient.XCLIENT, SendClient.AUTO) and not self.named
        forwards = send is SendClient.XFORWARD or (
            send is SendClient.AUTO and bool(self.config.accept_xforward)
        )
        wants_login = self.config.login_mode is not LoginMode.RELAY and not self.logged_in
        self.may_lack = wants_tls or wants_name or wants_login or forwards or self.stale
