"""Hook places as questions: data that goes out, answered by a later input.

Each question type is bound to the verdicts that make sense there, for the type checker and at run
time. The core never awaits: a question stays open until `Proxy.answer`, and until then the client
is not read.
"""

from __future__ import annotations

from typing import ClassVar, Final, Generic, TypeAlias, TypeVar

import attrs

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from .errors import LocalProtocolError

__all__ = [
    "BODY_CHUNK",
    "BODY_LINE",
    "BODY_LINES",
    "COMMAND",
    "HEADERS",
    "IN_TURN",
    "MESSAGE",
    "PLACES",
    "REPLY",
    "Answer",
    "AnyQuestion",
    "AnyVerdict",
    "BodyQuestion",
    "CommandQuestion",
    "Continue",
    "Disconnect",
    "HeadersQuestion",
    "Inspect",
    "MessageQuestion",
    "Question",
    "Replace",
    "ReplaceCommand",
    "ReplaceReply",
    "ReplyQuestion",
    "Route",
    "Swallow",
]

COMMAND: Final = "COMMAND"
REPLY: Final = "REPLY"
HEADERS: Final = "HEADERS"
BODY_CHUNK: Final = "BODY_CHUNK"
BODY_LINE: Final = "BODY_LINE"
BODY_LINES: Final = "BODY_LINES"
MESSAGE: Final = "MESSAGE"
IN_TURN: Final = "IN_TURN"
"""No place: a command is asked about when what came before it has been answered (a RCPT does not
wait for other RCPTs), so that the envelope of a question does not depend on when replies arrive."""
PLACES: Final = frozenset((COMMAND, REPLY, HEADERS, BODY_CHUNK, BODY_LINE, BODY_LINES, MESSAGE, IN_TURN))
"""Names for ``Proxy(ask=...)``; besides these a verb, such as ``"RCPT"``, asks for that command only."""


@attrs.frozen
class Continue:
    """Pass it on as it is.

    ``recipients`` are RCPT commands that the proxy sends of its own accord before DATA: for a DATA command,
    and for a whole message. If the server refuses one, the message is
    answered 451.
    """

    recipients: tuple[Command, ...] = ()


@attrs.frozen
class Answer:
    """Answer the client with this final reply; nothing of what was asked goes to the server."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if self.reply.code // 100 == 3:
            raise LocalProtocolError("a verdict is a final reply, 2xx, 4xx or 5xx; 3xx opens a continuation")


@attrs.frozen
class Disconnect:
    """Answer the client with this reply (4xx or 5xx) and end the session on both sides."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if self.reply.severity not in (4, 5):
            raise LocalProtocolError("a session is ended by a 4xx or 5xx reply")


@attrs.frozen
class ReplaceCommand:
    """Send this command in its place. It must have the same verb: framing depends on it."""

    command: Command


@attrs.frozen
class ReplaceReply:
    """Send this reply in its place. It must have the same severity: framing depends on it."""

    reply: Reply


@attrs.frozen
class Replace:
    """Send these decoded octets in its place; line ends and dots are taken care of. ``recipients``: see
    `Continue`. ``rest``, for a whole message: what stands there from this octet on follows them as it is."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    recipients: tuple[Command, ...] = ()
    rest: int | None = None


@attrs.frozen
class Inspect:
    """For DATA: pass it on, and for this message ask at these content places instead of those of ``ask``.
    None of them: the message is relayed unseen. ``recipients``: see `Continue`."""

    places: frozenset[str]
    recipients: tuple[Command, ...] = ()


@attrs.frozen
class Swallow:
    """For DATA: take the message from the client, drop it, and answer its end with this final reply. The
    server never sees the message."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if self.reply.severity == 3:
            raise LocalProtocolError("a message is answered 2xx, 4xx or 5xx")


@attrs.frozen
class Route:
    """Pass it on, as ``command`` if that is given, to the server ``upstream``; None is the one that the
    driver connected first.

    Of a greeting command or AUTH it holds from then on, of MAIL for the mail transaction. If it is another
    server than the one that is connected, `Connect` asks the driver for it, and the client's EHLO and MAIL
    are said again there. A RCPT that goes elsewhere than one before it is answered 452 4.5.3.
    """

    upstream: str | None
    command: Command | None = None


V = TypeVar("V")


@attrs.define(eq=False)
class Question(Generic[V]):
    """An open hook. ``verdicts`` are the types that `Proxy.answer` takes for it."""

    verdicts: ClassVar[tuple[type, ...]]


CommandVerdict: TypeAlias = Continue | ReplaceCommand | Answer | Disconnect | Inspect | Swallow | Route
ReplyVerdict: TypeAlias = Continue | ReplaceReply | Disconnect
ContentVerdict: TypeAlias = Continue | Replace | Answer | Disconnect


@attrs.define(eq=False)
class CommandQuestion(Question[CommandVerdict]):
    """A command of the client, before the server sees it."""

    verdicts: ClassVar = (Continue, ReplaceCommand, Answer, Disconnect, Inspect, Swallow, Route)
    command: Command
    envelope: Envelope


@attrs.define(eq=False)
class ReplyQuestion(Question[ReplyVerdict]):
    """A reply of the server, before the client sees it; ``command`` is None for the greeting."""

    verdicts: ClassVar = (Continue, ReplaceReply, Disconnect)
    reply: Reply
    command: Command | None
    envelope: Envelope


@attrs.define(eq=False)
class HeadersQuestion(Question[ContentVerdict]):
    """The header section, decoded, with the empty line that ends it (unless the message has none)."""

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope


@attrs.define(eq=False)
class BodyQuestion(Question[ContentVerdict]):
    """Decoded content as it streams: a piece (BODY_CHUNK), a line with its CRLF (BODY_LINE), or as many whole
    lines as there are (BODY_LINES). A line that is longer than `Config.max_body_line` comes in pieces.

    The whole content if HEADERS is not asked, else what follows the header section. ``last`` marks
    the end: it may come with octets or without, and its replacement is the last that is sent.
    """

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope
    last: bool = False


@attrs.define(eq=False)
class MessageQuestion(Question[ContentVerdict]):
    """The whole message, decoded, before the server has seen DATA. A memoryview if it is in a `Spool`, valid
    until the question is answered."""

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes | memoryview = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope


AnyQuestion: TypeAlias = CommandQuestion | ReplyQuestion | HeadersQuestion | BodyQuestion | MessageQuestion
AnyVerdict: TypeAlias = (
    Continue | ReplaceCommand | ReplaceReply | Replace | Answer | Disconnect | Inspect | Swallow | Route
)
