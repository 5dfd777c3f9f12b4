"""The leg to one server: its connection, its mail transaction, its state, and its setup.

There is one `Upstream` object for each connection. Another server, or a new connection to the same one, gets
a new object, so nothing that is known of a server can outlive its connection. The *setup* is the list of
commands that the client has had answered before and that this server has not seen (EHLO, MAIL). They are sent
one at a time::

    CONNECTING ──> GREETING ──2xx──> SETUP ──all accepted──> READY ──reset in mail data──> DETACHED
                                       ^                      │
                                       └── EHLO or MAIL is ───┘        from every state ──> CLOSED
                                           missing for the next command

Every connection goes this way. The setup of the first one is empty, as the client has sent nothing yet. A
feature that has something to do before the client's commands adds a command to the list, not a flag.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansio_smtp.config import Config
from sansio_smtp.ends.client import ClientConnection
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.states import UPSTREAM, UpstreamState, UpstreamStep, following
from sansio_smtp.wire.commands import Command

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
    setup: tuple[Command, ...] = attrs.field(default=(), init=False)
    """The commands that must still be sent, in this order, before the server is READY."""
    state: UpstreamState = attrs.field(default=UpstreamState.CONNECTING, init=False)
    end: ClientConnection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.end = ClientConnection(self.config)

    @property
    def detached(self) -> bool:
        """True if the connection was reset while the client is still served."""
        return self.state is UpstreamState.DETACHED

    @property
    def in_transaction(self) -> bool:
        """True if this server has accepted MAIL, and the transaction has not ended."""
        return self.end.transaction.open

    @property
    def has_recipients(self) -> bool:
        """True if this server has accepted a recipient of the open transaction."""
        return bool(self.end.transaction.envelope.recipients)

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

    def step(self, step: UpstreamStep) -> None:
        """Moves the state by its table."""
        self.state = following(UPSTREAM, self.state, step)

    def connected(self) -> None:
        """The first octets, or the end of input, have come from the server: it is connected."""
        self.step(UpstreamStep.CONNECTED)

    def greeted(self, setup: Sequence[Command]) -> None:
        """The server has greeted, and must be sent these commands before the client's."""
        self.step(UpstreamStep.GREETED)
        self.setup = tuple(setup)

    def prepare(self, setup: Sequence[Command]) -> None:
        """The server is READY, and must be sent these commands before the client's next one."""
        self.step(UpstreamStep.PREPARE)
        self.setup = tuple(setup)

    def next_setup(self) -> Command | None:
        """Takes the next command of the setup. Returns None if there is none left; then the server is
        READY."""
        if not self.setup:
            self.step(UpstreamStep.SET_UP)
            return None
        first, *rest = self.setup
        self.setup = tuple(rest)
        return first

    def taken_over(self) -> None:
        """The server has accepted MAIL of the carried transaction."""
        self.carried = None

    def give_up_setup(self) -> None:
        """Drops the rest of the setup; the server is READY."""
        self.setup = ()
        self.step(UpstreamStep.SET_UP)

    def reset(self) -> None:
        """The connection is reset in the middle of mail data."""
        self.step(UpstreamStep.RESET)
        self.end.close()

    def close(self) -> None:
        """The connection is closed: the server is left for another, or the session is over."""
        self.step(UpstreamStep.CLOSE)
        self.end.close()
