"""Finds what some reader may take for a part, wherever it stands in a message, without regard to structure.

A line that looks like a ``Content-`` field is one for some reader: in the body of a text, after the end of a
multipart, between delimiters that are none. So a file name in such a line counts wherever the line is, and
what follows a ``Content-Transfer-Encoding`` is decoded. A message may be refused for a field that it only
talks about; that is the price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from typing import Final

from ._contents import TooMuch, lines_with, readings
from ._fields import CODED
from ._names import MOST_NAMES, count_in, names_in

__all__ = ["coded_anywhere", "names_anywhere", "types_anywhere"]

MOST: Final = 10_000
"""Fields, or places where something may begin, that are looked at in one text."""
OVERLAP: Final = 4_096
"""Octets of a part that are decoded again with what follows the part."""
LONGEST: Final = 16_000
"""Octets of a field with the lines after it."""

_WORD: Final = b"content-"
_KNOWN: Final = (b"type", b"disp", b"desc", b"loc", b"id")
_LETTERS: Final = re.compile(rb"[a-z-]*")
_ROOM: Final = 10
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


def coded_anywhere(
    octets: bytes, *, in_sections: bool, decoded: Mapping[int, int] | None = None
) -> Iterator[bytes]:
    """What follows each field that may name a transfer encoding, decoded in any reading; with ``in_sections``
    also what follows each line that may be a delimiter. Raises `TooMuch`.

    ``decoded`` says what is known, by its beginning its end. Only from a little before the end on it is read
    again.
    """
    starts = [start for start, _ in islice(lines_with(octets.lower(), b"content-tr", _ROOM), MOST)]
    if in_sections:
        dashes = (
            start for start, at in lines_with(octets, b"--", 2 * _ROOM) if not octets[start:at].strip(b" \t>")
        )
        starts += [0, *islice(dashes, MOST)]
    if len(starts) >= MOST:
        raise TooMuch(f"more than {MOST} places where a part may begin")
    for start, end in pairwise((*sorted(set(starts)), len(octets))) if starts else ():
        found = _EMPTY_LINE.search(octets, start, end)
        first = found.end() if found else start
        known = min((decoded or {}).get(first, first), end)
        body = octets[max(known - OVERLAP, first) : end]
        for encoding in CODED:
            yield from (reading for reading in readings(body, encoding) if reading != body)
    if in_sections:
        yield from readings(octets, "base64")


def _fields(octets: bytes, loosely: bool) -> Iterator[str]:
    """Each with the lines after it, since these belong to it for some reader, up to an empty line. Without an
    empty line it is no field."""
    lower = octets.lower()
    end = count = 0
    for start, at in lines_with(lower, _WORD, _ROOM):
        if start < end or not lower.startswith(_KNOWN, at + len(_WORD)):
            continue
        if not (loosely or _LETTERS.fullmatch(lower, start, at)):
            continue
        empty = _EMPTY_LINE.search(octets, at)
        if not (empty or loosely):
            return
        count += 1
        if count > MOST:
            raise TooMuch(f"more than {MOST} fields")
        end = empty.start() if empty else len(octets)
        lines = octets[start : min(end, start + LONGEST)]
        yield (
            re.sub(rb"\r?\n(?=[ \t])", b"", lines).replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
        )
