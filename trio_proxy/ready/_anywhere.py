"""Finds everything in a message that some mail program may read as a part, whatever the message's structure.

Some mail program reads every line that looks like a ``Content-`` field as one: in the body of a text, after
the end of a multipart, between lines that only look like delimiters. So a file name in such a line counts
wherever the line is, and the text after a ``Content-Transfer-Encoding`` is decoded. The price: a message may
be refused because its text only quotes such a field.
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
"""The most fields, or places where a part may begin, that are examined in one text."""
OVERLAP: Final = 4_096
"""The number of octets at the end of a part that are decoded again together with the text after the part."""
LONGEST: Final = 16_000
"""The most octets of a field with the lines after it."""

_WORD: Final = b"content-"
_KNOWN: Final = (b"type", b"disp", b"desc", b"loc", b"id")
_LETTERS: Final = re.compile(rb"[a-z-]*")
_ROOM: Final = 10
_EMPTY_LINE: Final = re.compile(rb"\n[ \t\0]*\r?\n")
_TYPE: Final = re.compile(r"content-type\s*:([^;]*)", re.IGNORECASE)
_LOOSE_TYPE: Final = re.compile(r"([A-Za-z0-9.+_-]+)\s*/\s*([A-Za-z0-9.+_-]+)")
_COMMENT: Final = re.compile(r"\([^()]*\)")


def names_anywhere(octets: bytes, *, loosely: bool) -> Iterator[str]:
    """The file names in everything that may be a field, in any reading. ``loosely``: also in lines that only
    a very tolerant mail program reads as a field. Raises `TooMuch`."""
    for text in _fields(octets, loosely):
        if count_in([text]) > MOST_NAMES:
            raise TooMuch(f"more than {MOST_NAMES} names in one part")
        yield from names_in([text])


def types_anywhere(octets: bytes) -> Iterator[str]:
    """The content types in everything that may be a field, in lower case. Raises `TooMuch`."""
    for text in _fields(octets, True):
        for value in _TYPE.findall(text):
            for kind, subtype in _LOOSE_TYPE.findall(_COMMENT.sub("", value)):
                yield f"{kind}/{subtype}".lower()


def coded_anywhere(
    octets: bytes, *, in_sections: bool, decoded: Mapping[int, int] | None = None
) -> Iterator[bytes]:
    """The text after each field that may name a transfer encoding, decoded in any reading; with
    ``in_sections`` also the text after each line that may be a delimiter. Raises `TooMuch`.

    ``decoded`` names the parts that were decoded already: beginning → end. They are read again only from a
    little before their end.
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
    """Each field with the lines after it up to an empty line, because for some mail program these belong to
    the field. If no empty line follows, it is not a field."""
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
