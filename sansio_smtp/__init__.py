"""sansio-smtp: an SMTP proxy as a library. Octets in, events out; no socket, no clock, no framework.

`Proxy` is one session between a client and a server. `ServerConnection` and `ClientConnection` are its two
ends, and can be used alone. docs/embedding.md tells how to drive them.
"""

from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.server import (
    ContentReceived,
    ContentRefused,
    EndOfData,
    Pause,
    Refused,
    ServerConnection,
)
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.proxy.message_store import Spool
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.wire.commands import END_OF_DATA, Command, Parameter, Path
from sansio_smtp.wire.content import ContentReader, ContentWriter, unstuff
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader
from sansio_smtp.wire.violations import RemoteProtocolError

from .client_info import ClientInfo
from .config import Addresses, BareNewline, Config, Nul, Tap
from .errors import InternalError, LocalProtocolError, MailboxError, ProtocolError
from .events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    BodyChunk,
    BodyComplete,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    Side,
    Violation,
    WaitingFor,
)
from .questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    COMMAND,
    HEADERS,
    IN_TURN,
    MESSAGE,
    OTHER_VERBS,
    REPLY,
    Answer,
    BodyQuestion,
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
    "ClientConnection",
    "ClientInfo",
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
    "SendToClient",
    "SendToServer",
    "ServerConnection",
    "Side",
    "Snapshot",
    "Spool",
    "Swallow",
    "Tap",
    "TransactionState",
    "UpstreamState",
    "Violation",
    "WaitingFor",
    "unstuff",
]
