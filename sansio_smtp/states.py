"""All state machines, as tables. Every transition is in this file, and no state is assigned but through it.

A dialogue has two ends and, between them, what the proxy adds::

            client ──── framing, transaction ────┐              ┌──── framing, transaction ──── server
                                                 │    gate      │
                                                 ├── message ───┤
                                                 │   upstream   │

*Framing* (`FRAMING`) says how the next octets of the client are to be cut: a line, mail data, counted octets,
or not at all until a reply has been seen. It is one machine for both ends, since both see the same dialogue:
what one end receives, the other sends. It is a **closed world**: what is not in the table is a violation.

*The mail transaction* (`TRANSACTION`) says which paths have been accepted, by the one server or towards the
one client. It is an **open world**: what is not in the table changes nothing, for the server is the judge.

*Upstream* (`UPSTREAM`) is the life of the connection to one server. *Gate* (`GATE`) says whether the client
may be parsed. *Message* (`MESSAGE`) says where the message is that is in flight. These three are the proxy's
own: a step that is not in their tables is a fault of this library (`InternalError`).

`TOGETHER` says which states may occur at the same time. The exhaustive check visits every joint state that
bounded dialogues reach and holds each against it; docs/states.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeVar

import attrs

from .errors import InternalError
from .verbs import VERBS, Effect, Kind

__all__ = [
    "FRAMING",
    "GATE",
    "LINE_STEPS",
    "MESSAGE",
    "REPLY_STEPS",
    "TOGETHER",
    "TRANSACTION",
    "UPSTREAM",
    "Gate",
    "GateStep",
    "Message",
    "MessageStep",
    "Phase",
    "Snapshot",
    "Step",
    "TransactionState",
    "UpstreamState",
    "UpstreamStep",
    "contradiction",
    "following",
    "reply_step",
    "unforeseen",
]


# Framing


class Phase(Enum):
    """How the client's next octets are cut."""

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call, in every lookup

    GREETING = "greeting"
    """Nothing is parsed before the server has greeted (RFC 5321 §3.1)."""
    COMMAND = "command"
    """Lines, as many as come."""
    BLOCKED = "blocked"
    """What the next octets are depends on the reply to the last line: parse no further."""
    CONTENT = "content"
    """Mail data up to CRLF "." CRLF."""
    AUTH_LINE = "auth line"
    """One opaque line of an AUTH exchange (RFC 4954 §4), then blocked again."""
    CHUNK = "chunk"
    """Counted octets after a refused BDAT (RFC 3030 §2): dropped, never parsed."""
    MUST_CLOSE = "must close"
    """The last reply has been sent; nothing more is parsed."""
    CLOSED = "closed"


class Step(Enum):
    """What passed on the wire, in either direction."""

    __hash__ = object.__hash__

    GREETING = "2xx greeting"
    GREETING_REFUSED = "4xx, 5xx greeting"
    LINE = "plain line"
    BLOCKING_LINE = "DATA, AUTH, EHLO, HELO, QUIT"
    CHUNK = "BDAT n"
    CHUNK_END = "n octets"
    REPLY = "final reply to a plain line or a message"
    RELEASE = "final reply to a blocking line"
    GO_AHEAD = "3xx to DATA"
    CHALLENGE = "3xx to AUTH"
    AUTH_LINE = "AUTH line"
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
    Phase.MUST_CLOSE: {
        Step.CLOSE: Phase.CLOSED,
    },
    Phase.CLOSED: {},
}
"""phase → what passed → next phase."""

LINE_STEPS: Final[dict[Kind, Step]] = {
    Kind.PLAIN: Step.LINE,
    Kind.GROUP: Step.LINE,
    Kind.HELLO: Step.BLOCKING_LINE,
    Kind.DATA: Step.BLOCKING_LINE,
    Kind.AUTH: Step.BLOCKING_LINE,
    Kind.QUIT: Step.BLOCKING_LINE,
    Kind.AUTH_LINE: Step.AUTH_LINE,
    Kind.END_OF_DATA: Step.END_OF_DATA,
    Kind.VIOLATION: Step.VIOLATION,
}
"""What kind of client line passed → the step."""

REPLY_STEPS: Final[dict[tuple[Kind | None, int], Step]] = {
    (None, 2): Step.GREETING,
    (None, 4): Step.GREETING_REFUSED,
    (None, 5): Step.GREETING_REFUSED,
    **{(kind, severity): Step.REPLY for kind in (Kind.PLAIN, Kind.GROUP) for severity in (2, 4, 5)},
    **{(Kind.END_OF_DATA, severity): Step.REPLY for severity in (2, 4, 5)},
    **{
        (kind, severity): Step.RELEASE
        for kind in (Kind.HELLO, Kind.DATA, Kind.AUTH, Kind.AUTH_LINE)
        for severity in (2, 4, 5)
    },
    (Kind.DATA, 3): Step.GO_AHEAD,
    (Kind.AUTH, 3): Step.CHALLENGE,
    (Kind.AUTH_LINE, 3): Step.CHALLENGE,
    (Kind.VIOLATION, 4): Step.GOODBYE,
    (Kind.VIOLATION, 5): Step.GOODBYE,
    (Kind.QUIT, 2): Step.GOODBYE,
    (Kind.QUIT, 4): Step.RELEASE,
    (Kind.QUIT, 5): Step.RELEASE,
}
"""(what is answered, None being the greeting; first digit) → the step. Replies are judged by their first
digit alone (RFC 5321 §4.2.1), except for 421, which ends every dialogue. What is not here, such as 3xx to a
verb that has no continuation, would open framing that nobody knows: a violation."""


def reply_step(kind: Kind | None, code: int) -> Step | None:
    """The step that a reply is, or None if it is a violation."""
    return Step.GOODBYE if code == 421 and kind is not None else REPLY_STEPS.get((kind, code // 100))


# The mail transaction


class TransactionState(Enum):
    """A mail transaction (RFC 5321 §3.3), as one end knows it."""

    __hash__ = object.__hash__

    NONE = "none"
    OPEN = "open"
    """MAIL has been accepted."""


TRANSACTION: Final[dict[tuple[bytes, int], Effect]] = {
    **{(name, 2): verb.effect for name, verb in VERBS.items() if verb.effect is not None},
    **{(b".", severity): Effect.END for severity in (2, 4, 5)},
}
"""(verb, first digit of its reply) → effect; "." stands for end-of-data, which ends the transaction accepted
or not. Not here: no effect."""


# The connection to one server


class UpstreamState(Enum):
    """The life of the connection to one server."""

    __hash__ = object.__hash__

    CONNECTING = "connecting"
    """The driver is to connect to it; nothing has come from it yet."""
    GREETING = "greeting"
    """It is connected, and has not greeted."""
    SETUP = "setup"
    """It is told what the client has said already; nothing else is sent to it."""
    READY = "ready"
    """It hears the client's commands as they come."""
    DETACHED = "detached"
    """It was reset in the middle of mail data. The client is still served."""
    CLOSED = "closed"


class UpstreamStep(Enum):
    """What happened on the connection to a server."""

    __hash__ = object.__hash__

    CONNECTED = "it is connected"
    GREETED = "2xx greeting"
    PREPARE = "it must be told something first"
    SET_UP = "it has been told everything"
    RESET = "it was reset in the middle of mail data"
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
"""state → what happened → next state. Another server is another object, which begins at CONNECTING."""


# The gate


class Gate(Enum):
    """Whether the client may be parsed, as far as it is for the proxy to say; `Phase` may forbid it as
    well."""

    __hash__ = object.__hash__

    OPEN = "open"
    QUEUED = "queued"
    """A command waits for its turn to be asked about; nothing after it is parsed before."""
    ASKED = "asked"
    """A question about what the client sent is open."""
    ENDING = "ending"
    """A reply that ends the session waits for its turn; nothing more is parsed."""
    SHUT = "shut"
    """Both sides are closed."""


class GateStep(Enum):
    """What opens and shuts the gate."""

    __hash__ = object.__hash__

    QUEUE = "a command is to be asked about in its turn"
    ASK = "a question about what the client sent is opened"
    ASK_REPLY = "a question about a reply of the server is opened"
    ANSWER = "the question is answered"
    END = "the session is to end with a reply"
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
        # The reply is one that the queued command waits for.
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
"""gate → what happened → next gate."""


# The message in flight


class Message(Enum):
    """Where the message is that is in flight."""

    __hash__ = object.__hash__

    NONE = "none"
    """None is in flight, or the server has all of it and owes the reply."""
    STREAMING = "streaming"
    """Its content arrives, and is passed on, edited or kept."""
    JUDGING = "judging"
    """A question about its content is open."""
    DROPPING = "dropping"
    """It is refused or swallowed; what is left of it is dropped, up to end-of-data."""
    AWAITING_DATA = "awaiting data"
    """It was kept and may go; the server has yet to answer DATA."""
    SENDING = "sending"
    """It leaves from a spool, piece by piece."""


class MessageStep(Enum):
    """What happens to a message."""

    __hash__ = object.__hash__

    CONTENT = "the first content of the client, or its end-of-data"
    ASK = "its content is asked about"
    CONTINUE = "the verdict lets it go on"
    REFUSE = "it is refused or swallowed, and its end has not come"
    KEPT = "it is complete, and the server is told DATA"
    GO_AHEAD = "354 to DATA, and it leaves in pieces"
    ENDED = "end-of-data goes to the server"
    ANSWERED = "its end is answered here"
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
        **_MESSAGE_ENDS,
    },
    Message.JUDGING: {
        MessageStep.CONTINUE: Message.STREAMING,
        MessageStep.REFUSE: Message.DROPPING,
        **_MESSAGE_ENDS,
    },
    Message.DROPPING: {
        MessageStep.REFUSE: Message.DROPPING,
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
"""message → what happened → next."""


# The joint state


@attrs.frozen
class Snapshot:
    """The joint state of a proxy as one value: `Proxy.snapshot`."""

    client: Phase
    """Of the end that faces the client."""
    client_transaction: TransactionState
    gate: Gate
    message: Message
    upstream: UpstreamState
    server: Phase
    """Of the end that faces the server."""
    server_transaction: TransactionState

    def __str__(self) -> str:
        return (
            f"client {self.client.name} {_mail(self.client_transaction)}, gate {self.gate.name}, "
            f"message {self.message.name}, upstream {self.upstream.name}, "
            f"server {self.server.name} {_mail(self.server_transaction)}"
        )


def _mail(state: TransactionState) -> str:
    return "in a transaction" if state is TransactionState.OPEN else "in none"


_OPEN_PHASES: Final = frozenset(Phase) - {Phase.MUST_CLOSE, Phase.CLOSED}
_AFTER_DATA: Final = frozenset((Phase.COMMAND, Phase.BLOCKED, Phase.CHUNK))

TOGETHER: Final[dict[Enum, dict[str, frozenset[Any]]]] = {
    Gate.SHUT: {
        "client": frozenset((Phase.CLOSED,)),
        "server": frozenset((Phase.CLOSED,)),
        "message": frozenset((Message.NONE,)),
        "upstream": frozenset((UpstreamState.CLOSED,)),
    },
    **{gate: {"client": _OPEN_PHASES} for gate in Gate if gate is not Gate.SHUT},
    UpstreamState.CONNECTING: {"server": frozenset((Phase.GREETING,)), "message": frozenset((Message.NONE,))},
    UpstreamState.GREETING: {
        # MUST_CLOSE: it refused, and a question about that is open.
        "server": frozenset((Phase.GREETING, Phase.MUST_CLOSE)),
        "message": frozenset((Message.NONE,)),
    },
    UpstreamState.SETUP: {
        "server": frozenset((Phase.COMMAND, Phase.BLOCKED)),
        "message": frozenset((Message.NONE,)),
    },
    UpstreamState.READY: {
        # MUST_CLOSE: it said 421, and a question about that is open.
        "server": frozenset((Phase.COMMAND, Phase.BLOCKED, Phase.CONTENT, Phase.AUTH_LINE, Phase.MUST_CLOSE)),
    },
    UpstreamState.DETACHED: {
        "client": _OPEN_PHASES - {Phase.GREETING},
        "server": frozenset((Phase.CLOSED,)),
        "server_transaction": frozenset((TransactionState.NONE,)),
        "message": frozenset((Message.NONE, Message.DROPPING)),
    },
    UpstreamState.CLOSED: {"gate": frozenset((Gate.SHUT,))},
    Message.STREAMING: {"client": frozenset((Phase.CONTENT,)), "gate": frozenset((Gate.OPEN, Gate.ASKED))},
    Message.JUDGING: {
        "client": frozenset((Phase.CONTENT, Phase.COMMAND)),
        "gate": frozenset((Gate.ASKED,)),
    },
    Message.DROPPING: {"client": frozenset((Phase.CONTENT,))},
    # What the client sends after end-of-data is parsed, and waits behind the message.
    Message.AWAITING_DATA: {"client": _AFTER_DATA, "upstream": frozenset((UpstreamState.READY,))},
    Message.SENDING: {
        "client": _AFTER_DATA,
        "server": frozenset((Phase.CONTENT,)),
        "upstream": frozenset((UpstreamState.READY,)),
    },
}
"""A state → what the other parts of the joint state may be at the same time, by the fields of `Snapshot`. A
field that is not named is free."""


def contradiction(snapshot: Snapshot) -> str | None:
    """The rule of `TOGETHER` that a joint state breaks, in words; None if it is a legal one."""
    for name in ("gate", "upstream", "message"):
        state = getattr(snapshot, name)
        for other, allowed in TOGETHER.get(state, {}).items():
            found = getattr(snapshot, other)
            if found not in allowed:
                return f"{name} {state.name} does not go with {other} {found.name}"
    return None


_State = TypeVar("_State", bound=Enum)
_What = TypeVar("_What", bound=Enum)


def following(table: Mapping[_State, Mapping[_What, _State]], state: _State, step: _What) -> _State:
    """The next state by one of the proxy's own tables. Raises `InternalError` for a step that it lacks."""
    after = table[state].get(step)
    if after is None:
        raise unforeseen(state, step)
    return after


def unforeseen(state: Enum, step: Enum) -> InternalError:
    """The error for a step that the table of a state does not have."""
    return InternalError(f"{type(state).__name__} {state.name}: not foreseen: {step.value}")
