"""Finds the Message-ID (RFC 5322 §3.6.4) of a message while it passes, for a log.

It is no parser of header fields: it looks for the name at the beginning of a line, up to the first empty
line, and not beyond `MOST` octets. A field that is not found is missing in the log, and nothing else happens.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LONGEST", "MOST", "MessageIdReader"]

MOST: Final = 65_536
"""Octets of a header section in which the field is looked for."""
LONGEST: Final = 250
"""Octets of a value that are kept."""

_KEPT: Final = 1_000
"""Octets that are kept of a segment: the field may begin in it, and end in the next one."""
_VALUE: Final = rb"(?i:message-id)[ \t]*:[ \t]*(?:\r\n[ \t]+)?(?:([^\r\n \t][^\r\n]*)\r\n|\r\n(?=[^ \t]))"
# One search for the field and for the end of the header section; what begins with an octet is found fast.
_LATER: Final = re.compile(rb"\n(?:\r\n|" + _VALUE + rb")")
_FIRST: Final = re.compile(rb"\r\n|" + _VALUE)


class MessageIdReader:
    """Takes the wire form of a message in segments, cut anywhere."""

    __slots__ = ("_kept", "_read", "is_over", "value")

    def __init__(self) -> None:
        self.value = b""
        """The value of the field, without blanks around it; empty if there is none."""
        self.is_over = False
        """True if nothing more is looked for."""
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
