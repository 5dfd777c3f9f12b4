"""`Exchange`: a line of the client with its replies (RFC 5321 §4.1: one reply for each command, in order).

The end that faces the client makes an `Exchange` for each line and each end-of-data, and keeps them in order.
A server or a verdict may supply the reply to any of them at any time, but replies are sent to the client from
the oldest exchange only. The exchange is also the *handle* that `ClientConnection` gets with a command and
returns with the reply, so that no second queue is needed.
"""

from __future__ import annotations

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from .fan_out import FanOut

__all__ = ["Content", "Exchange"]


@attrs.define
class Content:
    """Facts about the content of a message, for a log."""

    received: int
    """The number of decoded octets from the client, before any edit."""
    size: int
    """The number of decoded octets sent to the server; 0 if the message was not sent."""
    message_id: bytes = b""
    """The field Message-ID (RFC 5322 §3.6.4) as the client has sent it, without its name; empty if none was
    found."""
    bare_lf: bool = False
    """True if the client has ended lines in LF without CR: that was corrected, or is why the message is
    refused."""

    def leaves(self, size: int) -> None:
        """The message is sent to the server, with so many octets."""
        self.size = size


@attrs.define(eq=False)
class Exchange:
    """A line of the client, or its end-of-data, with its known replies."""

    command: Command
    owes: int = 1
    """The number of replies that the client must still get: one, or one for each recipient (RFC 2033
    §4.2)."""
    replies: list[Reply] | None = None
    """The known replies that wait until all replies before them have been sent."""
    closes: bool = False
    """True if the session ends with the reply, whatever code it has."""
    refused: bool = False
    """True if it was refused here: no reply may accept it."""
    fan_out: FanOut | None = None
    """For end-of-data, if a peer has a reply for each recipient: assigns the replies."""
    replacement: Command | None = None
    """The command that was sent to a server instead, if a verdict replaced it."""
    content: Content | None = None
    """For end-of-data, the facts about the message, if `Config.account` wants them."""

    def owe(self, recipients: int) -> None:
        """The client must get a reply to its message for each of so many recipients; one if there are
        none."""
        self.owes = max(1, recipients)

    def share(self, fan_out: FanOut) -> None:
        """The replies to this message are given by recipient."""
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
        """This command was sent to a server instead."""
        self.replacement = command

    def becomes(self, command: Command) -> None:
        """The exchange is now for this command: end-of-data in place of the last chunk, when its octets have
        come."""
        self.command = command

    def came_with(self, content: Content) -> None:
        """The content of the message has come."""
        self.content = content

    def refuse(self) -> None:
        """The line or message is refused here."""
        self.refused = True

    def end_with(self) -> None:
        """The session will end with the reply, which may not be known yet."""
        self.closes = True

    def go_on(self) -> None:
        """One of several replies has been sent."""
        self.owes -= 1
