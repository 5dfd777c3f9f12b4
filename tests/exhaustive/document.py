"""Writes docs/reference/states.md: the joint states that were reached, what they mean, and which rules they
keep."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

import attrs

from sansio_smtp import Phase
from sansio_smtp.joint_states import TOGETHER, Snapshot
from sansio_smtp.states import Gate, Message, UpstreamState

__all__ = ["FIELDS", "listed", "names", "render", "rules"]

FIELDS: Final = tuple(field.name for field in attrs.fields(Snapshot))

_INTRODUCTION: Final = """\
# States

A `Proxy` is in one joint state: the framing phase and the mail transaction of each end, the gate, the
message in flight, and the connection to the server. `Proxy.snapshot()` returns it as one value. The tables
of each part are in [`sansio_smtp/states.py`](../../sansio_smtp/states.py);
[design](../explanation/design.md#framing) explains them.

`python tests/exhaustive/explore.py --write` writes this page. It visits every state that dialogues of limited
length can reach. In each state it tries each kind of line, reply, verdict, end of input and signal that a
driver may give, for several sets of questions, and checks the promises and the rules below. A test fails if
it reaches a joint state that is not on this page.
"""

_RULES: Final = """\
## What goes together

`joint_states.contradiction` returns the rule that a joint state breaks. A broken rule is an internal error:
the client gets 451, and both sides are closed.

"""

_LEGEND: Final = """\
## Joint states

Each row contains the joint states that differ only in the mail transactions. `open/none` means that the
client was told that its transaction is open, but the server has none.

"""

_CLIENT: Final = {
    Phase.GREETING: "the client has no greeting yet",
    Phase.COMMAND: "the client may send commands",
    Phase.BLOCKED: "the reply to the client's last line decides how its next octets are read",
    Phase.CONTENT: "the client sends mail data",
    Phase.AUTH_LINE: "the client must send a line of its AUTH exchange",
    Phase.CHUNK: "the client sends the octets that BDAT has counted",
    Phase.TLS: "the TLS handshake with the client goes on",
    Phase.MUST_CLOSE: "the client got its last reply",
    Phase.CLOSED: "the dialogue is over",
}
_GATE: Final = {
    Gate.OPEN: "",
    Gate.QUEUED: "a command waits for its turn to be asked about",
    Gate.ASKED: "a question is open",
    Gate.ENDING: "a reply that ends the session waits for its turn",
    Gate.SHUT: "",
}
_MESSAGE: Final = {
    Message.NONE: "",
    Message.STREAMING: "content is passed on, edited or kept",
    Message.JUDGING: "the question is about content",
    Message.DROPPING: "the message is refused or dropped",
    Message.AWAITING_DATA: "a message that was kept waits for the server's reply to DATA",
    Message.SENDING: "a message is sent from its spool piece by piece",
}
_SERVER: Final = {
    Phase.GREETING: "",
    Phase.COMMAND: "",
    Phase.BLOCKED: "the server's next reply decides what may be sent to it",
    Phase.CONTENT: "the server takes mail data",
    Phase.AUTH_LINE: "the server waits for a line of the AUTH exchange",
    Phase.CHUNK: "",
    Phase.TLS: "the TLS handshake with the server goes on",
    Phase.MUST_CLOSE: "the server has ended the session",
    Phase.CLOSED: "",
}
_UPSTREAM: Final = {
    UpstreamState.CONNECTING: "The driver must connect to a server, which has sent nothing yet.",
    UpstreamState.GREETING: "The server is connected and has not greeted.",
    UpstreamState.SETUP: "The server gets what the client has already said, and nothing else.",
    UpstreamState.READY: "The server gets the commands of the client as they come.",
    UpstreamState.DETACHED: "The server was reset in a message, or has failed. The client is still served.",
    UpstreamState.CLOSED: "Both sides are closed.",
}


def names(snapshot: Snapshot) -> tuple[str, ...]:
    """A joint state by the names of its parts, in the order of `FIELDS`."""
    return tuple(getattr(snapshot, field).name for field in FIELDS)


def render(joint: Mapping[Snapshot, Iterable[str]]) -> str:
    """The page, for the joint states that were reached; each with what the dialogue waited for."""
    by_upstream: dict[UpstreamState, list[Snapshot]] = defaultdict(list)
    for snapshot in joint:
        by_upstream[snapshot.upstream].append(snapshot)
    parts = [_INTRODUCTION, _RULES + rules() + "\n", _LEGEND.rstrip("\n") + "\n"]
    for upstream in UpstreamState:
        if upstream in by_upstream:
            rows = _rows(by_upstream[upstream], joint)
            parts.append(f"### {upstream.name}\n\n{_UPSTREAM[upstream]}\n\n{rows}\n")
    return "\n".join(parts)


def rules() -> str:
    """The table of `states.TOGETHER`."""
    rows = [
        (f"{_part(state)} {state.name}", other.replace("_", " "), ", ".join(_in_order(allowed)))
        for state, together in TOGETHER.items()
        for other, allowed in together.items()
    ]
    return _table(("where", "this", "is one of"), rows)


def listed(page: str) -> set[tuple[str, ...]]:
    """The joint states that a page has, as `names` gives them."""
    found: set[tuple[str, ...]] = set()
    upstream = ""
    for line in page.split("\n"):
        if line.startswith("### "):
            upstream = line.removeprefix("### ")
        elif upstream and re.match(r"\| [A-Z]", line):
            client, gate, message, server, transactions = line.strip("| ").split(" | ")[:5]
            for pair in transactions.split(", "):
                one, other = pair.upper().split("/")
                values = {
                    "client": client,
                    "client_transaction": one,
                    "gate": gate,
                    "message": message,
                    "upstream": upstream,
                    "server": server,
                    "server_transaction": other,
                }
                found.add(tuple(values[field] for field in FIELDS))
    return found


def _rows(snapshots: Iterable[Snapshot], joint: Mapping[Snapshot, Iterable[str]]) -> str:
    grouped: dict[tuple[Phase, Gate, Message, Phase], list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        grouped[snapshot.client, snapshot.gate, snapshot.message, snapshot.server].append(snapshot)
    rows = []
    for key in sorted(grouped, key=lambda key: [_place(state) for state in key]):
        client, gate, message, server = key
        pairs = sorted(
            (_place(one.client_transaction), _place(one.server_transaction), _pair(one))
            for one in grouped[key]
        )
        waited = sorted({waited for one in grouped[key] for waited in joint[one]})
        meaning = [_CLIENT[client], _GATE[gate], _MESSAGE[message], _SERVER[server]]
        rows.append(
            (
                *(state.name for state in key),
                ", ".join(pair for _, _, pair in pairs),
                ", ".join(waited),
                "; ".join(text for text in meaning if text),
            )
        )
    head = ("client", "gate", "message", "server", "transactions", "waits for", "meaning")
    return _table(head, rows)


def _pair(snapshot: Snapshot) -> str:
    return f"{snapshot.client_transaction.value}/{snapshot.server_transaction.value}"


def _place(state: Enum) -> int:
    return list(type(state)).index(state)


def _in_order(states: Iterable[Enum]) -> list[str]:
    return [state.name for state in sorted(states, key=_place)]


def _part(state: Enum) -> str:
    kinds: dict[type, str] = {Gate: "gate", Message: "message", UpstreamState: "upstream", Phase: "client"}
    return kinds[type(state)]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))
