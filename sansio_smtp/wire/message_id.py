"""Finds the Message-ID (RFC 5322 §3.6.4) of a message while it passes, for a log.

This is not a parser of header fields: it searches for the name at the beginning of a line, up to the first
empty line, and within `MOST` octets. If the field is not found, only the log lacks it.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LONGEST", "MOST", "MessageIdReader"]

MOST: Final = 65_536
"""The number of octets of a header section that are searched."""
LONGEST: Final = 250
"""The most octets of a value that are kept."""

_KEPT: Final = 1_000
"""The most octets that are kept of a segment, because the field may begin in it and end in the next one."""
_VALUE: Final = rb"(?i:message-id)[ \t]*:[ \t]*(?:\r\n[ \t]+)?(?:([^\r\n \t][^\r\n]*)\r\n|\r\n(?=[^ \t]))"
# One search for the field and the end of the header section; a fixed first octet makes it fast.
_LATER: Final = re.compile(rb"\n(?:\r\n|" + _VALUE + rb")")
_FIRST: Final = re.compile(rb"\r\n|" + _VALUE)


class MessageIdReader:
    """Takes the wire form of a message in segments, cut anywhere."""

    __slots__ = ("_kept", "_read", "is_over", "value")

    def __init__(self) -> None:
        self.value = b""
        """The value of the field, without blanks around it; empty if there is none."""
        self.is_over = False
        """True if the search is over."""
        self._kept = b""
        self._read = 0

    def feed(self, data: bytes) -> None:
        """Takes the next segment."""
        if self.is_over:
            return
        kept, self._read = self._kept, self._read + len(data)
        if kept:
            data = kept + data
        found = _FIRST.match(data) if self._read == len(data) else None
        if found is None:
            found = _LATER.search(data, 0, MOST)
        if found is not None:
            self.value = (found[1] or b"").strip(b" \t")[:LONGEST]
        self.is_over = found is not None or self._read >= MOST
        self._kept = b"" if self.is_over else data[-_KEPT:]
