"""Finds patterns for addresses that no address fits, such as ``example.com`` for ``*@example.com``.

A pattern that fits nothing silently turns a rule off: the rule refuses nothing, or exempts no address. So a
pattern is refused at load if it fits no address that a server accepts (RFC 5321 §4.1.2), and the text says
which pattern was probably meant.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NULL_PATH", "wrong_address_pattern"]

NULL_PATH: Final = "<>"
"""The null reverse-path in patterns."""

# The part before the @: atoms with dots (in patterns * and ?), or a quoted string.
_LOCAL: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|[\w!#$%&'*+/=?^`{|}~.\[\]-]+|[^\x00-\x7f])+""")
_DOMAIN: Final = re.compile(r"(?:[\w.*?!-]|\[[^\[\]\s]+\]|[^\x00-\x7f])+")
_WILD: Final = re.compile(r"[*?]")
_IN_BRACKETS: Final = re.compile(r"[^<>]*<([^<>]+)>\s*")
_SEVERAL: Final = re.compile(r"\s*[,;|]\s*|\s+")
_EXPRESSION: Final = re.compile(r"\\[.@dwsS]|^\.[*+]|^\^|\$$|\[\^|\(")
_POSTMASTER: Final = "postmaster"
"""The only address without a domain (RFC 5321 §4.1.1.3)."""


def wrong_address_pattern(pattern: str) -> str:
    """Says why no address fits the pattern, and which pattern was probably meant; empty if an address may
    fit."""
    if not pattern.strip():
        return f"an empty pattern fits no address; the null reverse-path is written {NULL_PATH}"
    if pattern == NULL_PATH:
        return ""
    if pattern != pattern.strip():
        return f"blanks around a pattern; {_meant(pattern.strip())}"
    found = _IN_BRACKETS.fullmatch(pattern)
    if found:
        return f"write an address without name and brackets; {_meant(found[1])}"
    local, at, domain = pattern.rpartition("@")
    fits = _fits(pattern, local, at, domain)
    if not fits and len(several := _SEVERAL.split(pattern)) > 1 and not pattern.startswith('"'):
        return f"several patterns in one text; write {', '.join(map(_quoted, filter(None, several)))}"
    if _EXPRESSION.search(pattern) and not local.startswith('"'):
        return 'this is no regular expression: * is any text and ? one character, as in "*@example.com"'
    if fits:
        return ""
    if not at:
        return f"every address except postmaster has a domain; {_meant(_with_domain(pattern))}"
    if not local:
        return f"an address has a part before the @; {_meant('*' + pattern)}"
    if not domain:
        return f"an address has a domain after the @; {_meant(pattern + 'example.com')}"
    return 'no address looks like that; a pattern is such as "*@example.com"'


def _fits(pattern: str, local: str, at: str, domain: str) -> bool:
    if at:
        return _LOCAL.fullmatch(local) is not None and _DOMAIN.fullmatch(domain) is not None
    if pattern.lower() == _POSTMASTER:
        return True
    return _WILD.search(pattern) is not None and _LOCAL.fullmatch(pattern) is not None


def _with_domain(pattern: str) -> str:
    return f"*@{pattern.removeprefix('.')}" if "." in pattern else f"{pattern}@example.com"


def _meant(pattern: str) -> str:
    return f"did you mean {_quoted(pattern)}?"


def _quoted(pattern: str) -> str:
    return f'"{pattern}"'
