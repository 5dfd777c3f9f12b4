"""Shows what rules have changed in a message, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from sansio_smtp.rules import Message
from trio_proxy.text.transcript import printable

__all__ = ["breaks_signatures", "differences"]

_LARGEST_BODY: Final = 262_144
"""In octets. A larger body is compared in one line: nobody reads such a diff, and it takes long to make."""


def differences(before: bytes, after: bytes, names: tuple[str, str]) -> list[str]:
    """The lines of a diff between two messages in decoded form, none if they are equal.

    The header section is always shown, the body unless it is large or binary.
    """
    if before == after:
        return []
    old, new = Message(before), Message(after)
    if _can_be_shown(old.body) and _can_be_shown(new.body):
        return list(_diff(before, after, names))
    lines = list(_diff(old.headers.raw, new.headers.raw, names))
    if old.body != new.body:
        lines = lines or [f"--- {names[0]}", f"+++ {names[1]}"]
        lines.append(_told(old.body, new.body))
    return lines


def breaks_signatures(before: bytes, after: bytes) -> bool:
    """Returns True if a DKIM signature of the message is not valid any more: `Message.breaks_signatures`."""
    message = Message(before)
    message.replace(after)
    return message.breaks_signatures


def _diff(before: bytes, after: bytes, names: tuple[str, str]) -> Iterator[str]:
    old, new = ([printable(line) for line in _lines(each)] for each in (before, after))
    return difflib.unified_diff(old, new, printable(names[0].encode()), names[1], lineterm="")


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\r\n")
    return lines if lines[-1] else lines[:-1]


def _can_be_shown(body: bytes) -> bool:
    if len(body) > _LARGEST_BODY or b"\0" in body:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        foreign = sum(1 for octet in body if octet > 126)
        return foreign * 3 < len(body)  # text in some other charset
    return True


def _told(before: bytes, after: bytes) -> str:
    why = "too large to show" if max(len(before), len(after)) > _LARGEST_BODY else "binary"
    at = _first_difference(before, after)
    return f"@@ body ({why}): {len(before):,} octets, now {len(after):,}; they differ from octet {at:,} on @@"


def _first_difference(before: bytes, after: bytes) -> int:
    """The index of the first octet that differs. Halving is fast because slices are compared in C."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
