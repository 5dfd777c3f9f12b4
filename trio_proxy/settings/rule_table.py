"""A ``[rules.NAME]`` table of a settings file, not yet read: its keys, their lines, the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["RuleTable"]


class RuleTable(NamedTuple):
    """One ``[rules.NAME]`` table as written in a settings file."""

    table: dict[str, Any]
    lines: Mapping[str, int]
    """Key → line; keys of nested tables are written like ``"limits.per_minute"``; ``""`` is the table
    itself."""
    file: str
