"""The replies that the driver gives by itself, where the core has none to give."""

from __future__ import annotations

from typing import Final

from sansio_smtp import Reply

__all__ = ["BUSY", "CLIENT_LOST", "INTERNAL_ERROR", "INTERNAL_ERROR_UNASKED", "RULE_FAILED"]

BUSY: Final = Reply.of(421, "too many connections, try again later", enhanced="4.3.2")
RULE_FAILED: Final = Reply.of(451, "a rule of this proxy failed, try again later", enhanced="4.3.0")
INTERNAL_ERROR: Final = Reply.of(451, "internal error, try again later", enhanced="4.3.0")
INTERNAL_ERROR_UNASKED: Final = Reply.of(421, "internal error, try again later", enhanced="4.3.0")
"""The same where no command is owed a reply: before the greeting, and in the middle of mail data."""
CLIENT_LOST: Final = Reply.of(421, "connection to the client was lost", enhanced="4.4.2")
"""Nobody hears it."""
