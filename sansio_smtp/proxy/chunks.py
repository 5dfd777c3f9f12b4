"""A message that the client sends in chunks (BDAT, RFC 3030), and the chunks sent to the server. The server's
chunks differ from the client's: a verdict may have changed the octets, and some octets wait for a verdict.
But they do not depend on how the octets were cut into segments. The octets of a client's chunk are sent in
pieces of `Config.max_chunk` octets, the last one at the end of the chunk::

    client   BDAT 100 000 [ octets ............................ ]          BDAT 9 LAST [ octets ]
    server                BDAT 65536 [ ... ]   BDAT 34464 [ ... ]              BDAT 9 LAST [ octets ]
                            its reply             its reply                     its reply
                            is a `Part`'s:        is the reply to               is the reply to
                            2xx: goes to nobody   BDAT 100 000                  the message

If nothing of a chunk has been sent, because all of it waits for a verdict or the message is kept whole, the
proxy answers it with 2xx.

What must never happen is that a server accepts a message with a part missing. So when it refuses any part,
the message is over: nothing more of it is sent, above all not the last chunk, and the server gets RSET.
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
"""The verbs with which a client abandons a message after sending some chunks."""
ALLOWED = frozenset((b"NOOP", b"VRFY", b"EXPN", b"HELP"))
"""The verbs that a client may send between two chunks."""


def taken(chunk: Exchange) -> Reply:
    """The reply of the proxy to a chunk whose octets were not sent."""
    return own_replies.chunk_taken(chunk_size(chunk.command) or 0)


@attrs.define(eq=False)
class Chunks:
    """The message whose chunks are arriving. ``native``: it is sent in chunks; else it is kept whole, or
    dropped."""

    forwarding: Forwarding
    limit: int
    """The largest chunk for the server."""
    native: bool
    binary: bool = False
    """True if the message is declared BINARYMIME."""
    chunk: Exchange | None = None
    """The client's chunk that is arriving, or the last one."""
    awaited: list[Exchange] = attrs.field(factory=list[Exchange], init=False)
    """The client's chunks that were sent completely, and await the server's reply."""
    parts: int = attrs.field(default=0, init=False)
    """The number of parts of the client's chunks that the server has not answered."""
    _waiting: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def buffered(self) -> int:
        """Number of octets that are kept until they make a chunk."""
        return len(self._waiting)

    def next_chunk(self, chunk: Exchange) -> None:
        """The client's next chunk begins to arrive."""
        self.chunk = chunk

    def add(self, octets: bytes) -> None:
        """Takes octets for the server, and sends them as soon as they are more than one chunk."""
        waiting, limit, chunk = self._waiting, self.limit, self.chunk
        assert chunk is not None  # the octets belong to a chunk
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
        """The client's chunk has ended: sends the rest of it, whose reply will be the reply to the client.
        Returns False if there was no rest."""
        if not self._waiting:
            return False
        assert self.chunk is not None  # it has ended
        self.awaited.append(self.chunk)
        self.forwarding.send_chunk(self._take(), self.chunk)
        return True

    def owns(self, chunk: Exchange) -> bool:
        """Returns True if this chunk of the client belongs to this message and was not answered."""
        return chunk is self.chunk or chunk in self.awaited

    def answered(self, chunk: Exchange) -> None:
        """The server has replied to the rest of this chunk."""
        if chunk in self.awaited:
            self.awaited.remove(chunk)

    def take_awaited(self) -> list[Exchange]:
        """Takes the chunks that await the server's reply: they do not wait any more."""
        awaited, self.awaited = self.awaited, []
        return awaited

    def drop(self) -> None:
        """Sends nothing more of the message."""
        self._waiting.clear()

    def end(self, message: Exchange) -> None:
        """The message has ended: sends its last chunk."""
        assert message.command.kind is Kind.END_OF_DATA
        self.forwarding.send_chunk(self._take(), message, last=True)

    def _take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken
