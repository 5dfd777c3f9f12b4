"""Reads MIME header fields strictly: it accepts only what all mail programs read alike.

RFC 2045 and RFC 2231 say how ``Content-Type``, ``Content-Disposition`` and ``Content-Transfer-Encoding`` are
written. Mail programs accept more than that, each in its own way: a comment may be part of a value or not,
the first of two boundaries may count or the last, a line that is not a field may end the header section or
not. A guard that reads such a field in one way only can be bypassed. So there are two results::

                       ┌─ one reading ──> its values
    fields ──> strict ─┤
                       └─ a doubt ──────> a text that says what can be read in two ways

A doubt is not always a mistake, and some mistakes cause no doubt: a file name without quotes, with blanks in
it, has several readings, but all of them are known (`_names`), and none hides anything else.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "CODED",
    "LONGEST",
    "PLAIN",
    "TWO_WAYS",
    "Section",
    "doubt_of_fields",
    "encoding_of",
    "flaw_of_section",
    "word",
]

Section = dict[str, list[str]]
"""Unfolded values by the field's name in lower case, in their order."""

TWO_WAYS: Final = "header fields that can be read in two ways"
LONGEST: Final = 8_000
"""The most characters of a field with parameters. Mail programs cut longer fields, at different places."""

PLAIN: Final = ("", "7bit", "8bit", "binary")
CODED: Final = ("base64", "quoted-printable")
# Mistaken names of encodings: mail programs decode nothing, or what was meant. In a multipart both are known.
_MISTAKES: Final = {
    "base64;": "base64",
    "quoted-printable;": "quoted-printable",
    "quoted printable": "quoted-printable",
    "x-gzip64": "x-gzip64",
}
UUENCODED: Final = ("x-uuencode", "uuencode", "x-uue", "uue")
# Other unknown names. Some programs write such names for "not encoded", and all mail programs read them so.
_UNKNOWN: Final = re.compile(
    r"(?!.*(?:64|quoted|print|uu|hex|zip|yenc))(?!q|b;|b\Z)[a-z0-9_./-]*(?: bits?)?;?", re.IGNORECASE
)

_CONTENT: Final = re.compile(rb"content-|name[^\w\n]*[=:]", re.IGNORECASE)
# Lines that programs read differently: not a field; blanks before the colon; only blanks; an invalid name.
_ODD_LINE: Final = re.compile(
    rb"^(?!(?:[A-Za-z0-9!#$%&'*+.^_`|~/()\[\]{}@-]+:|[ \t]+[^ \t\r\n]|\r?\n))[^\n]|\A[ \t]", re.MULTILINE
)
_ODD_OCTET: Final = re.compile(rb"\r(?!\n)|[\0\x0b\x0c\x1a\x1c-\x1e]")
_MBOX_LINE: Final = re.compile(rb">?From [^\r\n]*\r?\n")

_WORD: Final = re.compile(r"\s*([^\s;(]*)")
_TYPE: Final = re.compile(
    r"[ \t]*([A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+|text)[ \t]*(?:;|\Z)", re.IGNORECASE
)
# A word, or one encoded word in which nothing is encoded. All programs show an unknown one as attachment.
_DISPOSITION: Final = re.compile(
    r"[ \t]*([A-Za-z0-9_.+-]+|=\?[A-Za-z0-9-]+\?[Qq]\?[A-Za-z0-9]*\?=(?=[ \t]*\Z))[ \t]*(?:;|\Z)"
)
_PARAMETER: Final = re.compile(
    r"[ \t]*(?:([A-Za-z0-9!#$&+^_`{}~|.-]+)(\*(?:[0-9]{1,3}\*?)?)?[ \t]*=[ \t]*"
    r'("(?:[^"\\]|\\.)*"[ \t]*(?:\([A-Za-z0-9 .,-]*\)[ \t]*)?|[^;"]*))?(?:;|\Z)'
)
_BOUNDARY: Final = re.compile(
    r"""[0-9A-Za-z'()+_,./:=?!#$%&*<>@\[\]{}|~^` -]*[0-9A-Za-z'()+_,./:=?!#$%&*<>@\[\]{}|~^`-]"""
)
_BARE_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'+_./:=?-]+")
_SAYS_BOUNDARY: Final = re.compile(r"""boundary["'\s]*[*=(:]""", re.IGNORECASE)
_LONGEST_BOUNDARY: Final = 200
_ENCODED_WORD: Final = re.compile(
    r"=\?[A-Za-z0-9._+-]+(?:\*[A-Za-z-]+)?\?(?:[Bb]\?(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
    r"|[Qq]\?[^? ]*)\?="
)
_CONTROL: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_NAME: Final = re.compile(r"(?:file)?name", re.IGNORECASE)


def flaw_of_section(octets: bytes, *, is_message: bool, is_coded: bool) -> tuple[str, bool]:
    """Says what is wrong with the lines of a header section, empty if nothing is; and True if mail programs
    then disagree on which MIME fields the section has.

    ``is_message``: the section belongs to a whole message, and may begin with an mbox ``From`` line.
    ``is_coded``: its body is in base64 or quoted-printable.

    For some mail programs the section ends at a line that is not a field. If all MIME fields are on one side
    of that line, these programs see text where others see parts, or a longer preamble, but no other parts.
    """
    start = _MBOX_LINE.match(octets) if is_message else None
    odd = [found.start() for found in _ODD_LINE.finditer(octets, start.end() if start else 0)]
    if not odd and not _ODD_OCTET.search(octets):
        return "", False
    content = [found.start() for found in _CONTENT.finditer(octets)]
    first = octets.rfind(b"\n", 0, content[0]) + 1 if content else 0
    after = not odd or not content or (odd[-1] < first and octets[first] not in b" \t")
    before = not after and octets.rfind(b"\n", 0, odd[0]) > content[-1] and not is_coded
    in_doubt = content and (not (after or before) or _ODD_OCTET.search(octets))
    return TWO_WAYS, bool(in_doubt)


def doubt_of_fields(section: Section) -> str:
    """Says what in the fields can be read in two ways; empty if nothing can."""
    for name, read in (("content-type", _doubt_of_type), ("content-disposition", _doubt_of_disposition)):
        values = section.get(name, [])
        if len(set(values)) > 1:
            return f"two fields {name.title()}"
        if any(len(value) > LONGEST for value in values):
            return f"a field {name.title()} that some readers cut"
        if values and (doubt := read(values[0])):
            return doubt
    encodings = section.get("content-transfer-encoding", [])
    if len(set(encodings)) > 1:
        return "two fields Content-Transfer-Encoding"
    if encodings and not _is_known_encoding(encodings[0]) and not _is_mistake(section):
        return "a transfer encoding that is not known"
    return ""


def word(section: Section, name: str) -> str:
    """The first word of a field, in lower case."""
    found = _WORD.match(section.get(name, [""])[0])
    return found[1].lower() if found else ""


def encoding_of(section: Section) -> str:
    """The transfer encoding in lower case, with known mistakes corrected."""
    value = section.get("content-transfer-encoding", [""])[0].strip(" \t").lower()
    return _MISTAKES.get(value, word(section, "content-transfer-encoding"))


def _is_mistake(section: Section) -> bool:
    """Returns True if the mistake in the encoding makes no difference, because the body has no parts."""
    value = section["content-transfer-encoding"][0].strip(" \t").lower()
    kind = word(section, "content-type")
    return value in _MISTAKES and not kind.startswith(("multipart", "message"))


def _is_known_encoding(value: str) -> bool:
    text = value.strip(" \t").lower()
    return text in PLAIN or text in CODED or text in UUENCODED or _UNKNOWN.fullmatch(text) is not None


def _doubt_of_type(value: str) -> str:
    if not value.strip(" \t"):
        return ""
    found = _TYPE.match(value)
    if not found:
        return "a content type that can be read in two ways"
    kind = found[1].lower()
    doubt, boundaries = _doubt_of_parameters(value, found.end())
    if doubt:
        return doubt
    said = len(_SAYS_BOUNDARY.findall(value))
    if said != len(boundaries) or len(boundaries) > 1:
        return "a boundary that can be read in two ways"
    if kind.startswith("multipart/"):
        if boundaries and "(" in value.replace(boundaries[0], ""):
            return "a boundary that can be read in two ways"
        return "" if boundaries else "a multipart without a boundary"
    return ""


def _doubt_of_disposition(value: str) -> str:
    if not value.strip(" \t"):
        return ""
    found = _DISPOSITION.match(value)
    if not found:
        return "a content disposition that can be read in two ways"
    return _doubt_of_parameters(value, found.end())[0]


def _doubt_of_parameters(value: str, at: int) -> tuple[str, list[str]]:
    """Says what is wrong with the parameters from this offset on, and returns the boundaries among them as
    written."""
    boundaries: list[str] = []
    pieces: dict[str, list[str]] = {}
    two_ways = "a parameter that can be read in two ways"
    while at < len(value):
        found = _PARAMETER.match(value, at)
        if not found:
            return two_ways, []
        at = found.end()
        name, extended, text = found[1], found[2], found[3]
        if name is None:
            continue
        if extended and extended != "*":
            pieces.setdefault(name.lower(), []).append(extended.strip("*"))
        if name.lower() == "boundary":
            boundaries.append(text)
            if extended or "*" in found[0].partition("=")[0] or not _is_clear_boundary(text, found[0]):
                return "a boundary that can be read in two ways", []
        elif _NAME.fullmatch(name):
            if not _is_clear_name(text) or (text[:1] == '"' and text.rstrip(" \t")[-1] != '"'):
                return "a file name that can be read in two ways", []
        elif text[:1] != '"' and ("=" in text or ("(" in text and not text.endswith(")"))):
            return two_ways, []
    for numbers in pieces.values():
        if numbers != [str(number) for number in range(len(numbers))]:
            return "a parameter in pieces that can be joined in two ways", []
    return "", boundaries


def _is_clear_boundary(text: str, parameter: str) -> bool:
    if len(text) > _LONGEST_BOUNDARY or re.search(r"[ \t]=|=[ \t]", parameter.partition("=")[0] + "="):
        return False
    if text.startswith('"'):
        return _BOUNDARY.fullmatch(text.rstrip(" \t")[1:-1]) is not None
    return _BARE_BOUNDARY.fullmatch(text.rstrip(" \t")) is not None


def _is_clear_name(text: str) -> bool:
    """Returns True if `_names` finds all readings of the value."""
    return not _CONTROL.search(text) and "=?" not in _ENCODED_WORD.sub("", text)
