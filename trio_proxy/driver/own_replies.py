"""The driver's own replies, for cases in which the core gives none."""

from __future__ import annotations

from typing import Final

from sansio_smtp import Origin, Reply

__all__ = ["INTERNAL_ERROR", "RULE_FAILED"]

RULE_FAILED: Final = Reply.of(
    451, "a rule of this proxy failed, try again later", enhanced="4.3.0", origin=Origin.RULE
)
INTERNAL_ERROR: Final = Reply.of(421, "internal error, try again later", enhanced="4.3.0")
"""Used when the core has failed and cannot give a reply: 421 is always allowed (RFC 5321 §3.8)."""
