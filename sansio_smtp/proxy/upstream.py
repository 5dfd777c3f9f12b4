"""The leg to one server: its connection, its mail transaction, its state, and what it must be told first.

One object for each connection. Another server, or a new connection to the same one, is another `Upstream`; so
nothing that is known of a server can outlive it. What a server must hear before the client's commands is its
*setup*, a list of commands that are sent one at a time::

    CONNECTING ──> GREETING ──2xx──> SETUP ──EHLO, MAIL accepted──> READY ──reset in mail data──> DETACHED
                                       ^                              │
                                       └──── it must hear more ───────┘            anything ──> CLOSED

The first connection goes the same way. Its setup is empty, as the client has said nothing yet. Further
features add steps: a list of commands, not a flag.
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
    """A mail transaction that began on another connection: its MAIL as that server accepted it."""

    mail: Command
    envelope: Envelope
    """The client's. Each transaction has its own, so this one tells whether the transaction is still open."""


@attrs.define(eq=False)
class Upstream:
    """The leg to one server. ``name`` is how verdicts call it; None is the server that the driver connects
    first."""

    config: Config
    name: str | None = None
    carried: Carried | None = None
    """The transaction that it has not taken over yet."""
    setup: tuple[Command, ...] = attrs.field(default=(), init=False)
    """What it must still be told, in this order, before it is READY."""
    state: UpstreamState = attrs.field(default=UpstreamState.CONNECTING, init=False)
    end: ClientConnection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.end = ClientConnection(self.config)

    @property
    def detached(self) -> bool:
        """True if it was reset while the client is still served."""
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
        """What another connection must be told so that the client's open transaction, whose envelope this is,
        goes on there. None if no server has accepted its MAIL, or if this server has recipients that would be
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
        """Something has come from the server, which shows that it is connected."""
        self.step(UpstreamStep.CONNECTED)

    def greeted(self, setup: Sequence[Command]) -> None:
        """The server has greeted, and must be told this before the first command of the client."""
        self.step(UpstreamStep.GREETED)
        self.setup = tuple(setup)

    def prepare(self, setup: Sequence[Command]) -> None:
        """The server is READY, and must be told this before the next command of the client."""
        self.step(UpstreamStep.PREPARE)
        self.setup = tuple(setup)

    def next_setup(self) -> Command | None:
        """Takes the next step of the setup; None if there is none left, and the server is READY."""
        if not self.setup:
            self.step(UpstreamStep.SET_UP)
            return None
        first, *rest = self.setup
        self.setup = tuple(rest)
        return first

    def taken_over(self) -> None:
        """It has accepted the MAIL of the transaction that was carried over, which is its own from now on."""
        self.carried = None

    def give_up_setup(self) -> None:
        """The rest of the setup is not said, and the server is READY."""
        self.setup = ()
        self.step(UpstreamStep.SET_UP)

    def reset(self) -> None:
        """It was reset in the middle of mail data; nothing is known of it any more."""
        self.step(UpstreamStep.RESET)
        self.end.close()

    def close(self) -> None:
        """It is left, or the dialogue is over."""
        self.step(UpstreamStep.CLOSE)
        self.end.close()
