"""Commands and their replies, kept in order (RFC 5321 §4.1: one reply for each command, in turn).

Any exchange may be *filled* out of turn, by the server or by a verdict; only the oldest is *sent*.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

__all__ = ["ANYWHERE", "Exchange", "Exchanges", "Internal"]

ANYWHERE: Final = ""
"""An upstream that is whichever is connected."""


@attrs.define(eq=False)
class Exchange:
    """A line of the client, or the end of its message, and the reply to it once it is known."""

    command: Command
    reply: Reply | None = None
    ends_session: bool = False
    """Whether both sides are closed behind the reply, whatever its code."""
    upstream: str | None = ANYWHERE
    """The server that the command is for; None is the one that the driver connected first."""


class Internal(Enum):
    """Commands that the proxy sends of its own accord; their replies are not the client's."""

    RESET = "RSET behind a refusal that the server did not see"
    HELD_DATA = "DATA for a message that was held"
    ADDED_RECIPIENT = "RCPT for a recipient that a verdict added"
    JOIN = "what the client had said, again, for a server that was not there then"


@attrs.define(eq=False)
class Exchanges:
    """Three queues: what awaits a reply to the client, what of it the server has yet to see, and what
    the server owes replies for.

    Lists, since `Config.max_pipelined` keeps them short, and an empty deque takes 760 octets.
    """

    waiting: list[Exchange] = attrs.field(factory=list[Exchange])
    unsent: list[tuple[Command, Exchange | Internal]] = attrs.field(
        factory=list[tuple[Command, Exchange | Internal]]
    )
    forwarded: list[Exchange | Internal] = attrs.field(factory=list[Exchange | Internal])

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def octets(self) -> int:
        return sum(len(exchange.command.raw) for exchange in self.waiting)

    def open(self, command: Command) -> Exchange:
        exchange = Exchange(command)
        self.waiting.append(exchange)
        return exchange

    def is_due(self, exchange: Exchange) -> bool:
        """Whether all that this command may depend on has been answered. Recipients do not depend on each
        other (RFC 2920 §3.1)."""
        if exchange.command.verb == b"RCPT":
            return all(before.command.verb == b"RCPT" for before in self.waiting)
        return self.waiting[0] is exchange

    def deliverable(self) -> Iterator[tuple[Exchange, Reply]]:
        """The exchanges whose turn has come and whose reply is known, each taken off the queue."""
        waiting = self.waiting
        while waiting and (reply := waiting[0].reply) is not None:
            yield waiting.pop(0), reply

    def clear(self) -> None:
        self.waiting.clear()
        self.unsent.clear()
        self.forwarded.clear()
