"""The mail transaction (RFC 5321 §3.3) as the client was told it stands. An open world: it follows
replies, it never judges a command."""

from __future__ import annotations

import attrs

from sansio_smtp.states import TRANSACTION, Effect
from sansio_smtp.wire.commands import Command, Kind, Path
from sansio_smtp.wire.replies import Reply

__all__ = ["Envelope", "Transaction"]


@attrs.define(eq=False)
class Envelope:
    """The accepted MAIL and RCPT commands of one mail transaction, in order."""

    mail: Command | None = None
    recipients: list[Command] = attrs.field(factory=list[Command])

    @property
    def reverse_path(self) -> Path | None:
        """The path of MAIL, or None before it or if it could not be read."""
        return self.mail.path if self.mail else None

    @property
    def forward_paths(self) -> list[Path]:
        """The paths of the accepted recipients that could be read."""
        return [path for command in self.recipients if (path := command.path)]

    def declared(self, keyword: str) -> str | None:
        """The value of a MAIL parameter, ``""`` if it has none, None if it was not given."""
        path = self.reverse_path
        return path.parameter(keyword) if path else None


@attrs.define(eq=False)
class Transaction:
    """Keeps the envelope in step with the replies."""

    envelope: Envelope = attrs.field(factory=Envelope)

    @property
    def open(self) -> bool:
        return self.envelope.mail is not None

    def answered(self, command: Command, reply: Reply) -> None:
        verb = b"." if command.kind is Kind.END_OF_DATA else command.verb
        effect = TRANSACTION.get((verb, reply.code // 100))
        if effect is Effect.ADD_RECIPIENT:
            self.envelope.recipients.append(command)
        elif effect is Effect.BEGIN:
            self.envelope = Envelope(command)
        elif effect is Effect.END and self.envelope.mail is not None:
            self.envelope = Envelope()
