"""A line of the client with the replies to it (RFC 5321 §4.1: one reply for each command, in order).

The end that faces the client makes an `Exchange` for each line and each end-of-data, and keeps them in their
order. A server or a verdict may supply the reply to any of them at any time; replies are sent to the client
from the oldest exchange only. The same object is the *handle* that `ClientConnection` is given with a command
and gives back with the reply, so that no two queues have to be kept in step.
"""

from __future__ import annotations

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from .fan_out import FanOut

__all__ = ["Content", "Exchange"]


@attrs.define
class Content:
    """What a log says of the content of a message."""

    received: int
    """The decoded octets that came from the client, before any edit."""
    size: int
    """The decoded octets of the message that went to the server; 0 if it did not."""
    message_id: bytes = b""
    """The field Message-ID (RFC 5322 §3.6.4) as the client has sent it, without its name; empty if none was
    found."""

    def leaves(self, size: int) -> None:
        """The message goes to the server, with so many octets."""
        self.size = size


@attrs.define(eq=False)
class Exchange:
    """A line of the client, or its end-of-data, with the replies to it that are known."""

    command: Command
    owes: int = 1
    """Number of replies that the client has yet to get: one, or one for each recipient (RFC 2033 §4.2)."""
    replies: list[Reply] | None = None
    """The replies that are known and wait until all replies before them have been sent."""
    closes: bool = False
    """True if the session ends with the reply, whatever code it has."""
    fan_out: FanOut | None = None
    """For end-of-data, if a peer counts replies by recipients: says which reply goes to whom."""
    replacement: Command | None = None
    """The command that a server was sent instead, if a verdict replaced it."""
    content: Content | None = None
    """For end-of-data, what is known of the message, if that is wanted (`Config.account`)."""

    def owe(self, recipients: int) -> None:
        """The client is owed a reply to its message for each of so many recipients; for none, one."""
        self.owes = max(1, recipients)

    def share(self, fan_out: FanOut) -> None:
        """The replies to this message are counted by recipients."""
        self.fan_out = fan_out

    def fill(self, reply: Reply) -> None:
        """Adds a reply that is known."""
        if self.replies is None:
            self.replies = [reply]
        else:
            self.replies.append(reply)

    def next_reply(self) -> Reply | None:
        """Takes the next known reply; None if there is none."""
        return self.replies.pop(0) if self.replies else None

    def went_as(self, command: Command) -> None:
        """A server was sent this command instead."""
        self.replacement = command

    def becomes(self, command: Command) -> None:
        """What is to be answered is this now: end-of-data in place of the last chunk, when its octets have
        come."""
        self.command = command

    def came_with(self, content: Content) -> None:
        """The content of the message has come."""
        self.content = content

    def end_with(self) -> None:
        """The session is to end with the reply, which may not be known yet."""
        self.closes = True

    def go_on(self) -> None:
        """One of several replies has been sent."""
        self.owes -= 1
