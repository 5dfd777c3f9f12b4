"""A message that the client sends in chunks (BDAT, RFC 3030), and the chunks in which it leaves.

The chunks of the server are not those of the client: a verdict may have changed the octets, and some wait for
a verdict. But they do not depend on how the octets were cut into segments. What a chunk of the client has
given leaves at its end at the latest, and before that in pieces of `Config.max_chunk` octets::

    client   BDAT 100 000 [ octets ............................ ]          BDAT 9 LAST [ octets ]
    server                BDAT 65536 [ ... ]   BDAT 34464 [ ... ]              BDAT 9 LAST [ octets ]
                            its reply             its reply                     its reply
                            is a `Part`'s:        is the reply to               is the reply to
                            2xx: goes to nobody   BDAT 100 000                  the message

A chunk of which nothing has left, since all of it waits for a verdict or the message is kept whole, gets 2xx
from the proxy.

What must never happen is that a server takes a message with a part missing. So when it refuses any part, the
message is over: nothing more of it leaves, the last chunk least of all, and the server is sent RSET.
"""

from __future__ import annotations

import attrs

from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import chunk_size
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .forwarding import Forwarding, Part

__all__ = ["ABORTING", "ALLOWED", "Chunks", "taken"]

ABORTING = frozenset((b"RSET", b"EHLO", b"HELO", b"QUIT"))
"""The verbs with which a client gives up a message of which it has sent chunks."""
ALLOWED = frozenset((b"NOOP", b"VRFY", b"EXPN", b"HELP"))
"""The verbs that it may send between two chunks."""


def taken(chunk: Exchange) -> Reply:
    """The reply of the proxy to a chunk of which nothing has left."""
    return own_replies.chunk_taken(chunk_size(chunk.command) or 0)


@attrs.define(eq=False)
class Chunks:
    """The message whose chunks arrive. ``native``: it leaves in chunks; else it is kept whole, or dropped."""

    forwarding: Forwarding
    limit: int
    """Largest chunk for the server."""
    native: bool
    binary: bool = False
    """True if the message is declared BINARYMIME."""
    chunk: Exchange | None = None
    """The client's chunk that arrives, or the last one that has."""
    awaited: list[Exchange] = attrs.field(factory=list[Exchange], init=False)
    """The client's chunks that have left whole, and await the server's reply."""
    parts: int = attrs.field(default=0, init=False)
    """Number of parts of the client's chunks that the server has not answered."""
    _waiting: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def buffered(self) -> int:
        """Number of octets that are kept until they make a chunk."""
        return len(self._waiting)

    def next_chunk(self, chunk: Exchange) -> None:
        """The client's next chunk begins to arrive."""
        self.chunk = chunk

    def add(self, octets: bytes) -> None:
        """Takes octets for the server. They leave as soon as they are more than one chunk."""
        waiting, limit, chunk = self._waiting, self.limit, self.chunk
        assert chunk is not None  # they are of one
        waiting += octets
        while len(waiting) > limit:
            piece = bytes(waiting[:limit])
            del waiting[:limit]
            self.parts += 1
            self.forwarding.send_chunk(piece, Part(chunk))

    def part_taken(self) -> None:
        """The server has taken a part."""
        self.parts -= 1

    def end_chunk(self) -> bool:
        """The client's chunk has ended: what is left of it leaves, and the reply to that will be the reply to
        the client. Returns False if nothing was left."""
        if not self._waiting:
            return False
        assert self.chunk is not None  # it has ended
        self.awaited.append(self.chunk)
        self.forwarding.send_chunk(self._take(), self.chunk)
        return True

    def owns(self, chunk: Exchange) -> bool:
        """Returns True if this chunk of the client is one of this message that has not been answered."""
        return chunk is self.chunk or chunk in self.awaited

    def answered(self, chunk: Exchange) -> None:
        """The server has replied to all that was left of this chunk."""
        if chunk in self.awaited:
            self.awaited.remove(chunk)

    def take_awaited(self) -> list[Exchange]:
        """The chunks that await the server's reply, which is not awaited any more."""
        awaited, self.awaited = self.awaited, []
        return awaited

    def drop(self) -> None:
        """Nothing more is to leave."""
        self._waiting.clear()

    def end(self, message: Exchange) -> None:
        """The message has ended: its last chunk leaves."""
        assert message.command.kind is Kind.END_OF_DATA
        self.forwarding.send_chunk(self._take(), message, last=True)

    def _take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
