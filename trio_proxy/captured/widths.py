"""Shortens text to columns of a terminal."""

from __future__ import annotations

from typing import Final
from unicodedata import combining, east_asian_width

__all__ = ["columns_of", "shortened"]

_ELLIPSIS: Final = "…"
_WIDE: Final = ("F", "W")


def columns_of(text: str) -> int:
    """How many columns a terminal needs for a text without control characters."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def shortened(text: str, columns: int) -> str:
    """The text, or as much of its beginning as fits into so many columns, with an ellipsis after it."""
    if columns_of(text) <= columns:
        return text
    left, place = columns - 1, 0
    while (left := left - _columns(text[place])) >= 0:
        place += 1
    return text[:place].rstrip() + _ELLIPSIS


def _columns(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in _WIDE else 1
