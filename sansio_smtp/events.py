"""The events that `Proxy` returns: one ordered list for every input."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.ends.exchanges import Content
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Origin, Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from .questions import AnyQuestion

__all__ = [
    "CLIENT",
    "SERVER",
    "Ask",
    "AwaitReply",
    "BodyChunk",
    "BodyComplete",
    "ClientChanged",
    "Close",
    "CommandRefused",
    "Connect",
    "Event",
    "MessageAnswered",
    "Received",
    "Release",
    "SendToClient",
    "SendToServer",
    "ServerUnusable",
    "Side",
    "StartTLS",
    "Violation",
    "WaitingFor",
]


class Side(Enum):
    """One of the two peers of a proxy."""

    __hash__ = object.__hash__  # as in states: members are singletons

    CLIENT = "client"
    SERVER = "server"

    def __repr__(self) -> str:
        return self.name


class WaitingFor(Enum):
    """What a session waits for. The driver has a time limit for each (RFC 5321 §4.5.3.2)."""

    __hash__ = object.__hash__

    GREETING = "greeting"
    COMMAND = "command"
    REPLY = "reply"
    CONTENT = "content"
    FINAL_REPLY = "final-reply"
    VERDICT = "verdict"
    HANDSHAKE = "handshake"
    NOTHING = "nothing"


CLIENT: Final = Side.CLIENT
SERVER: Final = Side.SERVER


@attrs.define(repr=False)
class SendToClient:
    """Write ``data``, a reply, to the client. ``shown`` is the same for a log, secrets masked."""

    data: bytes
    shown: bytes | None = attrs.field(default=None, eq=False)
    origin: Origin = attrs.field(default=Origin.PROXY, eq=False)
    """Who has decided the reply."""

    def __repr__(self) -> str:
        return _repr_send(self)


@attrs.define(repr=False)
class SendToServer:
    """Write ``data`` to the server. ``shown`` is the same for a log, secrets masked; None for mail data."""

    data: bytes
    shown: bytes | None = attrs.field(default=None, eq=False)

    def __repr__(self) -> str:
        return _repr_send(self)


@attrs.define
class AwaitReply:
    """The server owes a reply to ``command`` (`END_OF_DATA` for a message)."""

    command: Command


@attrs.define
class BodyChunk:
    """Decoded content while it passes, if `Config.tap` is set: a piece, or a line with its CRLF."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")


@attrs.define
class BodyComplete:
    """The client has sent end-of-data.

    ``size`` counts the decoded octets that go to the server (RFC 1870 §5). ``edited`` is True if a verdict
    replaced content. ``broken`` names the parameters of MAIL that an edit made untrue: ``"SIZE"``,
    ``"8BITMIME"``, and ``"SMTPUTF8"`` if a header section or a whole message was replaced.
    """

    size: int
    edited: bool = False
    broken: tuple[str, ...] = ()
    received: int = attrs.field(default=0, eq=False)
    """The decoded octets that came from the client, before any edit."""


@attrs.define
class MessageAnswered:
    """The client is being sent this reply to its message: it says who is responsible for the message now."""

    reply: Reply = attrs.field(repr=lambda reply: reply.brief)
    envelope: Envelope = attrs.field(eq=False)
    masked: bytes | None = attrs.field(default=None, repr=False)
    """The octets of the reply with secrets masked; None if there are none in it."""
    results: tuple[tuple[Command, Reply], ...] = attrs.field(default=(), eq=False, repr=False)
    """Each recipient with the reply for it, secrets masked, if a peer counts the replies by recipients (RFC
    2033): the server's, or what the client is told as the server has not answered for it. ``reply`` is then
    the one that says most truly what became of all. Empty: ``reply`` is for all."""
    content: Content | None = attrs.field(default=None, repr=False)
    """What is known of the message, if `Config.account` is set and all of it has come."""

    @property
    def shown(self) -> str:
        """The reply for a log, in one line, secrets masked."""
        return str(self.reply if self.masked is None else Reply(self.reply.code, self.masked))


@attrs.define
class CommandRefused:
    """The client is being sent this 4xx or 5xx to MAIL, RCPT or DATA; only if `Config.account` is set."""

    command: Command
    reply: Reply
    envelope: Envelope = attrs.field(eq=False, repr=False)
    """The mail transaction as it stands without this command."""
    masked: bytes | None = attrs.field(default=None, repr=False)
    """See `MessageAnswered.masked`."""

    @property
    def shown(self) -> str:
        """The reply for a log, in one line, secrets masked."""
        return str(self.reply if self.masked is None else Reply(self.reply.code, self.masked))


@attrs.define
class Ask:
    """A question is open. Give the verdict with `Proxy.answer`, now or later."""

    question: AnyQuestion


@attrs.define
class Received:
    """A line or reply that arrived, secrets masked, without its last CRLF; only if `Config.trace` is set."""

    side: Side
    shown: bytes


@attrs.define
class Violation:
    """A peer broke the protocol. What is to be sent and closed follows in the same list."""

    side: Side
    error: RemoteProtocolError


@attrs.define
class Close:
    """Close this side after the octets before this event were written. ``abort``: reset the connection (RFC
    9293 §3.5.2), so that a message without end-of-data cannot look complete."""

    side: Side
    abort: bool = False


@attrs.define
class Release:
    """The session does without this side from now on, in place of `Close`: its connection is clean, and may
    serve another client. Give the next session the greeting, as if it had just come: see
    `Proxy.server_connected`. Nothing may be outstanding on the connection; close it when something comes."""

    side: Side
    greeting: Reply = attrs.field(eq=False)
    """The server's greeting, as it came."""


@attrs.define
class Connect:
    """Connect to this server in place of the one that was closed; None is the server that the driver
    connected first. Give what it sends to `Proxy.receive_from`; if it cannot be connected, call
    `Proxy.server_unreachable`."""

    upstream: str | None
    client: ClientInfo = attrs.field(factory=ClientInfo, eq=False, repr=False)
    """What is known of the client for which the server is connected."""


@attrs.define
class StartTLS:
    """Begin TLS with this side after the octets before this event were written (RFC 3207): as its server with
    the client, as its client with the server. What the side has sent meanwhile and what it sends from now on
    belongs to the handshake. Then call `Proxy.tls_started` or `Proxy.tls_failed`. Until then the proxy gives
    nothing to send to this side, and takes nothing from it."""

    side: Side


@attrs.define
class ClientChanged:
    """A proxy in front of this one has said with XCLIENT who the client is."""

    client: ClientInfo


@attrs.define
class ServerUnusable:
    """The server cannot be used with what is configured; ``why`` is for the log. What the client gets follows
    in the same list."""

    why: str


Event: TypeAlias = (
    SendToClient
    | SendToServer
    | AwaitReply
    | BodyChunk
    | BodyComplete
    | MessageAnswered
    | CommandRefused
    | Ask
    | Received
    | Violation
    | Close
    | Release
    | Connect
    | StartTLS
    | ClientChanged
    | ServerUnusable
)
"""What the inputs of `Proxy` return: a list of these, in the order in which they are to be done."""


def _repr_send(event: SendToClient | SendToServer) -> str:
    what = f"<{len(event.data)} octets>" if event.shown is None else repr(event.shown)
    return f"{type(event).__name__}({what})"
