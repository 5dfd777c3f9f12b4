"""The records of an account: what became of a message, or of a command that was refused.

They are plain values. `Account` fills them, `lines` makes lines of the log of them; a program that counts
messages reads the same.
"""

from __future__ import annotations

from enum import Enum

import attrs

__all__ = [
    "PROXY",
    "SERVER",
    "Fate",
    "MessageRecord",
    "Recipient",
    "Record",
    "RefusalRecord",
    "Seconds",
    "SessionRecord",
]

SERVER = "server"
"""By whom something was said: the upstream server. Else it is `PROXY`, or ``rule:NAME``."""
PROXY = "proxy"


class Fate(Enum):
    """What became of a message, for one recipient or for all."""

    __hash__ = object.__hash__  # members are singletons

    RELAYED = "relayed"
    """The server has taken it."""
    REFUSED = "refused"
    """It was answered 4xx or 5xx: the client is responsible for it."""
    DISCARDED = "discarded"
    """A rule has accepted it, and nobody has it."""
    HELD = "held"
    """It is in the quarantine."""
    SPLIT = "split"
    """It is not the same for all recipients."""


@attrs.define(eq=False)
class Recipient:
    """One recipient of a message."""

    address: str
    fate: Fate
    by: str
    """Who has said so: `SERVER`, `PROXY`, or ``rule:NAME``."""
    reply: str
    """The reply in one line, secrets masked."""
    sent_as: str = ""
    """The address that the server was told, if a rule has replaced it."""
    added: bool = False
    """True if a rule has added this recipient."""


@attrs.define
class Seconds:
    """For whom a message has waited, and how long: from the client's first command after the message before
    it, to the reply."""

    client: float = 0.0
    rules: float = 0.0
    server: float = 0.0

    @property
    def total(self) -> float:
        return self.client + self.rules + self.server


@attrs.define(eq=False)
class MessageRecord:
    """What became of one message that the client has offered."""

    sender: str
    """The address of the reverse-path, as the client has sent it; empty for the null reverse-path."""
    recipients: tuple[Recipient, ...]
    """Those that were accepted, and those that rules have added."""
    by: str
    """Who has said ``reply``."""
    reply: str
    """What the client is told, in one line, secrets masked."""
    code: int
    """The code of that reply."""
    command: str = ""
    """``DATA`` if it was refused before any of it was sent; else empty."""
    message_id: str = ""
    received: int | None = None
    """The decoded octets that came from the client; None if not all of them did."""
    size: int | None = None
    """The decoded octets that went to the server."""
    upstream: str = ""
    """The address of the server; empty if none was connected."""
    upstream_tls: str = ""
    """The version of TLS to the server; empty in plain text."""
    queue_id: str = ""
    """What the server calls the message, if its reply says so."""
    held_as: str = ""
    """The file in the quarantine."""
    reason: str = ""
    """Why a rule holds it."""
    seconds: Seconds | None = None

    @property
    def fate(self) -> Fate:
        """What became of it, if that is the same for all recipients."""
        fates = {recipient.fate for recipient in self.recipients}
        if len(fates) == 1:
            return fates.pop()
        return Fate.SPLIT if fates else _of_nobody(self)


def _of_nobody(record: MessageRecord) -> Fate:
    """The fate of a message without recipients, which only a server can have accepted."""
    if record.code >= 400:
        return Fate.REFUSED
    return Fate.RELAYED if record.by == SERVER else Fate.DISCARDED


@attrs.define(eq=False)
class RefusalRecord:
    """A MAIL or RCPT that was answered 4xx or 5xx."""

    verb: str
    sender: str | None
    """The address of the reverse-path; None if there is no mail transaction."""
    recipient: str | None
    """The address of the forward-path; None for MAIL."""
    by: str
    """Who has said so: see `Recipient.by`."""
    reply: str
    """The reply in one line, secrets masked."""
    code: int
    upstream: str = ""


@attrs.define(eq=False)
class SessionRecord:
    """A session in which no message was answered and nothing refused; or that has ended in a mail
    transaction."""

    helo: str
    """What the client called itself; empty if it has said nothing."""
    seconds: float
    """How long it was connected."""
    upstream: str = ""
    by: str = ""
    """Who has said the last reply, if that was 4xx or 5xx: see `Recipient.by`."""
    reply: str = ""
    """That reply in one line, secrets masked."""
    sender: str | None = None
    """The address of the reverse-path of the mail transaction; None if none was open."""
    recipients: tuple[str, ...] = ()
    """Its recipients, as far as they were accepted."""


Record = MessageRecord | RefusalRecord | SessionRecord
