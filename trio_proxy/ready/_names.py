"""Finds every file name that any mail program may read from header fields.

A mail program takes the text after ``name=`` as the name, and ends it somewhere: at a semicolon, a quote, a
blank, a comma, a comment. It may decode the text, or join it with other pieces. This module returns all of
these results, whichever program makes them. Too many names do no harm: no pattern that people write fits the
beginning of an ordinary name.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from ._contents import TooMuch, texts_of

__all__ = ["MOST_NAMES", "count_in", "names_in"]

MOST_NAMES: Final = 1_000
"""The most parameters that are examined in one header section."""
MOST_PIECES: Final = 200
"""The most parameters that are joined. A name in more pieces is longer than file systems allow."""
LONGEST: Final = 2_000
"""The most characters of one parameter."""
MOST_CHARACTERS: Final = 1_000_000
"""The most characters of all readings of the names in one header section."""

_NAMED: Final = re.compile(
    r"name([^\w=:;]{0,40}|[^\w=:;]{0,10}\*[^=:;]{0,40}|[^=:;\n]{0,40})[=:]", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"\*\s*([0-9]{1,5})")
# What almost all programs write. It can be read in one way only.
_ORDINARY: Final = re.compile(
    r'\s*(?:"((?:[A-Za-z0-9._()-]| (?! )){1,150})"|([A-Za-z0-9._-]{1,150}))\s*(?:;|\Z|(?<=\n)(?=[A-Za-z-]+:))'
)
_STOPS: Final = (*";,\"'()<>[]=: \t\r\n\0?", "%00")
_NEXT: Final = re.compile(r"(?<=[;,\s(])[^\s=;,()]+\s*=")
# All mail programs see a new field here, because the line does not begin with a blank.
_NEXT_FIELD: Final = re.compile(r"\n(?=[A-Za-z][A-Za-z-]*:)")
_COMMENT: Final = re.compile(r"\([^()]*\)?")
_ENCODED: Final = re.compile(r"=\?([^?]*)\?\s*([^?]?)[^?]*\?([^?]*)(?:\?=?|\Z)")
_BETWEEN: Final = re.compile(r"(\?=)\s+(?==\?)")
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/]")


def names_in(texts: Iterable[str]) -> Iterator[str]:
    """The names in unfolded fields, in any reading. Parameters after the first `MOST_NAMES` are not read: see
    `count_in`. Raises `TooMuch`."""
    left = MOST_CHARACTERS
    for name in _names_in(texts):
        left -= len(name)
        if left < 0:
            raise TooMuch("more names than are looked at")
        yield name


def _names_in(texts: Iterable[str]) -> Iterator[str]:
    pieces: list[tuple[int, str]] = []
    count = 0
    for text in texts:
        for found in _NAMED.finditer(text):
            count += 1
            if count > MOST_NAMES:
                return
            value = text[found.end() : found.end() + LONGEST]
            if after := _NEXT_FIELD.search(value):
                value = value[: after.end()]
            number = _NUMBER.search(found[1])
            ordinary = None if "*" in found[1] else _ORDINARY.match(value)
            if len(pieces) < MOST_PIECES:
                pieces.append((int(number[1]) if number else -1, value))
            if ordinary:
                yield ordinary[1] or ordinary[2]
                continue
            for reading in sorted(set(_cut(value)), key=len):
                yield from _decoded(reading)
    if any(number >= 0 for number, _ in pieces):
        yield from _joined(pieces)


def count_in(texts: Iterable[str]) -> int:
    """The number of parameters of these fields that may hold names, counted up to `MOST_NAMES` + 1."""
    found = (1 for text in texts for _ in _NAMED.finditer(text))
    return sum(islice(found, MOST_NAMES + 1))


def _cut(value: str) -> Iterator[str]:
    """The value, cut at each place where a mail program may end it."""
    yield value
    start = value.lstrip(" \t\r\n")
    quoted = start[:1] in ('"', "'")
    for text in (start, start[1:]) if quoted else (start,):
        yield from _ended(text)
    if '"' in start or "\\" in start:
        yield from _ended(start.replace('"', ""))
        unescaped = re.sub(r"\\(.)", r"\1", start)
        yield from _ended(unescaped[1:] if quoted else unescaped)
        yield from _ended(start.replace("\\", "").replace('"', ""))
    if "(" in start:
        yield from _ended(_COMMENT.sub("", start))
    if "\n" in start or "\r" in start:
        yield from _ended(re.sub(r"\s*[\r\n]\s*", "", start))


def _ended(text: str) -> Iterator[str]:
    yield text
    for stop in _STOPS:
        at = text.find(stop)
        if at > 0:
            yield text[:at]
    if found := _NEXT.search(text):
        yield text[: found.start()].rstrip(";, \t(")
    last = text.rfind('"')
    if last > 0:
        yield text[:last]


def _decoded(text: str) -> Iterator[str]:
    """A name, and the names that result from decoding it."""
    yield text
    if "'" in text:
        charset, _, rest = text.partition("'")
        yield from _from_percent(rest.partition("'")[2] or rest, charset)
        yield from _from_percent(rest, charset)
    if "%" in text:
        yield from _from_percent(text, "")
    if "=?" in text:
        for encoding in ("b", "q", ""):
            for mark in (0, -1):  # the first reading of a word, or the last
                yield "".join(_from_word(word, encoding, mark) for word in _ENCODED.finditer(text))
                for joined in dict.fromkeys((text, _BETWEEN.sub(r"\1", text))):
                    yield _ENCODED.sub(partial(_from_word, encoding=encoding, which=mark), joined)


def _joined(pieces: list[tuple[int, str]]) -> Iterator[str]:
    """The names that result from joining pieces, by number or in order, with each end that they may have."""
    first: dict[int, str] = {}
    last: dict[int, str] = {}
    for number, value in pieces:
        first.setdefault(number, value)
        last[number] = value
    numbered = [value for number, value in pieces if number >= 0]
    orders = (
        numbered,
        [first[n] for n in sorted(first)],
        [last[n] for n in sorted(last)],
        [value for _, value in pieces],
    )
    for values in orders:
        for end in (r";", r"[;\s]", r"[;,\s]", r"[;,\s()]", r"[^\w.%'-]"):
            for drop in ("", r"\\"):
                parts: list[str] = []
                for value in values:
                    start = value.lstrip(" \t\r\n")
                    if start.startswith('"'):
                        part = start[1:].partition('"')[0]
                    else:
                        part = re.split(end, start, maxsplit=1)[0]
                    parts.append(re.sub(drop, "", part) if drop else part)
                yield from _decoded("".join(parts))


def _from_percent(text: str, charset: str) -> Iterator[str]:
    return texts_of(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), charset)


def _from_word(word: re.Match[str], encoding: str, which: int) -> str:
    """Decodes an encoded word in this encoding, or in its own; takes the first or the last of several
    readings."""
    forced = encoding != ""
    encoding = encoding or word[2].lower()
    if encoding == "b":
        text = _NOT_BASE64.sub("", word[3])
        text = text[:-1] if len(text) % 4 == 1 else text
        octets = binascii.a2b_base64(text + "=" * (-len(text) % 4))
    elif encoding == "q":
        text = word[3].replace("==", "=") if forced else word[3]  # some programs skip what is broken
        octets = binascii.a2b_qp(text.encode("utf-8", "surrogateescape"), header=True)
    else:
        return word[3]
    return list(texts_of(octets, word[1].partition("*")[0].strip()))[which]
