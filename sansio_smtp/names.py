"""Checks names that a caller gives, such as those of hook places, and suggests the one that was meant. A
misspelt name must never be accepted: a question for that name would never be asked, and mail would pass
without a verdict.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import cast

from .errors import LocalProtocolError

__all__ = ["checked_names", "did_you_mean"]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``; did you mean "rcpt"?``; empty if no name is similar. Case does not matter."""
    known = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), known, 1, 0.6)
    return f'; did you mean "{known[close[0]]}"?' if close else ""


def checked_names(
    parameter: str, names: object, known: Iterable[str], *, what: str, example: str, prefix: str = "\0"
) -> frozenset[str]:
    """The names as a set. Raises `LocalProtocolError` if they are not a collection of names, or if one of
    them is not known.

    ``parameter``, ``what`` and ``example`` are for the text of the error: the parameter with the names, what
    they name, and an example. A name that begins with ``prefix`` counts as known.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise LocalProtocolError(f"{parameter} takes a set such as {example}, not {names!r:.60}")
    found = frozenset(cast("Iterable[object]", names))
    known = frozenset(known)
    for name in sorted(found - known, key=str):
        if isinstance(name, str) and name.startswith(prefix):
            continue
        hint = did_you_mean(name, known) if isinstance(name, str) else f"; write {example}"
        raise LocalProtocolError(f"{parameter}: {name!r} is no {what}{hint}")
    return frozenset(str(name) for name in found)
