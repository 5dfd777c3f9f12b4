"""`FanOut`: assigns the replies to one message if a peer has a reply for each recipient. An SMTP server gives
one reply to a message, an LMTP server one for each recipient that it has accepted (RFC 2033 §4.2). A client
expects the same for its own protocol. The four pairs::

    server   client   the client gets
    ──────   ──────   ─────────────────────────────────────────────────────────────────────────────────
    SMTP     SMTP     the server's reply; needs no `FanOut`
    SMTP     LMTP     the server's reply, once for each recipient
    LMTP     LMTP     for each recipient the reply to that recipient, as soon as those before it are known
    LMTP     SMTP     one reply for all, when all are known: `summary`

The summary must not claim too much. So 2xx means that every recipient has the message::

    replies              summary
    ──────────────────   ────────────────────────────────────────────────────────────────────────────────
    all are 2xx          the first of them
    one is 4xx           4xx: the client tries again. Who has the message gets it again then: twice is
                         better than never.
    else one is 5xx      5xx: the sender is told. Who has the message keeps it.

A recipient that only a verdict has accepted is not known to the server: it gets 2xx, as the verdict meant.
The reply for a recipient that a verdict has added goes to no client; it is only in `results`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Origin, Reply

from .transaction import Envelope

__all__ = ["FanOut"]

_TAKEN: Final = Reply.of(250, "taken, by a rule", enhanced="2.1.5", origin=Origin.RULE)
_MOST_NAMED: Final = 20
"""The most refused recipients that a summary names, one in a line."""
_LONGEST_LINE: Final = 480
"""The most octets of the text of a line: a whole line has at most 512 (RFC 5321 §4.5.3.1.5)."""


@attrs.define(eq=False)
class FanOut:
    """The replies to one message. ``envelope`` is the client's; ``by_recipient``: the client gets a reply for
    each recipient in it, else one."""

    envelope: Envelope
    by_recipient: bool
    _server: tuple[Command, ...] = attrs.field(default=(), init=False)
    _server_replies: list[Reply] = attrs.field(factory=list[Reply], init=False)
    _server_by_recipient: bool = attrs.field(default=False, init=False)
    _given: int = attrs.field(default=0, init=False)
    # the number of replies given to the client

    def sent_to(self, recipients: Sequence[Command], *, by_recipient: bool) -> None:
        """The message goes to a server that has accepted these RCPT commands, and will give a reply for each
        of them, or one."""
        self._server, self._server_by_recipient = tuple(recipients), by_recipient

    def take(self, reply: Reply) -> list[Reply]:
        """Takes the next reply of the server. Returns the replies that the client gets now."""
        self._server_replies.append(reply)
        known = self._known()
        if not self.by_recipient:
            return [self.summary] if self.complete else []
        now = known[self._given :]
        self._given += len(now)
        return now

    @property
    def next_recipient(self) -> Command | None:
        """The RCPT that the server's next reply is for: the client's, or one that a verdict has added; None
        if the reply is for all."""
        number = len(self._server_replies)
        if not self._server_by_recipient or number >= len(self._server):
            return None
        sent = self._server[number]
        of_client = (each for each in self.envelope.recipients if self.envelope.sent_for(each) is sent)
        return next(of_client, sent)

    def results(self, last: Reply) -> tuple[tuple[Command, Reply], ...]:
        """Each recipient with its reply: those of the client, then those that a verdict has added. ``last``
        is the reply for all recipients for which the server gives none. Empty if the server has given no
        reply."""
        if not self._server_replies:
            return ()
        recipients = self.envelope.recipients
        sent = {self.envelope.sent_for(recipient) for recipient in recipients}
        added = [
            (recipient, self._reply_to(number))
            for number, recipient in enumerate(self._server)
            if recipient not in sent
        ]
        known = self._known()
        known += [last] * (len(recipients) - len(known))
        found = [*zip(recipients, known, strict=True), *added]
        return tuple((recipient, reply) for recipient, reply in found if reply is not None)

    @property
    def summary(self) -> Reply:
        """One reply for all recipients of the client with a known result: see the module."""
        known = self._known()
        severity = max((reply.severity for reply in known), key=_WEIGHT.index, default=2)
        if severity == 2:
            return next((reply for reply in known if reply is not _TAKEN), _TAKEN)
        told = zip(self.envelope.recipients, known, strict=False)
        refused = [(to, reply) for to, reply in told if reply.severity != 2]
        worst = next(reply for reply in known if reply.severity == severity)
        if len(known) == 1:
            return worst
        return _told(worst, refused, len(known))

    @property
    def complete(self) -> bool:
        """True if the server has given all its replies."""
        owed = len(self._server) if self._server_by_recipient else 1
        return len(self._server_replies) >= owed

    def _reply_to(self, number: int) -> Reply | None:
        """The server's reply for its recipient of this number; None if there is none yet."""
        at = number if self._server_by_recipient else 0
        return self._server_replies[at] if at < len(self._server_replies) else None

    def _known(self) -> list[Reply]:
        """The replies for the client's recipients, in their order, up to the first that is not known."""
        numbers = {recipient: number for number, recipient in enumerate(self._server)}
        known: list[Reply] = []
        for recipient in self.envelope.recipients:
            number = numbers.get(self.envelope.sent_for(recipient))
            reply = _TAKEN if number is None else self._reply_to(number)
            if reply is None:
                break
            known.append(reply)
        return known


_WEIGHT: Final = (2, 5, 4)
"""The severities in the order of priority for a summary: the last one wins."""


def _told(worst: Reply, refused: Sequence[tuple[Command, Reply]], recipients: int) -> Reply:
    """A reply with the code of the worst one, which lists the refused recipients and their replies."""
    lines = [_line(to, reply) for to, reply in refused[:_MOST_NAMED]]
    if len(refused) > _MOST_NAMED:
        lines.append(b"and %d more" % (len(refused) - _MOST_NAMED))
    if len(refused) < recipients:
        lines.append(b"refused for %d of %d recipients, the others have it" % (len(refused), recipients))
    return Reply.of(worst.code, *lines, enhanced=worst.enhanced or "", origin=worst.origin)


def _line(to: Command, reply: Reply) -> bytes:
    path = to.path
    line = f"<{path.address if path else '?'}>: {reply}".encode("utf-8", "backslashreplace")
    return line[:_LONGEST_LINE]
