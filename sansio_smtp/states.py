"""All state machines, as tables. Every transition is in this file, and every change of a state uses it.

A proxied session has seven states: two for each end, and three of the proxy between the ends::

                    ServerConnection                 Proxy               ClientConnection
              ┌────────────────────────┐     ┌──────────────────┐     ┌────────────────────┐
    client ───┤ Phase                  ├─────┤ Gate             ├─────┤ Phase              ├─── server
              │ TransactionState       │     │ Message          │     │ TransactionState   │
              └────────────────────────┘     │ UpstreamState    │     └────────────────────┘
                                             └──────────────────┘

`Phase` (table `FRAMING`) says how the next octets of the client are parsed: as a line, as mail data, as
counted octets, or not at all before a reply has passed. Both ends use the same table, because they see the
same dialogue: one end receives what the other end sends. A step that is not in the table is a violation by
the peer, or a mistake of the caller.

`TransactionState` (table `TRANSACTION`) says if a mail transaction is open: at the end that faces the client,
as the client was told; at the end that faces the server, as that server has accepted it. A reply that is not
in the table changes nothing: the server, not the proxy, refuses commands out of sequence.

`UpstreamState` (`UPSTREAM`) is the life of the connection to one server. `Gate` (`GATE`) says if the client's
input may be parsed. `Message` (`MESSAGE`) says where the message in flight is. A step that is not in these
three tables is a fault of this library (`InternalError`).

`sansio_smtp.joint_states` says which states may occur at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar

from .errors import InternalError
from .verbs import VERBS, Effect, Kind

__all__ = [
    "FRAMING",
    "GATE",
    "LINE_STEPS",
    "MESSAGE",
    "REPLY_CODES",
    "REPLY_STEPS",
    "TRANSACTION",
    "UPSTREAM",
    "Gate",
    "GateStep",
    "Message",
    "MessageStep",
    "Phase",
    "Step",
    "TransactionState",
    "UpstreamState",
    "UpstreamStep",
    "following",
    "unforeseen",
]


# Framing


class Phase(Enum):
    """How the client's next octets are parsed."""

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call, in every lookup

    GREETING = "greeting"
    """Nothing is parsed before the server has greeted (RFC 5321 §3.1)."""
    COMMAND = "command"
    """The next octets are command lines, any number of them."""
    BLOCKED = "blocked"
    """The reply to the last line decides how the next octets are parsed. Nothing is parsed before it."""
    CONTENT = "content"
    """The next octets are mail data, up to CRLF "." CRLF."""
    AUTH_LINE = "auth line"
    """The next line is an opaque line of an AUTH exchange (RFC 4954 §4); after it, BLOCKED again."""
    CHUNK = "chunk"
    """The next octets are those that BDAT has counted (RFC 3030 §2). They are never parsed. If BDAT is
    refused, they are dropped."""
    TLS = "tls"
    """220 to STARTTLS has passed. Nothing is parsed, and nothing is sent, before the TLS handshake (RFC 3207
    §4)."""
    MUST_CLOSE = "must close"
    """The last reply has passed. Nothing more is parsed; the connection must be closed."""
    CLOSED = "closed"
    """The connection is closed."""


class Step(Enum):
    """The steps on the wire, in either direction."""

    __hash__ = object.__hash__

    GREETING = "2xx greeting"
    GREETING_REFUSED = "4xx, 5xx greeting"
    LINE = "plain line"
    BLOCKING_LINE = "DATA, AUTH, EHLO, HELO, QUIT, STARTTLS, XCLIENT, XFORWARD"
    CHUNK = "BDAT n"
    CHUNK_END = "n octets"
    REPLY = "final reply to a plain line or a message"
    RELEASE = "final reply to a blocking line"
    GO_AHEAD = "3xx to DATA"
    CHALLENGE = "3xx to AUTH"
    AUTH_LINE = "AUTH line"
    START_TLS = "2xx to STARTTLS"
    TLS_STARTED = "the TLS handshake"
    END_OF_DATA = "end of data"
    VIOLATION = "octets that are no line"
    GOODBYE = "2xx to QUIT, 421, a reply that ends the session, a violation of the server"
    CLOSE = "close"


_ANYWHERE: Final = {Step.GOODBYE: Phase.MUST_CLOSE, Step.CLOSE: Phase.CLOSED}

FRAMING: Final[dict[Phase, dict[Step, Phase]]] = {
    Phase.GREETING: {
        Step.GREETING: Phase.COMMAND,
        Step.GREETING_REFUSED: Phase.MUST_CLOSE,
        **_ANYWHERE,
    },
    Phase.COMMAND: {
        Step.LINE: Phase.COMMAND,
        Step.REPLY: Phase.COMMAND,
        Step.BLOCKING_LINE: Phase.BLOCKED,
        Step.CHUNK: Phase.CHUNK,
        Step.VIOLATION: Phase.BLOCKED,
        **_ANYWHERE,
    },
    Phase.BLOCKED: {
        Step.REPLY: Phase.BLOCKED,
        Step.RELEASE: Phase.COMMAND,
        Step.GO_AHEAD: Phase.CONTENT,
        Step.CHALLENGE: Phase.AUTH_LINE,
        Step.START_TLS: Phase.TLS,
        **_ANYWHERE,
    },
    Phase.CONTENT: {
        Step.END_OF_DATA: Phase.COMMAND,
        **_ANYWHERE,
    },
    Phase.AUTH_LINE: {
        Step.AUTH_LINE: Phase.BLOCKED,
        Step.VIOLATION: Phase.BLOCKED,
        **_ANYWHERE,
    },
    Phase.CHUNK: {
        Step.CHUNK_END: Phase.COMMAND,
        Step.REPLY: Phase.CHUNK,
        **_ANYWHERE,
    },
    Phase.TLS: {
        Step.TLS_STARTED: Phase.COMMAND,
        **_ANYWHERE,
    },
    Phase.MUST_CLOSE: {
        Step.CLOSE: Phase.CLOSED,
    },
    Phase.CLOSED: {},
}
"""Phase → what passed → next phase."""

LINE_STEPS: Final[dict[Kind, Step]] = {
    Kind.PLAIN: Step.LINE,
    Kind.GROUP: Step.LINE,
    Kind.HELLO: Step.BLOCKING_LINE,
    Kind.DATA: Step.BLOCKING_LINE,
    Kind.AUTH: Step.BLOCKING_LINE,
    Kind.QUIT: Step.BLOCKING_LINE,
    Kind.STARTTLS: Step.BLOCKING_LINE,
    Kind.IDENTITY: Step.BLOCKING_LINE,
    Kind.CHUNK: Step.CHUNK,
    Kind.LAST_CHUNK: Step.CHUNK,
    Kind.DROPPED_CHUNK: Step.CHUNK,
    Kind.AUTH_LINE: Step.AUTH_LINE,
    Kind.END_OF_DATA: Step.END_OF_DATA,
    Kind.VIOLATION: Step.VIOLATION,
}
"""Kind of the client's line that passed → the step."""

REPLY_STEPS: Final[dict[tuple[Kind | None, int], Step]] = {
    (None, 2): Step.GREETING,
    (None, 4): Step.GREETING_REFUSED,
    (None, 5): Step.GREETING_REFUSED,
    **{(kind, severity): Step.REPLY for kind in (Kind.PLAIN, Kind.GROUP) for severity in (2, 4, 5)},
    **{
        (kind, severity): Step.REPLY
        for kind in (Kind.END_OF_DATA, Kind.CHUNK, Kind.LAST_CHUNK, Kind.DROPPED_CHUNK)
        for severity in (2, 4, 5)
    },
    **{
        (kind, severity): Step.RELEASE
        for kind in (Kind.HELLO, Kind.DATA, Kind.AUTH, Kind.AUTH_LINE, Kind.IDENTITY)
        for severity in (2, 4, 5)
    },
    (Kind.STARTTLS, 2): Step.START_TLS,
    (Kind.STARTTLS, 4): Step.RELEASE,
    (Kind.STARTTLS, 5): Step.RELEASE,
    (Kind.DATA, 3): Step.GO_AHEAD,
    (Kind.AUTH, 3): Step.CHALLENGE,
    (Kind.AUTH_LINE, 3): Step.CHALLENGE,
    (Kind.VIOLATION, 4): Step.GOODBYE,
    (Kind.VIOLATION, 5): Step.GOODBYE,
    (Kind.QUIT, 2): Step.GOODBYE,
    (Kind.QUIT, 4): Step.RELEASE,
    (Kind.QUIT, 5): Step.RELEASE,
    (None, 421): Step.GREETING_REFUSED,
    **{(kind, 421): Step.GOODBYE for kind in Kind},
}
"""(kind of the answered line, None for the greeting; first digit of the reply, or 421) → the step. Only the
first digit counts (RFC 5321 §4.2.1), except for 421, which ends every dialogue. A reply that is not here is a
violation: for example, after 3xx to a verb without a continuation it would not be known how to parse the next
octets."""

REPLY_CODES: Final[dict[tuple[Kind, int], tuple[int, ...]]] = {
    (Kind.HELLO, 2): (250,),
    (Kind.DATA, 2): (),
    (Kind.DATA, 3): (354,),
    (Kind.AUTH, 2): (235,),
    (Kind.AUTH, 3): (334,),
    (Kind.AUTH_LINE, 2): (235,),
    (Kind.AUTH_LINE, 3): (334,),
    (Kind.STARTTLS, 2): (220,),
    (Kind.QUIT, 2): (221,),
    (Kind.END_OF_DATA, 2): (250,),
}
"""(kind of the answered line, first digit of the reply) → the codes that such a reply may have (RFC 5321
§4.3.2, RFC 3207 §4, RFC 4954 §4). It holds for replies that this program makes itself: of a peer only the
first digit counts. A pair that is not here allows every code."""


# The mail transaction


class TransactionState(Enum):
    """The mail transaction (RFC 5321 §3.3), as one end knows it."""

    __hash__ = object.__hash__

    NONE = "none"
    """No MAIL has been accepted since the last transaction ended."""
    OPEN = "open"
    """MAIL has been accepted, and the transaction has not ended."""


TRANSACTION: Final[dict[tuple[bytes, int], Effect]] = {
    **{(name, 2): verb.effect for name, verb in VERBS.items() if verb.effect is not None},
    **{(b".", severity): Effect.END for severity in (2, 4, 5)},
    **{(b"BDAT n", severity): Effect.END for severity in (4, 5)},
}
"""(verb, first digit of its reply) → effect on the transaction. "." means end-of-data and the last chunk,
which end the transaction even if the message is refused; "BDAT n" means a chunk that is not the last. Other
pairs have no effect."""


# The connection to one server


class UpstreamState(Enum):
    """The life of the connection to one server."""

    __hash__ = object.__hash__

    CONNECTING = "connecting"
    """The driver is connecting to the server; no octet has come from it yet."""
    GREETING = "greeting"
    """The server is connected, and has not completed its greeting."""
    SETUP = "setup"
    """The server gets only the steps that must come before the client's next command: STARTTLS, the client's
    identity, a login of the proxy, and EHLO and MAIL that were already answered to the client."""
    READY = "ready"
    """The server gets the client's commands as they come."""
    DETACHED = "detached"
    """The connection was reset, in the middle of mail data or because the server has failed. The client is
    still served."""
    CLOSED = "closed"
    """The connection was left for another server, or the session is over."""


class UpstreamStep(Enum):
    """What happened on the connection to a server."""

    __hash__ = object.__hash__

    CONNECTED = "the server is connected"
    GREETED = "2xx greeting"
    PREPARE = "the server lacks something for the next command"
    SET_UP = "the setup is complete"
    RESET = "the connection was reset: in the middle of mail data, or since the server has failed"
    CLOSE = "close"


UPSTREAM: Final[dict[UpstreamState, dict[UpstreamStep, UpstreamState]]] = {
    UpstreamState.CONNECTING: {
        UpstreamStep.CONNECTED: UpstreamState.GREETING,
        UpstreamStep.CLOSE: UpstreamState.CLOSED,
    },
    UpstreamState.GREETING: {
        UpstreamStep.GREETED: UpstreamState.SETUP,
        UpstreamStep.CLOSE: UpstreamState.CLOSED,
    },
    UpstreamState.SETUP: {
        UpstreamStep.SET_UP: UpstreamState.READY,
        UpstreamStep.CLOSE: UpstreamState.CLOSED,
    },
    UpstreamState.READY: {
        UpstreamStep.PREPARE: UpstreamState.SETUP,
        UpstreamStep.RESET: UpstreamState.DETACHED,
        UpstreamStep.CLOSE: UpstreamState.CLOSED,
    },
    UpstreamState.DETACHED: {
        UpstreamStep.CLOSE: UpstreamState.CLOSED,
    },
    UpstreamState.CLOSED: {},
}
"""State → step → next state. Each connection to a server has its own state, which begins at CONNECTING."""


# The gate


class Gate(Enum):
    """Says if the proxy parses the client's input. It does so only in OPEN; `Phase` may also forbid it."""

    __hash__ = object.__hash__

    OPEN = "open"
    """The client's input is parsed."""
    QUEUED = "queued"
    """A command waits for the replies before it: until a question about it may be asked (`IN_TURN`), or
    because it names the client. Nothing after it is parsed."""
    ASKED = "asked"
    """A question about the client's input or a reply is open."""
    ENDING = "ending"
    """A reply that ends the session waits for the replies before it. Nothing more is parsed."""
    SHUT = "shut"
    """Both sides are closed."""


class GateStep(Enum):
    """The steps that open and shut the gate."""

    __hash__ = object.__hash__

    QUEUE = "a command waits for the replies before it, to be asked about or handled"
    TAKE = "a command that has waited is taken"
    ASK = "a question about what the client sent is opened"
    ASK_REPLY = "a question about a reply of the server, or about the login to it, is opened"
    ANSWER = "the question is answered"
    END = "the session will end with a reply"
    CLOSE = "close"


_GATE_ENDS: Final = {GateStep.END: Gate.ENDING, GateStep.CLOSE: Gate.SHUT}

GATE: Final[dict[Gate, dict[GateStep, Gate]]] = {
    Gate.OPEN: {
        GateStep.QUEUE: Gate.QUEUED,
        GateStep.ASK: Gate.ASKED,
        GateStep.ASK_REPLY: Gate.ASKED,
        **_GATE_ENDS,
    },
    Gate.QUEUED: {
        GateStep.ASK: Gate.ASKED,
        GateStep.TAKE: Gate.OPEN,
        # A question about a reply or a login, for an earlier command that the queued one waits for.
        GateStep.ASK_REPLY: Gate.QUEUED,
        GateStep.ANSWER: Gate.QUEUED,
        **_GATE_ENDS,
    },
    Gate.ASKED: {
        GateStep.ANSWER: Gate.OPEN,
        **_GATE_ENDS,
    },
    Gate.ENDING: {
        GateStep.ASK_REPLY: Gate.ENDING,
        GateStep.ANSWER: Gate.ENDING,
        **_GATE_ENDS,
    },
    Gate.SHUT: {},
}
"""Gate → step → next gate."""


# The message in flight


class Message(Enum):
    """The state of the message in flight."""

    __hash__ = object.__hash__

    NONE = "none"
    """No message is in flight, or the server has all of it and owes the reply."""
    STREAMING = "streaming"
    """Content arrives from the client and is passed on, edited or kept."""
    JUDGING = "judging"
    """A question about the content is open."""
    DROPPING = "dropping"
    """The message is refused or swallowed. The rest of it, up to end-of-data, is dropped."""
    AWAITING_DATA = "awaiting data"
    """The message was kept whole and may be sent; the server has not answered DATA yet."""
    SENDING = "sending"
    """The message goes to the server from a spool, piece by piece."""


class MessageStep(Enum):
    """What happens to a message."""

    __hash__ = object.__hash__

    CONTENT = "the client's first content, or end-of-data"
    ASK = "a question about the content is opened"
    CONTINUE = "the verdict lets the message go on"
    REFUSE = "the message is refused or swallowed before its end-of-data"
    KEPT = "the message was kept whole, and the server is sent DATA"
    GO_AHEAD = "354 to DATA, for a message in a spool"
    ENDED = "end-of-data goes to the server"
    ANSWERED = "the proxy answers the message itself"
    ABANDONED = "the client abandons a message after sending chunks of it"
    CLOSE = "close"


_MESSAGE_ENDS: Final = {MessageStep.ANSWERED: Message.NONE, MessageStep.CLOSE: Message.NONE}

MESSAGE: Final[dict[Message, dict[MessageStep, Message]]] = {
    Message.NONE: {
        MessageStep.CONTENT: Message.STREAMING,
        MessageStep.REFUSE: Message.DROPPING,
        MessageStep.CLOSE: Message.NONE,
    },
    Message.STREAMING: {
        MessageStep.ASK: Message.JUDGING,
        MessageStep.REFUSE: Message.DROPPING,
        MessageStep.KEPT: Message.AWAITING_DATA,
        MessageStep.ENDED: Message.NONE,
        MessageStep.ABANDONED: Message.NONE,
        **_MESSAGE_ENDS,
    },
    Message.JUDGING: {
        MessageStep.CONTINUE: Message.STREAMING,
        MessageStep.REFUSE: Message.DROPPING,
        **_MESSAGE_ENDS,
    },
    Message.DROPPING: {
        MessageStep.REFUSE: Message.DROPPING,
        MessageStep.ABANDONED: Message.NONE,
        **_MESSAGE_ENDS,
    },
    Message.AWAITING_DATA: {
        MessageStep.GO_AHEAD: Message.SENDING,
        MessageStep.ENDED: Message.NONE,
        **_MESSAGE_ENDS,
    },
    Message.SENDING: {
        MessageStep.ENDED: Message.NONE,
        **_MESSAGE_ENDS,
    },
}
"""Message → step → next state."""


# The joint state


_State = TypeVar("_State", bound=Enum)
_What = TypeVar("_What", bound=Enum)


def following(table: Mapping[_State, Mapping[_What, _State]], state: _State, step: _What) -> _State:
    """The next state by `UPSTREAM`, `GATE` or `MESSAGE`. Raises `InternalError` if the table does not have
    the step."""
    after = table[state].get(step)
    if after is None:
        raise unforeseen(state, step)
    return after


def unforeseen(state: Enum, step: Enum) -> InternalError:
    """The error for a step that the table of a state does not have."""
    return InternalError(f"{type(state).__name__} {state.name}: not foreseen: {step.value}")
