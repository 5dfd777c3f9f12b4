"""The mail transactions of a connection as rules know them, kept in step with the envelope of the core."""

from __future__ import annotations

import attrs

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import Command

from .verdicts import Discard, Hold, Verdict
from .views import Connection, Recipient, Sender, Transaction

__all__ = ["Mail", "Mails"]


@attrs.define(eq=False)
class Mail:
    """One mail transaction, and what rules have said of it so far. ``command`` is the client's MAIL."""

    command: Command
    tx: Transaction
    sent: Command | None = None
    """What the server is sent in its place, if it is another."""
    fate: Hold | Discard | None = None
    """What becomes of the message when it comes, whoever said so first."""
    discarded: list[Command] = attrs.field(factory=list[Command])
    """The client's RCPTs that were answered 250 and go nowhere."""
    _named: dict[int, tuple[Command, Recipient]] = attrs.field(factory=dict[int, tuple[Command, Recipient]])

    @property
    def count(self) -> int:
        """The recipients that are remembered, whatever the server has said of them."""
        return len(self._named) + len(self.discarded)

    @property
    def readable(self) -> bool:
        """Whether all addresses could be read."""
        sender = self.tx.mail_from
        return all(path.path is not None for path in (sender, *self.tx.rcpts) if path is not None)

    def note(self, verdict: Verdict | None) -> None:
        """Keeps what takes effect when the message comes."""
        if self.fate is None and isinstance(verdict, Hold | Discard):
            self.fate = verdict

    def named(self, command: Command, to: Recipient) -> None:
        """A RCPT that goes on to the server."""
        self._named[id(command)] = (command, to)
        self.tx.named(*self.tx.rcpts, to)

    def dropped(self, command: Command) -> None:
        """A RCPT that is answered 250 and goes nowhere."""
        self.discarded.append(command)

    def told(self, sent: Command) -> None:
        """The server is sent this MAIL."""
        self.sent = sent

    def settle(self, accepted: list[Command]) -> bool:
        """All replies are known: these are the RCPTs that the client takes for accepted. Whether any goes to
        the server."""
        self.tx.named(*(self._recipient(command) for command in accepted if command not in self.discarded))
        return bool(self.tx.rcpts)

    def take_added(self) -> tuple[Command, ...]:
        """The recipients that rules have added since this was last asked."""
        return self.tx.forget_added()

    def _recipient(self, command: Command) -> Recipient:
        known = self._named.get(id(command))  # the command is kept, so that its id stays its own
        if known:
            return known[1]
        return Recipient(command, is_final=True)


@attrs.define(eq=False)
class Mails:
    """The transaction that is open, and the one that may take its place once MAIL is accepted: a second MAIL
    does not, if the server refuses it (RFC 5321 §4.1.4)."""

    conn: Connection
    _open: Mail | None = None
    _next: Mail | None = None

    def begin(self, command: Command, sender: Sender) -> Mail:
        """MAIL is on its way."""
        self._next = Mail(command, Transaction(self.conn, sender))
        return self._next

    def of(self, envelope: Envelope) -> Mail | None:
        """The transaction that this envelope belongs to, None if there is none."""
        command = envelope.mail
        if command is None:
            return None
        for mail in (self._open, self._next):
            if mail is not None and mail.command is command:
                self._open = mail
                return mail
        self._open = Mail(command, Transaction(self.conn, Sender(command, is_final=True)))
        return self._open

    def current(self, envelope: Envelope, command: Command | None = None) -> Transaction:
        """What rules are shown; ``command``: the MAIL that is being answered, if one is."""
        if (
            self._next is not None
            and command is not None
            and command in (self._next.command, self._next.sent)
        ):
            return self._next.tx
        mail = self.of(envelope)
        return mail.tx if mail else Transaction(self.conn)
