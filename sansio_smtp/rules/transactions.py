"""The mail transactions of a connection as rules see them, matched to the envelopes of the core. The core has
an `Envelope`, which follows the replies that the client got. Rules have a `Transaction`, which begins with
the question about MAIL, before any reply, and keeps the verdicts and data of rules. The client's MAIL command
is the same object in both, and so matches one to the other::

    dialogue                                      `Transactions` has
    ────────                                      ──────────────────
    question about MAIL: `begin`                  the open one, and the next one
    2xx to MAIL: the envelope has this MAIL       the next one is open now
    4xx, 5xx to MAIL: the envelope is as before   the open one
    end-of-data, RSET: the envelope has no MAIL   none

A second MAIL does not end an open transaction if the server refuses it (RFC 5321 §4.1.4). So there are two
transactions until the envelope shows which one is open. What must never happen is that a verdict on one
transaction takes effect in another.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

import attrs

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import MessageAnswered
from sansio_smtp.wire.commands import Command

from .connection import Connection
from .verdicts import Discard, Hold, Verdict
from .views import Delivery, Recipient, Sender, Transaction

__all__ = ["RuleTransaction", "Transactions"]

_Named: TypeAlias = dict[int, tuple[Command, Recipient]]


@attrs.define(eq=False, init=False)
class RuleTransaction:
    """One mail transaction, with the verdicts of rules that take effect at DATA or later."""

    command: Command
    """The client's MAIL."""
    tx: Transaction
    """The transaction that rules see."""
    utf8: bool
    """True if MAIL has declared SMTPUTF8."""
    sent: Command | None
    """MAIL as sent to the server, after rules; None before."""
    fate: Hold | Discard | None
    """The verdict for the coming message: the first such verdict of a rule. None: the message passes."""
    discarded: list[Command]
    """The client's RCPTs that were answered 250 and not sent to the server."""
    count: int
    """The number of remembered RCPTs, accepted by the server or not."""
    _named: _Named
    _shown: list[Command]
    """The RCPTs whose recipients rules see."""

    def __init__(self, conn: Connection, command: Command, sender: Sender | None = None) -> None:
        """``sender``: None if no rule is asked about MAIL; then it is made at its first use."""
        named: _Named = {}
        shown: list[Command] = []
        if sender is not None:
            utf8 = sender.utf8
        else:  # rare, so the path is not read to find it
            utf8 = b"SMTPUTF8" in command.raw.upper() and Sender(command).utf8
        self.command = command
        self.utf8 = utf8
        self.sent = self.fate = None
        self.discarded = []
        self.count = 0
        self._named = named
        self._shown = shown
        # The function must not refer to this object, to avoid a reference cycle.
        find = partial(_recipients, named, utf8)
        self.tx = Transaction(conn, sender, mail=command, commands=shown, find=find)

    def note(self, verdict: Verdict | None) -> None:
        """Keeps a verdict that takes effect when the message comes; others are ignored."""
        if self.fate is None and isinstance(verdict, Hold | Discard):
            self.fate = verdict

    def named(self, command: Command, to: Recipient) -> None:
        """This RCPT goes to the server."""
        self._named[id(command)] = (command, to)
        self._shown.append(command)
        self.count += 1

    def dropped(self, command: Command) -> None:
        """This RCPT is answered 250 and not sent to the server."""
        self.discarded.append(command)
        self.count += 1

    def told(self, sent: Command) -> None:
        """This MAIL is sent to the server."""
        self.sent = sent

    def settle(self, accepted: list[Command]) -> bool:
        """At DATA: ``accepted`` are the RCPTs to which the client got 2xx. From now on rules see these
        recipients, without the discarded ones. Returns True if the server has at least one recipient."""
        if self.discarded:
            discarded = set(map(id, self.discarded))
            accepted = [command for command in accepted if id(command) not in discarded]
        if accepted != self._shown:
            self._shown = accepted.copy()
            self.tx.named_by(partial(_recipients, self._named, self.utf8), self._shown)
        return bool(accepted)

    def recipient(self, command: Command) -> Recipient:
        """The recipient of this RCPT, as rules see it."""
        return _recipient(self._named, self.utf8, command)

    def results(self, answered: MessageAnswered) -> tuple[Delivery, ...]:
        """The result of the message for each recipient that rules know, and for those that they have added if
        the server has replied for each."""
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


def _recipient(named: _Named, utf8: bool, command: Command) -> Recipient:
    """The recipient of this RCPT, as rules see it. The value keeps the command, so that its id is not
    reused."""
    found = named.get(id(command))
    if found is not None:
        return found[1]
    return Recipient(command, utf8=utf8, is_final=True)


def _recipients(named: _Named, utf8: bool, commands: list[Command]) -> list[Recipient]:
    return [_recipient(named, utf8, command) for command in commands]


@attrs.define(eq=False)
class Transactions:
    """The open transaction of a connection, and the next one, whose MAIL has no reply yet."""

    conn: Connection
    _open: RuleTransaction | None = None
    _next: RuleTransaction | None = None

    def begin(self, command: Command, sender: Sender) -> RuleTransaction:
        """Makes the next transaction, before rules are asked about this MAIL."""
        self._next = RuleTransaction(self.conn, command, sender)
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
        mail = self._open = RuleTransaction(self.conn, command)
        if envelope.recipients:
            mail.settle(envelope.recipients)
        return mail

    def current(self, envelope: Envelope, command: Command | None = None) -> Transaction:
        """The transaction for rules. ``command`` is the answered command, in phase ``reply``: if it is the
        MAIL of the next transaction, that one is returned."""
        if (
            self._next is not None
            and command is not None
            and command in (self._next.command, self._next.sent)
        ):
            return self._next.tx
        mail = self.of(envelope)
        return mail.tx if mail else Transaction(self.conn)
