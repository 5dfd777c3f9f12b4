"""The mail transaction (RFC 5321 §3.3), as one end of a dialogue knows it.

Each end has one. The end that faces the client keeps what the client was told; the end that faces a server
keeps what that server has accepted. The two differ if a verdict has answered in place of the server::

    NONE ──2xx to MAIL──> OPEN ──2xx to RCPT──> OPEN, one recipient more
      ^                    │
      └────────────────────┘  2xx to RSET, EHLO, HELO; any final reply to end-of-data or to the last chunk;
                              4xx or 5xx to any chunk

A transaction follows the replies. It never refuses a command: the server refuses commands out of sequence.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from sansio_smtp.members import EFFECT_ADD_RECIPIENT, EFFECT_BEGIN
from sansio_smtp.states import TRANSACTION, TransactionState
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command, Path
from sansio_smtp.wire.replies import Reply

__all__ = ["Envelope", "Transaction"]

_STANDS_FOR: Final = {Kind.END_OF_DATA: b".", Kind.LAST_CHUNK: b".", Kind.CHUNK: b"BDAT n"}
"""Kind → its key in `TRANSACTION`; for every other kind the key is the verb."""
_COMMANDS: Final[type[list[Command]]] = list
"""Makes a list in a third of the time that ``list[Command]`` takes."""


@attrs.define(eq=False)
class Envelope:
    """The MAIL and RCPT commands of one mail transaction that were accepted, in order. Read only."""

    mail: Command | None = None
    recipients: list[Command] = attrs.field(factory=_COMMANDS)
    _replaced: dict[Command, Command] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def reverse_path(self) -> Path | None:
        """The path of MAIL; None if no MAIL was accepted, or if its path cannot be read."""
        return self.mail.path if self.mail else None

    @property
    def forward_paths(self) -> list[Path]:
        """The paths of the accepted recipients, without those that cannot be read."""
        return [path for command in self.recipients if (path := command.path)]

    def sent_for(self, recipient: Command) -> Command:
        """The RCPT that was sent to a server for this one: the same object, unless a verdict has replaced
        it."""
        return recipient if self._replaced is None else self._replaced.get(recipient, recipient)

    def went_as(self, recipient: Command, sent: Command) -> None:
        """Another RCPT was sent to a server for this one."""
        if self._replaced is None:
            self._replaced = {}
        self._replaced[recipient] = sent

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For Hypothesis: a call that makes this envelope again, to paste into a test. Secrets are masked."""
        printer.text("Envelope(")
        printer.pretty(self.mail)
        printer.text(", ")
        printer.pretty(self.recipients)
        printer.text(")")

    def copy(self) -> Envelope:
        """A copy with the same commands."""
        other = Envelope(self.mail, self.recipients.copy())
        for recipient, sent in (self._replaced or {}).items():
            other.went_as(recipient, sent)
        return other

    def declared(self, keyword: str) -> str | None:
        """The value of a MAIL parameter, ``""`` if it has none, None if it was not given."""
        path = self.reverse_path
        return path.parameter(keyword) if path else None


@attrs.define(eq=False)
class Transaction:
    """Follows the replies. ``envelope`` is a new `Envelope` object for each transaction, and after each."""

    envelope: Envelope = attrs.field(factory=Envelope)

    @property
    def open(self) -> bool:
        """True if MAIL was accepted and the transaction has not ended."""
        return self.envelope.mail is not None

    @property
    def is_new(self) -> bool:
        """True if no command of a transaction has been accepted since the last one ended."""
        return self.envelope.mail is None and not self.envelope.recipients

    @property
    def state(self) -> TransactionState:
        return TransactionState.NONE if self.envelope.mail is None else TransactionState.OPEN

    def answered(self, command: Command, reply: Reply) -> None:
        """Applies the reply to a command or, for `END_OF_DATA`, to a message."""
        self.moved(command, reply.code // 100)

    def moved(self, command: Command, severity: int) -> None:
        """Applies a reply whose code begins with this digit."""
        verb = _STANDS_FOR.get(command.kind) or command.verb
        effect = TRANSACTION.get((verb, severity))
        if effect is None:
            return
        if effect is EFFECT_ADD_RECIPIENT:
            self.envelope.recipients.append(command)
        elif effect is EFFECT_BEGIN:
            self.envelope = Envelope(command)
        elif self.envelope.mail is not None or self.envelope.recipients:
            self.envelope = Envelope()
