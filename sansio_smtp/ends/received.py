"""What the ends of a dialogue give for the octets of a peer: see `ServerConnection.next_event`."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import Form, unstuff
from sansio_smtp.wire.violations import RemoteProtocolError

from .exchanges import Exchange

__all__ = [
    "END_OF_INPUT",
    "NEED_DATA",
    "PAUSED",
    "ChunkEnded",
    "ClientEvent",
    "ContentReceived",
    "ContentRefused",
    "EndOfData",
    "Pause",
    "Refused",
    "Unfinished",
]


class Pause(Enum):
    """Why `next_event` returns no event. In a ``match`` write ``case Pause.NEED_DATA``: a name without a dot
    would take every event."""

    NEED_DATA = "more octets are needed"
    """Give what the peer sends next to `receive_data`."""
    PAUSED = "a reply must be sent first"
    """Nothing is read before a reply, or the TLS handshake, decides what the next octets are; or the dialogue
    is over: see `phase`."""
    END_OF_INPUT = "the peer has sent its last octet"
    """The last event has been returned."""

    def __repr__(self) -> str:
        return self.name

    # A type checker says it by itself.
    if not TYPE_CHECKING:  # pragma: no branch

        def __getattr__(self, name: str) -> object:
            raise AttributeError(
                f"a Pause is no event and has no {name!r}: take events until one is a Pause, then do what it "
                "asks for; after NEED_DATA read, and call receive_data"
            )


NEED_DATA: Final = Pause.NEED_DATA
PAUSED: Final = Pause.PAUSED
END_OF_INPUT: Final = Pause.END_OF_INPUT
_DOTTED: Final = Form.DOTTED


@attrs.define(eq=False)
class Refused:
    """A line that must not be forwarded. The caller sends ``error.reply_hint``, after the replies to the
    lines before.

    If ``command.kind`` is `Kind.VIOLATION`, that reply is the last one. ``expected`` is True for a command
    that a client may send in good faith, such as AUTH before STARTTLS.
    """

    command: Command
    error: RemoteProtocolError
    expected: bool = False


@attrs.define(eq=False)
class ContentReceived:
    """A piece of the message that the client is sending. `decoded` is what the message says; ``data`` is the
    same in its ``form``, safe to pass on. ``at_line_start`` is True if the data begins a line."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    at_line_start: bool
    form: Form = Form.DOTTED

    @property
    def decoded(self) -> bytes:
        """The octets of the message itself: without the dots that are doubled on the wire, every line with
        its CRLF. All pieces in a row are the whole message, however they were cut."""
        return unstuff(self.data, self.at_line_start) if self.form is _DOTTED else self.data


@attrs.define(eq=False)
class ContentRefused:
    """The message must not be passed on. The rest of it is dropped; at `EndOfData` the caller sends
    ``error.reply_hint``."""

    error: RemoteProtocolError


@attrs.define(eq=False)
class ChunkEnded:
    """The last octet of a chunk has come, and more chunks follow; or of a chunk that was dropped, and not
    answered before. The reply to its BDAT, ``exchange``, may be sent from now on."""

    exchange: Exchange


@attrs.define(eq=False)
class EndOfData:
    """The client has sent end-of-data, or all octets of the last chunk; ``size`` counts the decoded octets. A
    reply is owed. ``bare_lf`` is True if lines have ended in LF without CR: that was corrected, or is
    why the message is refused."""

    size: int
    bare_lf: bool = attrs.field(default=False, repr=False)


@attrs.frozen
class Unfinished:
    """What has come of a message whose end has not come."""

    octets: int
    """The decoded octets, up to the mistake if the message is refused for one."""
    bare_lf: bool = False
    """True if a line ended in LF without CR."""
    lf_dot: bool = False
    """True if a line of one dot ended in LF: the client may take it for end-of-data."""
    in_chunks: bool = False
    """True if a chunk is unfinished."""


ClientEvent: TypeAlias = (
    Command
    | Refused
    | ContentReceived
    | ContentRefused
    | ChunkEnded
    | EndOfData
    | RemoteProtocolError
    | Pause
)
"""What `ServerConnection.next_event` returns. A `RemoteProtocolError` by itself is a violation to which no
reply can be sent: close the connection."""
