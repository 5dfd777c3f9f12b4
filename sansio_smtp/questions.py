"""Questions of a proxy to its driver, and the verdicts that answer them.

A hook place is a point in the dialogue at which a proxy can ask. A question is an event (`Ask`), and its
verdict is a later input (`Proxy.answer`); until then the client is not parsed. Each type of question has the
verdicts that fit it, for a type checker and at run time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Generic, TypeAlias, TypeVar

import attrs

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login

from .arguments import wrong_type
from .client_info import ClientInfo, TlsInfo
from .errors import LocalProtocolError
from .names import checked_names
from .sasl_client import LoginAttempt, SaslClient

__all__ = [
    "BODY_CHUNK",
    "BODY_LINE",
    "BODY_LINES",
    "CLIENT_CHANGED",
    "COMMAND",
    "CONTENT_PLACES",
    "HEADERS",
    "IN_TURN",
    "LOGIN",
    "MESSAGE",
    "OTHER_VERBS",
    "PLACES",
    "REPLY",
    "Answer",
    "AnyQuestion",
    "AnyVerdict",
    "AttemptQuestion",
    "BodyQuestion",
    "ClientQuestion",
    "CommandQuestion",
    "Continue",
    "Disconnect",
    "HeadersQuestion",
    "Inspect",
    "LogIn",
    "LoginQuestion",
    "MessageQuestion",
    "Question",
    "Replace",
    "ReplaceCommand",
    "ReplaceReply",
    "ReplyQuestion",
    "Route",
    "Swallow",
    "Unasked",
    "asked_places",
]

COMMAND: Final = "COMMAND"
REPLY: Final = "REPLY"
HEADERS: Final = "HEADERS"
BODY_CHUNK: Final = "BODY_CHUNK"
BODY_LINE: Final = "BODY_LINE"
BODY_LINES: Final = "BODY_LINES"
MESSAGE: Final = "MESSAGE"
OTHER_VERBS: Final = "OTHER_VERBS"
"""The place of commands whose verb is not in the table `sansio_smtp.verbs.VERBS`."""
CLIENT_CHANGED: Final = "CLIENT_CHANGED"
"""The place at which XCLIENT has said who the client is, before it is greeted anew."""
LOGIN: Final = "LOGIN"
"""The place at which a client has said its name and password to the proxy: see `Config.login_mode`."""
IN_TURN: Final = "IN_TURN"
"""No hook place, but a way to ask: a command is asked about when the replies to all commands before it are
known (a RCPT does not wait for other RCPTs). So the envelope of a question does not depend on when replies
arrive."""
PLACES: Final = frozenset(
    (
        COMMAND,
        REPLY,
        HEADERS,
        BODY_CHUNK,
        BODY_LINE,
        BODY_LINES,
        MESSAGE,
        OTHER_VERBS,
        CLIENT_CHANGED,
        LOGIN,
        IN_TURN,
    )
)
"""Names for ``Proxy(ask=...)``. A verb, such as ``"RCPT"``, asks about that command only."""
CONTENT_PLACES: Final = frozenset((HEADERS, BODY_CHUNK, BODY_LINE, BODY_LINES, MESSAGE))
"""The hook places at which a question is about content."""
_ASKED: Final = PLACES | {verb.decode() for verb in VERBS}
_PRIVATE_USE: Final = "X"
"""The first letter of verbs for private use (RFC 5321 §4.1.5), which no table can list."""


def asked_places(names: object) -> frozenset[str]:
    """The names for ``Proxy(ask=...)`` as a set: hook places, verbs, and names of verbs for private use.

    Raises `LocalProtocolError` for all other names: nothing would ever be asked by them.
    """
    return checked_names(
        "ask",
        names,
        _ASKED,
        what="hook place or verb",
        example='{"RCPT", "HEADERS"}',
        prefix=_PRIVATE_USE,
    )


@attrs.frozen
class Continue:
    """Pass it on as it is.

    ``recipients`` are RCPT commands that the proxy adds before DATA. They are possible at a DATA command and
    for a whole message. If the server refuses one, the client gets 451 for its message.
    """

    recipients: tuple[Command, ...] = ()


@attrs.frozen
class Answer:
    """Answer the client with this final reply. The server does not get the command or message."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)
        if self.reply.code // 100 == 3:
            raise LocalProtocolError("a verdict is a final reply, 2xx, 4xx or 5xx; 3xx opens a continuation")


@attrs.frozen
class Disconnect:
    """Answer the client with this reply (4xx or 5xx) and end the session on both sides."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)
        if self.reply.severity not in (4, 5):
            raise LocalProtocolError("a session is ended by a 4xx or 5xx reply")


@attrs.frozen
class ReplaceCommand:
    """Send this command instead. It must have the same verb, which decides what the next octets are."""

    command: Command


@attrs.frozen
class ReplaceReply:
    """Send this reply instead. It must have the same first digit, which decides what the next octets are."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)


@attrs.frozen
class Replace:
    """Send these decoded octets instead; they are put in wire form. ``recipients``: see `Continue`. ``rest``,
    for a whole message: offset in the message that was asked about, from which on it follows ``data``
    unchanged; None: ``data`` is the whole message."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    recipients: tuple[Command, ...] = ()
    rest: int | None = None


def _no_reply(verdict: Answer | Disconnect | ReplaceReply | Swallow) -> TypeError:
    name = type(verdict).__name__
    return wrong_type(f"{name} takes a Reply", verdict.reply, f'such as {name}(Reply.of(550, "not here"))')


def _content_places(names: Iterable[str]) -> frozenset[str]:
    return checked_names(
        "Inspect", names, CONTENT_PLACES, what="hook place of content", example='{"HEADERS", "MESSAGE"}'
    )


@attrs.frozen
class Inspect:
    """For DATA: pass it on, and ask about this message at these content places instead of those in ``ask``.
    If it is empty, the message is relayed without a question. ``recipients``: see `Continue`. Raises
    `LocalProtocolError` for other names than `CONTENT_PLACES`."""

    places: frozenset[str] = attrs.field(converter=_content_places)
    recipients: tuple[Command, ...] = ()


@attrs.frozen
class Swallow:
    """For DATA: take the message from the client, drop it, and answer its end with this final reply. The
    server never sees the message."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)
        if self.reply.severity == 3:
            raise LocalProtocolError("a message is answered 2xx, 4xx or 5xx")


@attrs.frozen
class Route:
    """Pass the command, or ``command`` instead, to the server ``upstream``; None is the server that the
    driver connected first.

    For EHLO, HELO and AUTH it holds for the rest of the session, for MAIL for the mail transaction. If
    another server is connected, a `Connect` event asks the driver for this one, which is sent the client's
    EHLO and MAIL first. A RCPT for another server than an accepted RCPT before it is answered 452 4.5.3.
    """

    upstream: str | None
    command: Command | None = None


@attrs.frozen
class LogIn:
    """Log in to the server with this. It is used once: a further attempt needs another object."""

    client: SaslClient = attrs.field(repr=lambda client: client.name)


V = TypeVar("V")


@attrs.define(eq=False)
class Question(Generic[V]):
    """A question. ``verdicts`` are the types of verdict that `Proxy.answer` takes for it."""

    verdicts: ClassVar[tuple[type, ...]]


CommandVerdict: TypeAlias = Continue | ReplaceCommand | Answer | Disconnect | Inspect | Swallow | Route
ClientVerdict: TypeAlias = Continue | Disconnect | Route
ReplyVerdict: TypeAlias = Continue | ReplaceReply | Disconnect
ContentVerdict: TypeAlias = Continue | Replace | Answer | Disconnect
AttemptVerdict: TypeAlias = Continue | Answer | Disconnect
LoginVerdict: TypeAlias = Continue | LogIn | Answer | Disconnect


@attrs.frozen(eq=False)
class Unasked:
    """What need not be asked about, for `Proxy.ask_ahead`: who would be asked lets it pass, and need not know
    of it before another question."""

    lines: Mapping[bytes, re.Pattern[bytes]] = attrs.field(factory=dict[bytes, re.Pattern[bytes]])
    """MAIL or RCPT → the lines, without CRLF, of which the verdict is `Continue`; of a RCPT in a mail
    transaction."""
    inspect: Inspect | None = None
    """The verdict on each DATA in a mail transaction with recipients."""


@attrs.define(eq=False)
class CommandQuestion(Question[CommandVerdict]):
    """A command of the client, before the server sees it."""

    verdicts: ClassVar = (Continue, ReplaceCommand, Answer, Disconnect, Inspect, Swallow, Route)
    command: Command
    envelope: Envelope


@attrs.define(eq=False)
class ClientQuestion(Question[ClientVerdict]):
    """A client that a proxy in front of this one has named with XCLIENT. `Disconnect` takes the place of its
    greeting; `Route` says the server for the rest of the session, its command is not used."""

    verdicts: ClassVar = (Continue, Disconnect, Route)
    client: ClientInfo
    envelope: Envelope


@attrs.define(eq=False)
class ReplyQuestion(Question[ReplyVerdict]):
    """A reply of the server, before the client sees it; ``command`` is None for the greeting."""

    verdicts: ClassVar = (Continue, ReplaceReply, Disconnect)
    reply: Reply = attrs.field(repr=lambda reply: reply.brief)
    command: Command | None
    envelope: Envelope
    recipient: Command | None = None
    """The RCPT of the recipient for whom an LMTP server answers a message; None: the reply is for all."""


@attrs.define(eq=False)
class HeadersQuestion(Question[ContentVerdict]):
    """The header section, decoded, with the empty line that ends it; a message may have none."""

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope


@attrs.define(eq=False)
class BodyQuestion(Question[ContentVerdict]):
    """Decoded content while it streams: a piece (BODY_CHUNK), a line with its CRLF (BODY_LINE), or as many
    whole lines as have arrived (BODY_LINES). A line that is longer than `Config.max_body_line` comes in
    pieces.

    If HEADERS is asked too, these are the octets after the header section; else the whole content. ``last``
    is True for the last question, which may have no octets; what replaces them is sent last.
    """

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope
    last: bool = False


@attrs.define(eq=False)
class MessageQuestion(Question[ContentVerdict]):
    """The whole message, decoded, before the server is sent DATA. A memoryview if it is in a `Spool`; then it
    is valid until the question is answered."""

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes | memoryview = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope


@attrs.define(eq=False)
class AttemptQuestion(Question[AttemptVerdict]):
    """A client wants to log in to the proxy. `Continue` accepts it, or in TRANSLATE lets the server decide;
    the reply of an `Answer` refuses it."""

    verdicts: ClassVar = (Continue, Answer, Disconnect)
    attempt: LoginAttempt
    envelope: Envelope


@attrs.define(eq=False)
class LoginQuestion(Question[LoginVerdict]):
    """The proxy has to log in to a server: with which mechanism and which secrets?

    Always asked where `Config.login_mode` is not RELAY. With `Answer` the client gets this reply to its AUTH
    (TRANSLATE) or to its MAIL, and the server is not logged in to; with `Continue` it gets ``refusal``. After
    a refusal it is asked again, and ``refused`` is the server's reply then; for example, an access token may
    have to be renewed.
    """

    verdicts: ClassVar = (Continue, LogIn, Answer, Disconnect)
    mechanisms: tuple[str, ...]
    """The mechanisms that the server offers, upper-case; empty if it does not offer AUTH."""
    upstream: str | None
    """Name of the server, as in `Route`; None is the server that the driver connected first."""
    tls: TlsInfo | None
    """The TLS of the connection to the server."""
    login: Login | None
    """As whom the client has logged in to the proxy; None if it has not."""
    attempt: LoginAttempt | None
    """What the client has said to log in; None in INJECT."""
    refused: Reply | None
    """The server's reply to the attempt before this one, secrets masked; None if this is the first."""
    refusal: Reply
    """The reply that suits the client if no attempt is to be made."""
    envelope: Envelope


AnyQuestion: TypeAlias = (
    CommandQuestion
    | ClientQuestion
    | ReplyQuestion
    | HeadersQuestion
    | BodyQuestion
    | MessageQuestion
    | AttemptQuestion
    | LoginQuestion
)
AnyVerdict: TypeAlias = (
    Continue
    | ReplaceCommand
    | ReplaceReply
    | Replace
    | Answer
    | Disconnect
    | Inspect
    | Swallow
    | Route
    | LogIn
)
