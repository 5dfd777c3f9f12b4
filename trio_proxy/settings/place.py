"""The place of a setting in the settings file."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["Place"]


@attrs.frozen
class Place:
    """Where a setting stands in the settings file, and what is written there."""

    file: str
    line: int
    written: Any
    """The value as TOML gives it."""
