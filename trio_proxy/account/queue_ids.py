"""Finds the queue id in a server's reply to a message, so that one can search the server's own log for it.

No standard says where it is. The patterns are those of widely used servers.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["queue_id"]

_PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rb"(?:queued|kept) as ([^\s,;)]+)",  # Postfix; the built-in server
        rb"\bid=([^\s,;)]+)",  # Exim
        rb"[Qq]ueued \(([^\s)]+)\)",  # Haraka
        rb"InternalId=(\d+)",  # Exchange
        rb"^2\.\d\.\d (?:<[^>\r\n]*> )?([A-Za-z0-9._+/=-]+) (?:Message accepted|Saved)",  # Sendmail, Dovecot
        rb"^(?:2\.\d\.\d )?(?i:ok):? +(?:\d{9,11} )?(?:qp )?([A-Za-z0-9._+/=-]{5,})(?: - gsmtp)?$",
        # qmail, Google, Amazon
    )
)
_LONGEST: Final = 100


def queue_id(raw: bytes) -> str:
    """The queue id in a reply, as it came on the wire; empty if none is found."""
    text = raw[4:-2]
    for pattern in _PATTERNS:
        if (found := pattern.search(text)) is not None:
            return found[1][:_LONGEST].decode("ascii", "backslashreplace")
    return ""
