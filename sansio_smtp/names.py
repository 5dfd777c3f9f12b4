"""Checks names that a caller gives, such as those of hook places, and suggests the one that was meant. A
misspelt name must never be accepted: a question for that name would never be asked, and mail would pass
without a verdict.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final, cast

from .errors import LocalProtocolError

__all__ = ["checked_names", "closest", "did_you_mean"]

_ALIKE: Final = 0.75
"""How alike two names are, as difflib counts, if one is a misspelling of the other: ``rctp`` and ``rcpt``."""
_ALIKE_IF_SHORT: Final = 0.8
"""The same for a name of up to three letters."""
_RELATED: Final = 0.55
"""The same if one of them is a part of the other: ``rate`` and ``rate_limit``."""
_LEAST_PART: Final = 4
"""A shorter part says too little: ``log`` is not meant as ``login``."""
_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+")


def closest(name: str, names: Iterable[str]) -> str:
    """The one of ``names`` that was probably meant by ``name``; empty if no name is similar enough. Case does
    not matter."""
    wanted, known = name.casefold(), {each.casefold(): each for each in names}
    for each in difflib.get_close_matches(wanted, known, 3, _RELATED):
        if _is_alike(wanted, each) or _is_part(wanted, each) or _is_part(each, wanted):
            return known[each]
    return ""


def _is_alike(wanted: str, known: str) -> bool:
    least = _ALIKE if len(wanted) >= _LEAST_PART else _ALIKE_IF_SHORT
    likeness = difflib.SequenceMatcher(None, known, wanted).ratio()
    return likeness >= least or sorted(wanted) == sorted(known)  # as if typed in another order


def _is_part(part: str, name: str) -> bool:
    """Returns True if ``name`` begins with this part, or has all its words."""
    words, others = (set(_BETWEEN_WORDS.split(each)) for each in (part, name))
    return len(part) >= _LEAST_PART and (name.startswith(part) or words <= others)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``; did you mean "rcpt"?``; empty if no name is similar. Case does not matter."""
    meant = closest(name, names)
    return f'; did you mean "{meant}"?' if meant else ""


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
