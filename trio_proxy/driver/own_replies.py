"""The replies that the driver gives by itself, where the core has none to give."""

from __future__ import annotations

from typing import Final

from sansio_smtp import Origin, Reply

__all__ = ["INTERNAL_ERROR", "RULE_FAILED"]

RULE_FAILED: Final = Reply.of(
    451, "a rule of this proxy failed, try again later", enhanced="4.3.0", origin=Origin.RULE
)
INTERNAL_ERROR: Final = Reply.of(421, "internal error, try again later", enhanced="4.3.0")
"""Where the core cannot say what is owed to the client: 421 is never wrong (RFC 5321 §3.8)."""
