"""The identity that a client names in an AUTH exchange, for mechanisms that send it in clear.

Octets that cannot be read give None; nothing raises. Only the identity is kept, no password.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Sequence
from typing import Final

from .commands import Command

__all__ = ["identity"]

_XOAUTH2: Final = re.compile(rb"user=([^\x01]*)\x01")
_GS2: Final = re.compile(rb"[nyp][^,]*,(?:a=([^,]*))?,")  # RFC 5801 §4, OAUTHBEARER and SCRAM
_SCRAM: Final = re.compile(rb"[nyp][^,]*,[^,]*,n=([^,]*),")  # RFC 5802 §7


def identity(lines: Sequence[Command]) -> str | None:
    """The authentication identity that an AUTH exchange names (RFC 4954, RFC 4616), or None.

    ``lines``: the AUTH command, then the client's answers to the challenges.
    """
    words = lines[0].raw.split()
    if len(words) < 2:
        return None
    mechanism = words[1].upper()
    answers = [_decoded(word) for word in (*words[2:3], *(line.raw for line in lines[1:]))]
    if not answers:
        return None
    if mechanism == b"PLAIN":  # authorization identity NUL identity NUL password (RFC 4616 §2)
        parts = answers[-1].split(b"\0")
        return _text(parts[1]) if len(parts) == 3 else None
    if mechanism in (b"LOGIN", b"EXTERNAL"):
        return _text(answers[0])
    if mechanism == b"CRAM-MD5":  # RFC 2195 §2
        return _text(answers[-1].rpartition(b" ")[0])
    pattern = _SCRAM if mechanism.startswith(b"SCRAM-") else _PATTERNS.get(mechanism)
    found = pattern.match(answers[0]) if pattern else None
    return _text(found[1]) if found else None


_PATTERNS: Final = {b"XOAUTH2": _XOAUTH2, b"OAUTHBEARER": _GS2}


def _decoded(word: bytes) -> bytes:
    try:
        return a2b_base64(word)
    except Error:
        return b""


def _text(octets: bytes | None) -> str | None:
    """The octets as text; None if there are none, or if they would not be one line of a log."""
    text = (octets or b"").decode("utf-8", "replace")
    return text if text and text.isprintable() else None
