"""The mail transactions of a connection as rules see them, matched to the envelopes of the core.

The core has an `Envelope`, which follows the replies that the client got. Rules have a `Transaction`, which
lasts from the question about MAIL on, before there is any reply, and keeps what rules have said and
remembered. The client's MAIL command, the same object in both, matches one to the other::

    dialogue                                      `Transactions` has
    ────────                                      ──────────────────
    question about MAIL: `begin`                  the open one, and the next one
    2xx to MAIL: the envelope has this MAIL       the next one is open now
    4xx, 5xx to MAIL: the envelope is as before   the open one
    end-of-data, RSET: the envelope has no MAIL   none

A second MAIL does not end an open transaction if the server refuses it (RFC 5321 §4.1.4): so there are two,
until it is known which one the envelope names. What must never happen is that a verdict on one transaction
takes effect in another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import attrs

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import MessageAnswered
from sansio_smtp.wire.commands import Command

from .connection import Connection
from .verdicts import Discard, Hold, Verdict
from .views import Delivery, Recipient, Sender, Transaction

__all__ = ["RuleTransaction", "Transactions"]

# To call `list[Command]`, which is as good for a type checker, takes 0.4 µs, ten times as long.
_no_commands: Final = cast("type[list[Command]]", list)
_none_named: Final = cast("Callable[[], dict[int, tuple[Command, Recipient]]]", dict)


@attrs.define(eq=False)
class RuleTransaction:
    """One mail transaction, with the verdicts of rules that take effect at DATA or later. ``command`` is the
    client's MAIL; ``tx`` is what rules see."""

    command: Command
    tx: Transaction
    sent: Command | None = None
    """MAIL as it is sent to the server, after rules; None before."""
    fate: Hold | Discard | None = None
    """What becomes of the message when it comes: the first such verdict of a rule. None: it goes on."""
    discarded: list[Command] = attrs.field(factory=_no_commands)
    """The client's RCPTs that were answered 250 and not sent to the server."""
    _named: dict[int, tuple[Command, Recipient]] = attrs.field(factory=_none_named)

    @property
    def count(self) -> int:
        """Number of the RCPTs that are remembered, accepted by the server or not."""
        return len(self._named) + len(self.discarded)

    def note(self, verdict: Verdict | None) -> None:
        """Keeps a verdict that takes effect when the message comes; others are ignored."""
        if self.fate is None and isinstance(verdict, Hold | Discard):
            self.fate = verdict

    def named(self, command: Command, to: Recipient) -> None:
        """This RCPT goes to the server."""
        self._named[id(command)] = (command, to)
        self.tx.name_one_more(to)

    def dropped(self, command: Command) -> None:
        """This RCPT is answered 250 and not sent to the server."""
        self.discarded.append(command)

    def told(self, sent: Command) -> None:
        """The server is sent this MAIL."""
        self.sent = sent

    def settle(self, accepted: list[Command]) -> bool:
        """At DATA: ``accepted`` are the RCPTs to which the client got 2xx. From now on rules see these
        recipients, without the discarded ones. Returns True if the server has at least one recipient."""
        if self.discarded:
            discarded = set(map(id, self.discarded))
            accepted = [command for command in accepted if id(command) not in discarded]
        # A command is kept in its value, so its id is not used again.
        recipients = [self.recipient(command) for command in accepted]
        self.tx.named(*recipients)
        return bool(recipients)

    def recipient(self, command: Command) -> Recipient:
        """What rules see of this RCPT."""
        named = self._named.get(id(command))
        return self._unknown(command) if named is None else named[1]

    def results(self, answered: MessageAnswered) -> tuple[Delivery, ...]:
        """What became of the message, for each recipient that rules know of, and for those that they have
        added if the server has told that."""
        found = answered.results or [(to, answered.reply) for to in answered.envelope.recipients]
        discarded = set(map(id, self.discarded))
        return tuple(
            Delivery(self.recipient(command), reply)
            for command, reply in found
            if id(command) not in discarded
        )

    def take_added(self) -> tuple[Command, ...]:
        """Takes the recipients that rules have added since the last call."""
        return self.tx.forget_added()

    def _unknown(self, command: Command) -> Recipient:
        return Recipient(command, utf8=self.tx.utf8, is_final=True)


@attrs.define(eq=False)
class Transactions:
    """The open transaction of a connection, and the next one, whose MAIL has no reply yet."""

    conn: Connection
    _open: RuleTransaction | None = None
    _next: RuleTransaction | None = None

    def begin(self, command: Command, sender: Sender) -> RuleTransaction:
        """Rules are about to be asked about this MAIL: makes the next transaction."""
        self._next = RuleTransaction(command, Transaction(self.conn, sender))
        return self._next

    def of(self, envelope: Envelope) -> RuleTransaction | None:
        """The transaction that this envelope of the core belongs to; None if it holds no MAIL."""
        command = envelope.mail
        if command is None:
            return None
        mail = self._open
        if mail is not None and mail.command is command:
            return mail
        mail = self._next
        if mail is not None and mail.command is command:
            self._open = mail
            return mail
        self._open = RuleTransaction(command, Transaction(self.conn, Sender(command, is_final=True)))
        return self._open

    def current(self, envelope: Envelope, command: Command | None = None) -> Transaction:
        """The transaction that rules are shown. ``command`` is the command that is being answered, in phase
        ``reply``: if it is the MAIL of the next transaction, that one is shown."""
        if (
            self._next is not None
            and command is not None
            and command in (self._next.command, self._next.sent)
        ):
            return self._next.tx
        mail = self.of(envelope)
        return mail.tx if mail else Transaction(self.conn)
