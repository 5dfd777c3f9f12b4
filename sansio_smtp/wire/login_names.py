"""Prepares login names, so that all spellings of a name become one text: SASLprep (RFC 4013), case-folded. A
server may accept ``Scanner``, ``scan<soft hyphen>ner`` and ``scanner`` in full-width letters as one user.
Such a spelling would bypass a rule that compares names as sent, but not one that compares prepared names.

Differences from RFC 4013: a zero width space is removed, not changed to a blank; blanks at the ends are cut,
because many databases ignore them; there is no bidirectional check, because it would refuse an Arabic name
before a domain in ASCII.
"""

from __future__ import annotations

import re
import stringprep
from typing import Final
from unicodedata import normalize

__all__ = ["prepared"]

_ROUNDS: Final = 4
# Invisible characters (Default_Ignorable_Code_Point) that SASLprep, made for Unicode 3.2, does not remove.
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
"""RFC 4013 §2.3, without the spaces, which were changed to U+0020 before."""


def prepared(name: str, *, case_sensitive: bool = False) -> str | None:
    """The form of a login name for comparing; None if it is empty or holds forbidden characters, such as
    control characters. With ``case_sensitive`` the case does not change. Preparing twice changes nothing."""
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
    """Maps a character (RFC 4013 §2.1): characters that are commonly mapped to nothing, and spaces that are
    not ASCII."""
    if stringprep.in_table_b1(char):
        return ""
    return " " if stringprep.in_table_c12(char) else char
