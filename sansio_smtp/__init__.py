"""sansio-smtp: an SMTP proxy as a library. Octets in, events out; no socket, no clock, no framework.

`Proxy` is one session between a client and a server. `ServerConnection` and `ClientConnection` are its two
ends, and can be used alone. docs/embedding.md tells how to drive them.
"""

from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.received import ContentReceived, ContentRefused, EndOfData, Pause, Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.proxy.message_store import Spool
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.wire.commands import END_OF_DATA, Command, Parameter, Path
from sansio_smtp.wire.content import ContentReader, ContentWriter, unstuff
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader
from sansio_smtp.wire.violations import RemoteProtocolError

from .client_info import ClientInfo, Forwarded, TlsInfo
from .config import Addresses, BareNewline, ClientTls, Config, Nul, SendClient, Tap, UpstreamTls
from .errors import InternalError, LocalProtocolError, MailboxError, ProtocolError
from .events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    BodyChunk,
    BodyComplete,
    ClientChanged,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    ServerUnusable,
    Side,
    StartTLS,
    Violation,
    WaitingFor,
)
from .networks import Networks
from .questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    CLIENT_CHANGED,
    COMMAND,
    HEADERS,
    IN_TURN,
    MESSAGE,
    OTHER_VERBS,
    REPLY,
    Answer,
    BodyQuestion,
    ClientQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    MessageQuestion,
    Question,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from .states import Gate, Message, Phase, Snapshot, TransactionState, UpstreamState
from .verbs import Kind

__version__ = "0.1.0"

__all__ = [
    "BODY_CHUNK",
    "BODY_LINE",
    "BODY_LINES",
    "CLIENT",
    "CLIENT_CHANGED",
    "COMMAND",
    "END_OF_DATA",
    "HEADERS",
    "IN_TURN",
    "MESSAGE",
    "OTHER_VERBS",
    "REPLY",
    "SERVER",
    "Addresses",
    "Answer",
    "Ask",
    "AwaitReply",
    "BareNewline",
    "BodyChunk",
    "BodyComplete",
    "BodyQuestion",
    "ClientChanged",
    "ClientConnection",
    "ClientInfo",
    "ClientQuestion",
    "ClientTls",
    "Close",
    "Command",
    "CommandQuestion",
    "Config",
    "Connect",
    "ContentReader",
    "ContentReceived",
    "ContentRefused",
    "ContentWriter",
    "Continue",
    "Disconnect",
    "EndOfData",
    "Envelope",
    "Event",
    "Forwarded",
    "Gate",
    "HeadersQuestion",
    "Inspect",
    "InternalError",
    "Kind",
    "LocalProtocolError",
    "MailboxError",
    "Message",
    "MessageAnswered",
    "MessageQuestion",
    "Networks",
    "Nul",
    "Parameter",
    "Path",
    "Pause",
    "Phase",
    "ProtocolError",
    "Proxy",
    "Question",
    "Received",
    "Refused",
    "RemoteProtocolError",
    "Replace",
    "ReplaceCommand",
    "ReplaceReply",
    "Reply",
    "ReplyQuestion",
    "ReplyReader",
    "ReplyReceived",
    "Route",
    "SendClient",
    "SendToClient",
    "SendToServer",
    "ServerConnection",
    "ServerUnusable",
    "Side",
    "Snapshot",
    "Spool",
    "StartTLS",
    "Swallow",
    "Tap",
    "TlsInfo",
    "TransactionState",
    "UpstreamState",
    "UpstreamTls",
    "Violation",
    "WaitingFor",
    "unstuff",
]
