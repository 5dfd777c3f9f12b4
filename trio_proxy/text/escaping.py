"""Escapes control characters in the values of log lines (reasons, subjects, file names, replies) and in texts
of several lines, because a terminal would obey them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from .masking import plain

__all__ = ["escape_values", "plain_lines"]

_NUMBERS: Final = (bool, int, float, type(None))
_MANY_LINES: Final = frozenset(("exception", "stack"))
"""Keys of tracebacks, which keep their line ends."""


def escape_values(logger: object, method: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog: makes each value a text, and escapes control characters, direction controls
    and other invisible characters. It must run before the renderer."""
    for key, value in values.items():
        if isinstance(value, str):
            if not value.isprintable():
                values[key] = plain_lines(value) if key in _MANY_LINES else plain(value)
        elif not isinstance(value, _NUMBERS):
            shown = repr(value)
            if not shown.isprintable():
                values[key] = plain(shown)
    return values


def plain_lines(text: str) -> str:
    """The text with its lines, and with all control characters in them escaped."""
    return "\n".join(plain(line.replace("\t", "    ")) for line in text.split("\n"))
