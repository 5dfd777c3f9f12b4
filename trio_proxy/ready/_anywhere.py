"""Finds what some reader may take for a part, wherever it stands in a message, without regard to structure.

A line that looks like a ``Content-`` field is one for some reader: in the body of a text, after the end of a
multipart, between delimiters that are none. So a file name in such a line counts wherever the line is, and
what follows a ``Content-Transfer-Encoding`` is decoded. A message may be refused for a field that it only
talks about; that is the price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final

from ._contents import TooMuch, readings
from ._names import MOST_NAMES, count_in, names_in

__all__ = ["coded_anywhere", "names_anywhere", "types_anywhere"]

MOST: Final = 10_000
"""Fields, or places where something may begin, that are looked at in one text."""
LONGEST: Final = 16_000
"""Octets of a field with the lines after it."""

# Lines after the field belong to it for some reader, up to an empty line. Without one it is no field.
_FIELD: Final = re.compile(rb"^[a-z-]{0,10}?content-(?:type|disp|desc|loc|id)", re.MULTILINE)
_LOOSE_FIELD: Final = re.compile(rb"^[^\n]{0,10}?content-(?:type|disp|desc|loc|id)", re.MULTILINE)
_CODED: Final = re.compile(rb"^[^\n]{0,10}content-tr[^\n]*", re.MULTILINE)
_DASHES: Final = re.compile(rb"^[ \t>]*--", re.MULTILINE)
_EMPTY_LINE: Final = re.compile(rb"\n[ \t\0]*\r?\n")
_TYPE: Final = re.compile(r"content-type\s*:([^;]*)", re.IGNORECASE)
_LOOSE_TYPE: Final = re.compile(r"([A-Za-z0-9.+_-]+)\s*/\s*([A-Za-z0-9.+_-]+)")
_COMMENT: Final = re.compile(r"\([^()]*\)")


def names_anywhere(octets: bytes, *, loosely: bool) -> Iterator[str]:
    """The file names in all that may be a field, in any reading. ``loosely``: also in what is a field for a
    reader only that takes anything. Raises `TooMuch`."""
    for text in _fields(octets, loosely):
        if count_in([text]) > MOST_NAMES:
            raise TooMuch(f"more than {MOST_NAMES} names in one part")
        yield from names_in([text])


def types_anywhere(octets: bytes) -> Iterator[str]:
    """The content types in all that may be a field, in lower case. Raises `TooMuch`."""
    for text in _fields(octets, True):
        for value in _TYPE.findall(text):
            for kind, subtype in _LOOSE_TYPE.findall(_COMMENT.sub("", value)):
                yield f"{kind}/{subtype}".lower()


def coded_anywhere(octets: bytes, *, in_sections: bool) -> Iterator[bytes]:
    """What follows each field that may name a transfer encoding, decoded in any reading; with ``in_sections``
    also what follows each line that may be a delimiter. Raises `TooMuch`."""
    lower = octets.lower()
    if not in_sections and b"content-tr" not in lower:
        return
    starts = [found.start() for found in islice(_CODED.finditer(lower), MOST)]
    if in_sections:
        starts += [0, *(found.start() for found in islice(_DASHES.finditer(octets), MOST))]
    if len(starts) >= MOST:
        raise TooMuch(f"more than {MOST} places where a part may begin")
    for start, end in pairwise((*sorted(set(starts)), len(octets))):
        found = _EMPTY_LINE.search(octets, start, end)
        body = octets[found.end() if found else start : end]
        for encoding in ("base64", "quoted-printable"):
            yield from readings(body, encoding)
    if in_sections:
        yield from readings(octets, "base64")


def _fields(octets: bytes, loosely: bool) -> Iterator[str]:
    lower = octets.lower()
    if b"content-" not in lower:
        return
    end = count = 0
    for found in (_LOOSE_FIELD if loosely else _FIELD).finditer(lower):
        if found.start() < end:
            continue
        empty = _EMPTY_LINE.search(octets, found.start())
        if not (empty or loosely):
            return
        count += 1
        if count > MOST:
            raise TooMuch(f"more than {MOST} fields")
        end = empty.start() if empty else len(octets)
        lines = octets[found.start() : min(end, found.start() + LONGEST)]
        yield re.sub(rb"\r?\n", b" ", lines).decode("utf-8", "surrogateescape")
