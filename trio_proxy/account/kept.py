"""`KeptMail`: what the built-in server has kept, until the line of the log about it is written.

The built-in server is at the other end of a connection. So a session finds what has become of its message by
the queue id in the server's reply.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["BUILT_IN", "Kept", "KeptMail"]

BUILT_IN: Final = "built-in"
"""The name of the server of this process in metrics and in the log: its port changes at each start."""

_MOST: Final = 1_000
"""Messages that are remembered. A session asks within a moment, unless its connection is lost."""


@attrs.frozen
class Kept:
    """A message that the built-in server has kept."""

    file: str
    """Relative to the Maildir."""
    sender: str
    """As the built-in server was told; empty for the null reverse-path."""
    subject: str
    """Decoded (RFC 2047). It may hold control characters."""


class KeptMail:
    """Messages that were kept a moment ago, by queue id."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def add(self, queue_id: str, kept: Kept) -> None:
        """A message is kept. Nobody may ask for it: then it is forgotten when many others have come."""
        if len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[queue_id] = kept

    def take(self, queue_id: str) -> Kept | None:
        """Returns the message, once; None if the built-in server has not kept it."""
        return self._kept.pop(queue_id, None)
