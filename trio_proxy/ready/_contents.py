"""Decodes transfer encodings (RFC 2045 §6, uuencode): in the ordinary way, and in each way that mail programs
do.

Mail programs agree on text that follows RFC 2045. They decode other octets differently: an ``=`` in the
middle ends base64, or is skipped, or starts it again; the text after a broken escape counts, or does not.
`readings` gives all of these results, so that a guard finds what any mail program would find.
"""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Final

from sansio_smtp.rules.charsets import decode

__all__ = ["TooMuch", "content", "is_clear_base64", "lines_with", "readings", "texts_of", "uuencoded"]

_MARKS: Final = ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"), (b"\xef\xbb\xbf", "utf-8"))
_ALPHABET: Final = string.ascii_letters.encode() + b"0123456789+/"
_NOT_BASE64: Final = bytes(set(range(256)) - set(_ALPHABET))
_NOT_BASE64_OR_END: Final = bytes(set(range(256)) - set(_ALPHABET) - set(b"="))
_UNCLEAR_ESCAPE: Final = re.compile(rb"=(?![0-9A-F]{2}|\r?\n|\Z)")
_SOFT_BREAK: Final = re.compile(rb"=[\s\0]+")
_LONE_EQUALS: Final = re.compile(rb"=(?![0-9A-Fa-f]{2})[^0-9A-Za-z]?")
_BEGIN: Final = re.compile(
    rb"[ \t]*begin(?:-base64)?[ \t]+(?=[^\s]{0,4}[0-9])[^\s]{1,5}(?:[ \t]+([^\r\n]*))?\r?(?=\n|\Z)",
    re.IGNORECASE,
)
_NO_OCTETS: Final = re.compile(rb"\n[` ]")
MOST_UUENCODED: Final = 1_000
MOST_ENDS: Final = 500_000
"""The most ``=`` that are examined in text that may be base64."""
MOST_LINES: Final = 100_000
"""The most lines with a given word at their beginning that are examined."""


class TooMuch(Exception):
    """The message holds more than the limit of what is examined; the text says of what."""


def content(octets: bytes, encoding: str) -> bytes:
    """Decodes these octets in this encoding (lower case). Never raises."""
    if encoding == "base64":
        return _from_base64(octets)
    return binascii.a2b_qp(octets) if encoding == "quoted-printable" else octets


def is_clear_base64(octets: bytes) -> bool:
    """Returns True if all mail programs that decode the text as a whole get the same result."""
    return _clear(octets) is not None


def _clear(octets: bytes) -> bytes | None:
    """Decodes base64 that all mail programs read alike; None if it is not."""
    try:
        return binascii.a2b_base64(octets.translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error:
        return None


def readings(octets: bytes, encoding: str) -> Iterator[bytes]:
    """The results that different mail programs get from these octets in this encoding; the ordinary one
    first. Raises `TooMuch`."""
    if encoding == "base64":
        clear = _clear(octets)
        if clear is None and octets.count(b"=") > MOST_ENDS:
            raise TooMuch(f"more than {MOST_ENDS} ends of base64 in one part")
        yield _from_base64(octets) if clear is None else clear
        if clear is None or not _has_whole_lines(octets):
            yield from _readings_of_base64(octets)
        return
    yield content(octets, encoding)
    if encoding == "quoted-printable" and _UNCLEAR_ESCAPE.search(octets):
        without = _SOFT_BREAK.sub(b"", octets)
        yield binascii.a2b_qp(without)
        yield binascii.a2b_qp(_LONE_EQUALS.sub(b"", without))


def texts_of(octets: bytes, charset: str) -> Iterator[str]:
    """The octets as text: decoded by the charset, and by a byte order mark. Never raises."""
    yield decode(octets, charset)
    for mark, codec in _MARKS:
        if octets.startswith(mark):
            yield octets[len(mark) :].decode(codec, "replace")


def uuencoded(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and contents of uuencoded files in a text. Raises `TooMuch`."""
    lines = (_BEGIN.match(octets, start) for start, _ in lines_with(octets.lower(), b"begin", 20))
    begins = list(islice(filter(None, lines), MOST_UUENCODED + 1))
    if len(begins) > MOST_UUENCODED:
        raise TooMuch(f"more than {MOST_UUENCODED} names in one part")
    for found, following in zip_longest(begins, begins[1:]):
        end = following.start() if following else len(octets)
        lines_after = octets[found.end() : end]
        yield found[1] or b"", _from_uu(lines_after)
        if empty := _NO_OCTETS.search(lines_after):  # some mail programs stop here
            yield found[1] or b"", _from_uu(lines_after[: empty.start()])


def lines_with(lower: bytes, word: bytes, room: int) -> Iterator[tuple[int, int]]:
    """For each line with this word after at most ``room`` octets: where the line begins and where the word
    is. Raises `TooMuch`."""
    count = 0
    at = lower.find(word)
    while at >= 0:
        start = lower.rfind(b"\n", max(at - room - 1, 0), at)
        after = at + len(word)
        if start >= 0 or at <= room:
            count += 1
            if count > MOST_LINES:
                raise TooMuch(f"more than {MOST_LINES} lines that may be fields")
            yield start + 1, at
        else:
            after = lower.find(b"\n", after)  # a later word in this line is too far from its beginning too
            if after < 0:
                return
        at = lower.find(word, after)


def _has_whole_lines(octets: bytes) -> bool:
    """Returns True if decoding base64 line by line gives the same result."""
    octets = octets.rstrip()
    line = octets.find(b"\n") + 1
    ends = octets[line - 1 :: line] if line else b""
    if ends and ends.count(b"\n") == len(ends) == octets.count(b"\n"):
        first = len(octets[:line].rstrip(b"\r\n"))
        crs = octets.count(b"\r")  # lines of one length, as programs write them
        if first % 4 == 0 and crs in (0, len(ends)) and octets[line - 2 :: line].count(b"\r") >= crs:
            return True
    lines = octets.replace(b"\r\n", b"\n").split(b"\n")
    return all(length % 4 == 0 for length in set(map(len, lines[:-1])))


def _from_base64(octets: bytes) -> bytes:
    """Decodes what can be read; padding may be anywhere, and other characters are ignored."""
    runs = octets.translate(None, _NOT_BASE64_OR_END).split(b"=")
    return b"".join(map(_whole, runs))


def _whole(run: bytes) -> bytes:
    """Decodes characters of the base64 alphabet without padding."""
    if len(run) % 4 == 1:
        run = run[:-1]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _readings_of_base64(octets: bytes) -> Iterator[bytes]:
    """Decodes from each of four offsets, because a character that one mail program skips counts for
    another."""
    run = octets.translate(None, _NOT_BASE64)
    for start in range(4):
        yield _whole(run[start:])
    yield b"".join(_whole(line.translate(None, _NOT_BASE64)) for line in octets.splitlines())


def _from_uu(octets: bytes) -> bytes:
    decoded: list[bytes] = []
    for line in octets.splitlines():
        if line.lower() == b"end":
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:  # not a line of uuencode, or longer than its length says
            length = (3 * (line[0] - 32 & 63) + 2) // 3 if line else 0
            try:
                decoded.append(binascii.a2b_uu(line[: 1 + -(-length // 3) * 4]))
            except binascii.Error:
                continue
    return b"".join(decoded)
