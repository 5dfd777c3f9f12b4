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
"""The place after XCLIENT has named the client, before the new greeting."""
LOGIN: Final = "LOGIN"
"""The place after a client has sent its name and password to the proxy: see `Config.login_mode`."""
IN_TURN: Final = "IN_TURN"
"""Not a hook place, but a way to ask: the question about a command is asked when the replies to all commands
before it are known (a RCPT does not wait for other RCPTs). So the envelope of a question does not depend on
the time at which replies arrive."""
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
"""The hook places with questions about content."""
_ASKED: Final = PLACES | {verb.decode() for verb in VERBS}
_PRIVATE_USE: Final = "X"
"""The first letter of verbs for private use (RFC 5321 §4.1.5), which no table can list."""


def asked_places(names: object) -> frozenset[str]:
    """The names for ``Proxy(ask=...)`` as a set: hook places, verbs, and names of verbs for private use.

    Raises `LocalProtocolError` for all other names, which would never cause a question.
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
    """Pass it on unchanged.

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
            raise LocalProtocolError(f"Answer takes a final reply, 2xx, 4xx or 5xx, not {self.reply}")


@attrs.frozen
class Disconnect:
    """Answer the client with this reply (4xx or 5xx) and end the session on both sides."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)
        if self.reply.severity not in (4, 5):
            raise LocalProtocolError(f"Disconnect takes a reply 4xx or 5xx, not {self.reply}")


@attrs.frozen
class ReplaceCommand:
    """Send this command instead. It must have the same verb, because the verb decides how the next octets are
    parsed."""

    command: Command


@attrs.frozen
class ReplaceReply:
    """Send this reply instead. It must have the same first digit, because this digit decides how the next
    octets are parsed."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)


@attrs.frozen
class Replace:
    """Send these decoded octets instead; they are put in wire form. ``recipients``: see `Continue`. ``rest``,
    for a whole message: an offset in the original message; the octets from there on follow ``data``
    unchanged. None: ``data`` is the whole message."""

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
    server never gets the message."""

    reply: Reply

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _no_reply(self)
        if self.reply.severity == 3:
            raise LocalProtocolError(f"Swallow takes a final reply, 2xx, 4xx or 5xx, not {self.reply}")


@attrs.frozen
class Route:
    """Pass the command, or ``command`` instead, to the server ``upstream``; None is the server that the
    driver connected first.

    For EHLO, HELO and AUTH the route is valid for the rest of the session, for MAIL for the mail transaction.
    If another server is connected, a `Connect` event asks the driver for ``upstream``, which first gets the
    client's EHLO and MAIL. A RCPT for another server than that of an accepted RCPT before it is answered 452
    4.5.3.
    """

    upstream: str | None
    command: Command | None = None


@attrs.frozen
class LogIn:
    """Log in to the server with this object. It is used once: another attempt needs another object."""

    client: SaslClient = attrs.field(repr=lambda client: client.name)

    def __attrs_post_init__(self) -> None:
        if not hasattr(self.client, "respond"):
            raise wrong_type("LogIn takes a SaslClient", self.client)


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
    """Inputs for which `Proxy.ask_ahead` needs no question: the rules let them pass, and need not know of
    them before the next question."""

    lines: Mapping[bytes, re.Pattern[bytes]] = attrs.field(factory=dict[bytes, re.Pattern[bytes]])
    """MAIL or RCPT → the lines, without CRLF, whose verdict is `Continue`; for a RCPT only in a mail
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
    """A client that a proxy in front of this one has named with XCLIENT. `Disconnect` replaces its greeting;
    `Route` names the server for the rest of the session, and its command is not used."""

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
    """The RCPT to which an LMTP server's reply to a message belongs; None: the reply is for all."""


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
    is True for the last question, which may have no octets; their replacement is sent last.
    """

    verdicts: ClassVar = (Continue, Replace, Answer, Disconnect)
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    envelope: Envelope
    last: bool = False


@attrs.define(eq=False)
class MessageQuestion(Question[ContentVerdict]):
    """The whole message, decoded, before the server gets DATA. A memoryview if it is in a `Spool`; then it is
    valid until the question is answered."""

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

    Always asked if `Config.login_mode` is not RELAY. With `Answer` the client gets this reply to its AUTH
    (TRANSLATE) or to its MAIL, and the proxy does not log in; with `Continue` the client gets ``refusal``.
    After a refusal by the server it is asked again, with the server's reply in ``refused``; for example, an
    access token may have to be renewed.
    """

    verdicts: ClassVar = (Continue, LogIn, Answer, Disconnect)
    mechanisms: tuple[str, ...]
    """The mechanisms that the server offers, upper-case; empty if it does not offer AUTH."""
    upstream: str | None
    """Name of the server, as in `Route`; None is the server that the driver connected first."""
    tls: TlsInfo | None
    """The TLS of the connection to the server."""
    login: Login | None
    """The name with which the client has logged in to the proxy; None if it has not."""
    attempt: LoginAttempt | None
    """The client's name and password; None in INJECT."""
    refused: Reply | None
    """The server's reply to the previous attempt, secrets masked; None for the first attempt."""
    refusal: Reply
    """The reply to the client if there is no attempt."""
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
