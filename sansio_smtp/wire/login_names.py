"""Prepares login names, so that the spellings of one name are one text: SASLprep (RFC 4013), case-folded.

A server may take ``Scanner``, ``scan<soft hyphen>ner`` and ``scanner`` in full-width letters for one user.
A rule that compares names as they were sent is walked around by such a spelling; one that compares prepared
names is not.

Beyond RFC 4013: a zero width space becomes nothing, not a blank; blanks at the ends are cut, since many
databases ignore them; the bidirectional check is left out, since it would refuse an Arabic name before a
domain in ASCII.
"""

from __future__ import annotations

import re
import stringprep
from typing import Final
from unicodedata import normalize

__all__ = ["prepared"]

_ROUNDS: Final = 4
# Default_Ignorable_Code_Point that SASLprep, made for Unicode 3.2, lets stand. Nobody sees them.
_UNSEEN: Final = re.compile("[\u115f\u1160\u17b4\u17b5\u180f\u2065\U000e0100-\U000e01ef]")
_PROHIBITED: Final = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
"""RFC 4013 §2.3, without the spaces: they have become U+0020 before."""


def prepared(name: str, *, case_sensitive: bool = False) -> str | None:
    """The form of a login name in which names are compared; None if it is empty or holds what no name may
    hold, such as control characters. With ``case_sensitive`` the case stays. Preparing twice changes
    nothing."""
    for _ in range(_ROUNDS):
        before, name = name, _once(name, case_sensitive)
        if name == before:
            break
    else:
        return None
    if not name or not name.isprintable() or _UNSEEN.search(name):
        return None
    if not name.isascii() and any(prohibits(char) for prohibits in _PROHIBITED for char in name):
        return None
    return name


def _once(name: str, case_sensitive: bool) -> str:
    if not name.isascii():
        name = normalize("NFKC", "".join(map(_mapped, name)))
    name = name.strip(" ")
    return name if case_sensitive else name.casefold()


def _mapped(char: str) -> str:
    """RFC 4013 §2.1: what is commonly mapped to nothing, and the spaces that are not ASCII."""
    if stringprep.in_table_b1(char):
        return ""
    return " " if stringprep.in_table_c12(char) else char
