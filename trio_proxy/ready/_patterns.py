"""Matches names and addresses against the patterns in settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

__all__ = ["fits"]


def fits(text: str, patterns: Sequence[str]) -> bool:
    """Returns True if one of the patterns fits. ``*`` is any number of characters, ``?`` is one; all others,
    brackets too, stand for themselves. Case does not matter."""
    return bool(patterns) and _expression(tuple(patterns)).match(text.lower()) is not None


@lru_cache(maxsize=1_000)
def _expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern.lower().replace("[", "[[]")) for pattern in patterns))
