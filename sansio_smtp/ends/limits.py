"""The EHLO keyword LIMITS (RFC 9422): how many transactions and recipients a server takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["limits"]

_LIMIT: Final = re.compile(r"([A-Z0-9][A-Z0-9-]*)=([1-9][0-9]{0,5})")
"""RFC 9422 §3, §4: a name, and a number of at most six digits that is not 0."""


def limits(keywords: Mapping[str, str]) -> Mapping[str, int]:
    """The limits that a server has announced, by their names, upper-case; without those that are not
    numbers. The first counts if a name is repeated."""
    found: dict[str, int] = {}
    for word in keywords.get("LIMITS", "").upper().split():
        if limit := _LIMIT.fullmatch(word):
            found.setdefault(limit[1], int(limit[2]))
    return found
