"""Checks the content that a caller sends in pieces: it must not end the message before its end."""

from __future__ import annotations

from copy import deepcopy

import attrs

from sansio_smtp.config import BareNewline
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.wire.content import ContentReader

__all__ = ["SentContent"]

_HOW = "send_message takes a whole message as it is, and ContentWriter makes pieces that may be sent"


@attrs.define
class SentContent:
    """Reads what is sent, as a strict server does."""

    _reader: ContentReader = attrs.field(factory=lambda: ContentReader(BareNewline.REJECT), init=False)

    def add(self, wire: bytes) -> None:
        """Raises `LocalProtocolError`, and adds nothing, for octets that hold end-of-data, or that some
        servers could read as it."""
        reader = deepcopy(self._reader)
        reader.feed(wire)
        if reader.finished:
            raise LocalProtocolError(
                f"this content holds a line of one dot, which would end the message; {_HOW}"
            )
        if reader.error is not None:
            raise LocalProtocolError(f"this content cannot be sent: {reader.error}; {_HOW}")
        self._reader = reader

    def check_end(self) -> None:
        """Raises `LocalProtocolError` if end-of-data would not be read as such now."""
        reader = deepcopy(self._reader)
        reader.feed(b".\r\n")
        if not reader.finished or reader.error is not None:
            raise LocalProtocolError(
                "the content does not end in CRLF, so the server would not see the end of the message; "
                "send the octets that the finish() of a ContentWriter returns first"
            )
