"""The seven states of a session as one value, and the combinations that may occur.

Each single state is legal if its table in `sansio_smtp.states` leads to it, but some combinations are not.
`TOGETHER` says which states may occur together. The exhaustive check visits every joint state that bounded
dialogues reach, and compares each with `TOGETHER`; docs/reference/states.md lists them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import attrs

from .states import Gate, Message, Phase, TransactionState, UpstreamState

__all__ = ["TOGETHER", "Snapshot", "contradiction"]


@attrs.frozen
class Snapshot:
    """The joint state of a proxy as one value, made by `Proxy.snapshot`. Two snapshots are equal if all seven
    states are; a snapshot is hashable. ``str(snapshot)`` is one line for a log."""

    client: Phase
    """The phase of the end that faces the client."""
    client_transaction: TransactionState
    """The mail transaction as the client knows it from replies."""
    gate: Gate
    message: Message
    upstream: UpstreamState
    server: Phase
    """The phase of the end that faces the server."""
    server_transaction: TransactionState
    """The mail transaction as the server has accepted it."""

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
        # MUST_CLOSE: the server refused with its greeting, and a question about that reply is open.
        "server": frozenset((Phase.GREETING, Phase.MUST_CLOSE)),
        "message": frozenset((Message.NONE,)),
    },
    UpstreamState.SETUP: {
        "server": frozenset((Phase.COMMAND, Phase.BLOCKED, Phase.AUTH_LINE, Phase.TLS)),
        "message": frozenset((Message.NONE,)),
    },
    UpstreamState.READY: {
        # MUST_CLOSE: the server said 421, and a question about that reply is open.
        "server": frozenset((Phase.COMMAND, Phase.BLOCKED, Phase.CONTENT, Phase.AUTH_LINE, Phase.MUST_CLOSE)),
    },
    UpstreamState.DETACHED: {
        "client": _OPEN_PHASES - {Phase.GREETING},
        "server": frozenset((Phase.CLOSED,)),
        "server_transaction": frozenset((TransactionState.NONE,)),
        "message": frozenset((Message.NONE, Message.DROPPING)),
    },
    UpstreamState.CLOSED: {"gate": frozenset((Gate.SHUT,))},
    # Between two chunks of a message the client may send some commands.
    Message.STREAMING: {"client": _AFTER_DATA | {Phase.CONTENT}},
    Message.JUDGING: {
        "client": frozenset((Phase.CONTENT, Phase.CHUNK, Phase.COMMAND)),
        "gate": frozenset((Gate.ASKED,)),
    },
    Message.DROPPING: {"client": _AFTER_DATA | {Phase.CONTENT}},
    # Commands after end-of-data are parsed, and wait until the message has been sent.
    Message.AWAITING_DATA: {"client": _AFTER_DATA, "upstream": frozenset((UpstreamState.READY,))},
    Message.SENDING: {
        "client": _AFTER_DATA,
        "server": frozenset((Phase.CONTENT,)),
        "upstream": frozenset((UpstreamState.READY,)),
    },
}
"""A state → the values that other fields of `Snapshot` may have at the same time. A field that is not named
may have any value."""


def contradiction(snapshot: Snapshot) -> str | None:
    """Says which rule of `TOGETHER` a joint state breaks. Returns None if it breaks none."""
    for name in ("gate", "upstream", "message"):
        state = getattr(snapshot, name)
        for other, allowed in TOGETHER.get(state, {}).items():
            found = getattr(snapshot, other)
            if found not in allowed:
                return f"{name} {state.name} does not go with {other} {found.name}"
    return None
