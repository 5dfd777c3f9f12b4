"""The records of an account: what became of a message, or of a command that was refused.

They are plain values. `Account` fills them, `lines` writes them to the log, and metrics count them.
"""

from __future__ import annotations

from enum import Enum

import attrs

from .kept import Kept

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
"""A value of `Recipient.by`: the upstream server. The others are `PROXY` and ``rule:NAME``."""
PROXY = "proxy"


class Fate(Enum):
    """The result of a message, for one recipient or for all."""

    __hash__ = object.__hash__  # members are singletons

    RELAYED = "relayed"
    """The server has taken it."""
    KEPT = "kept"
    """The built-in server has kept it: it is not delivered."""
    REFUSED = "refused"
    """It was answered 4xx or 5xx: the client stays responsible for it."""
    DISCARDED = "discarded"
    """A rule has accepted it and dropped it."""
    HELD = "held"
    """It is in the quarantine."""
    SPLIT = "split"
    """The result is not the same for all recipients."""


@attrs.define(eq=False)
class Recipient:
    """One recipient of a message."""

    address: str
    fate: Fate
    by: str
    """Who decided the reply: `SERVER`, `PROXY`, or ``rule:NAME``."""
    reply: str
    """The reply in one line, secrets masked."""
    sent_as: str = ""
    """The address that the server was told, if a rule has replaced it."""
    added: bool = False
    """True if a rule has added this recipient."""
    queue_id: str = ""
    """The queue id of the server, if the reply for this recipient names it."""


@attrs.define
class Seconds:
    """How long a message has waited for each party, from the client's first command after the previous
    message to the reply."""

    client: float = 0.0
    rules: float = 0.0
    server: float = 0.0

    @property
    def total(self) -> float:
        return self.client + self.rules + self.server


@attrs.define(eq=False)
class MessageRecord:
    """The result of one message that the client has offered."""

    sender: str
    """The address of the reverse-path, as the client has sent it; empty for the null reverse-path."""
    recipients: tuple[Recipient, ...]
    """Recipients that were accepted, and those that rules have added."""
    by: str
    """Who decided ``reply``: see `Recipient.by`."""
    reply: str
    """The reply to the client, in one line, secrets masked."""
    code: int
    """The code of that reply."""
    command: str = ""
    """``DATA`` if the message was refused before any of it was sent; else empty."""
    message_id: str = ""
    received: int | None = None
    """The number of decoded octets from the client; None if the message is incomplete."""
    size: int | None = None
    """The number of decoded octets sent to the server."""
    upstream: str = ""
    """The address of the server; empty if none was connected."""
    upstream_tls: str = ""
    """The version of TLS to the server; empty in plain text."""
    queue_id: str = ""
    """The queue id of the server, if ``reply`` names it."""
    held_as: str = ""
    """The file in the quarantine."""
    reason: str = ""
    """Why a rule holds it."""
    seconds: Seconds | None = None
    bare_lf: str = ""
    """What was done about lines that the client has ended in LF without CR: they were ``normalised`` or
    ``refused``. Empty if there were none."""
    login: str = ""
    """The name with which the client has logged in; empty if it has not, or if the name is unknown."""
    kept: Kept | None = None
    """What the built-in server has kept; None if it went to another server, or nowhere."""

    @property
    def fate(self) -> Fate:
        """The result of the message: `Fate.SPLIT` if recipients differ."""
        fates = {recipient.fate for recipient in self.recipients}
        if len(fates) == 1:
            return fates.pop()
        return Fate.SPLIT if fates else _of_nobody(self)


def _of_nobody(record: MessageRecord) -> Fate:
    """The fate of a message without recipients: only a server can have accepted one."""
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
    """Who decided the reply: see `Recipient.by`."""
    reply: str
    """The reply in one line, secrets masked."""
    code: int
    upstream: str = ""
    login: str = ""
    """As `MessageRecord.login`."""


@attrs.define(eq=False)
class SessionRecord:
    """A session without any answered message or refused command, or one that ended during a mail
    transaction."""

    helo: str
    """The name that the client gave in EHLO or HELO; empty if it gave none."""
    seconds: float
    """The seconds that the client was connected."""
    upstream: str = ""
    by: str = ""
    """Who decided the last reply, if that was 4xx or 5xx: see `Recipient.by`."""
    reply: str = ""
    """That reply in one line, secrets masked."""
    sender: str | None = None
    """The address of the reverse-path of the mail transaction; None if none was open."""
    recipients: tuple[str, ...] = ()
    """Its recipients, as far as they were accepted."""
    message_id: str = ""
    """The field Message-ID of its message, if it has come."""


Record = MessageRecord | RefusalRecord | SessionRecord
