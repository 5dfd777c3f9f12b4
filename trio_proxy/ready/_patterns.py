"""Patterns for names and addresses, as they stand in settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

__all__ = ["fits"]


def fits(text: str, patterns: Sequence[str]) -> bool:
    """Whether some pattern fits. ``*`` is any number of characters, ``?`` is one; all else stands for itself,
    brackets too, and case does not matter."""
    return bool(patterns) and _expression(tuple(patterns)).match(text.lower()) is not None


@lru_cache(maxsize=1_000)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern.lower().replace("[", "[[]")) for pattern in patterns))
