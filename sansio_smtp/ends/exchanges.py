"""A line of the client with the replies that it is owed (RFC 5321 §4.1: one reply for each command, in turn).

The end that faces the client makes an `Exchange` for each line and each message, and keeps them in their
order. Whoever answers fills one at any time; replies leave from the oldest only. The same object is the
*handle* that `ClientConnection` is given with a command and gives back with the reply, so that nobody has to
count.
"""

from __future__ import annotations

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

__all__ = ["Exchange"]


@attrs.define(eq=False)
class Exchange:
    """A line of the client, or the end of its message, and its replies as they become known."""

    command: Command
    owes: int = 1
    """Replies that the client still has to get: one, or one for each recipient (RFC 2033 §4.2)."""
    replies: list[Reply] | None = None
    """Those that are known and wait for their turn."""
    closes: bool = False
    """The session ends with the reply, whatever its code."""
    replacement: Command | None = None
    """What a server was sent in its place, if a verdict replaced it."""

    def fill(self, reply: Reply) -> None:
        """A reply is known."""
        if self.replies is None:
            self.replies = [reply]
        else:
            self.replies.append(reply)

    def next_reply(self) -> Reply | None:
        """Takes the next reply, if it is known."""
        return self.replies.pop(0) if self.replies else None

    def went_as(self, command: Command) -> None:
        """A server was sent this command in its place."""
        self.replacement = command

    def end_with(self) -> None:
        """The session is to end with the reply, which is not known yet."""
        self.closes = True

    def go_on(self) -> None:
        """One of several replies has been sent."""
        self.owes -= 1
