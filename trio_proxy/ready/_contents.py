"""Undoes transfer encodings (RFC 2045 §6, uuencode): in the ordinary way, and in each way that readers do.

Readers agree on what is written as RFC 2045 says. Of other octets they make different things: an ``=`` in the
middle ends base64, or is passed over, or begins it anew; what follows a broken escape is text, or is not.
`readings` gives all of that, so that a guard finds what is there for any of them.
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
"""The number of ``=`` that are looked at in what may be base64."""
MOST_LINES: Final = 100_000
"""Lines with a word at their beginning that are looked at."""


class TooMuch(Exception):
    """There is more than is looked at; its text says of what."""


def content(octets: bytes, encoding: str) -> bytes:
    """The octets that these stand for, in this encoding (lower case). Never raises."""
    if encoding == "base64":
        return _from_base64(octets)
    return binascii.a2b_qp(octets) if encoding == "quoted-printable" else octets


def is_clear_base64(octets: bytes) -> bool:
    """Returns True if all readers decode this alike, who take it as a whole."""
    return _clear(octets) is not None


def _clear(octets: bytes) -> bytes | None:
    """What clear base64 stands for."""
    try:
        return binascii.a2b_base64(octets.translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error:
        return None


def readings(octets: bytes, encoding: str) -> Iterator[bytes]:
    """What different readers take these octets for, in this encoding; the ordinary reading first. Raises
    `TooMuch`."""
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
    """The octets as text: as the charset says, and as a byte order mark says. Never raises."""
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
        if empty := _NO_OCTETS.search(lines_after):  # where some readers stop
            yield found[1] or b"", _from_uu(lines_after[: empty.start()])


def lines_with(lower: bytes, word: bytes, room: int) -> Iterator[tuple[int, int]]:
    """Where the lines begin that have this word after ``room`` octets at most, and where the word is. Raises
    `TooMuch`."""
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
            after = lower.find(b"\n", after)  # a word in this line is too far away too
            if after < 0:
                return
        at = lower.find(word, after)


def _has_whole_lines(octets: bytes) -> bool:
    """Returns True if those who decode base64 line by line see the same."""
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
    """Decodes what can be read; padding may stand anywhere, and other characters are ignored."""
    runs = octets.translate(None, _NOT_BASE64_OR_END).split(b"=")
    return b"".join(map(_whole, runs))


def _whole(run: bytes) -> bytes:
    """Decodes characters of the alphabet, with no padding among them."""
    if len(run) % 4 == 1:
        run = run[:-1]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _readings_of_base64(octets: bytes) -> Iterator[bytes]:
    """From each of four offsets, since what one reader passes over is a character for the other."""
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
        except binascii.Error:  # no such line, or one with more than it says
            length = (3 * (line[0] - 32 & 63) + 2) // 3 if line else 0
            try:
                decoded.append(binascii.a2b_uu(line[: 1 + -(-length // 3) * 4]))
            except binascii.Error:
                continue
    return b"".join(decoded)
