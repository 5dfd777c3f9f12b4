"""The two state machines, as tables. Two rules: every transition is in this file, and this file does
not know which end of the dialogue it serves.

*Framing* says how the next octets of the client are to be cut: a line, mail data, counted octets,
or not at all until a reply has been seen. It is one machine for both ends, since both see the same
dialogue: what one end receives, the other sends. It is a **closed world**: what is not in the table
is a violation.

*The mail transaction* says which paths have been accepted. It is an **open world**: what is not in
the table changes nothing, for the server is the judge. It never blocks an octet.

The diagrams in docs/design.md are generated from these tables by docs/make_diagrams.py.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sansio_smtp.wire.commands import Kind

__all__ = [
    "FRAMING",
    "LINE_STEPS",
    "REPLY_STEPS",
    "TRANSACTION",
    "Effect",
    "Phase",
    "Step",
    "reply_step",
]


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
    """Counted octets behind a refused BDAT (RFC 3030 §2): dropped, never parsed."""
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
    GOODBYE = "2xx to QUIT, 421, reply to a violation"
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
"""(what is answered, None being the greeting; first digit) → the step. Replies are judged by their
first digit alone (RFC 5321 §4.2.1), but for 421, which ends every dialogue. What is not here, such as
3xx to a verb that has no continuation, would open framing that nobody knows: a violation."""


def reply_step(kind: Kind | None, code: int) -> Step | None:
    """The step that a reply is, or None if it is a violation."""
    return Step.GOODBYE if code == 421 and kind is not None else REPLY_STEPS.get((kind, code // 100))


class Effect(Enum):
    """What an accepted command does to the mail transaction."""

    BEGIN = "begins"
    ADD_RECIPIENT = "adds a recipient"
    END = "ends"


TRANSACTION: Final[dict[tuple[bytes, int], Effect]] = {
    (b"MAIL", 2): Effect.BEGIN,
    (b"RCPT", 2): Effect.ADD_RECIPIENT,
    (b"RSET", 2): Effect.END,
    (b"EHLO", 2): Effect.END,
    (b"HELO", 2): Effect.END,
    **{(b".", severity): Effect.END for severity in (2, 4, 5)},
}
"""(verb, first digit of its reply) → effect; "." stands for end-of-data, which ends the transaction
accepted or not. Not here: no effect."""
