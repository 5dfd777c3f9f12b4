"""Encoded words (RFC 2047): the pieces of text in a header field, and which of them cannot be encoded again.
A rule gets text, and returns text. The original octets cannot always be made from the text again: for a word
in an unknown charset, or for octets that are invalid in their charset, or without a charset. A mail program
may show other text for them than we do. So such a piece of text remembers its *source*. If the text that a
rule returns still contains the piece, its source is written there, octet for octet:

    Subject: =?x-old?q?=FC?= now           the field
    ü now                                  the text for the rule
    [ext] ü now                            the text from the rule: it ends with all of the old text
    Subject: [ext] =?x-old?q?=FC?= now     what is written

All other text is written in UTF-8. What must not happen is that hidden text of an encoded word becomes
structure when it is written: another field, an address, or another encoded word.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from sansio_smtp.rules import charsets

__all__ = ["MARK", "WORD", "Piece", "encoded", "marked", "pieces", "plain", "words"]

MARK: Final = "\0"
"""The mark for a source in a text: an octet that no value of a field can hold."""

# RFC 2047 §2. The text may hold blanks here, a common mistake that mail programs accept.
WORD: Final = re.compile(rb"=\?([^? \t]{1,40})\?([bBqQ])\?([^?]*)\?=")
WORD_TEXT: Final = re.compile(r"=\?[^? \t]{1,40}\?[bBqQ]\?[^?]*\?=")
_APART: Final = " =?utf-8?q??= "
"""Written between two sources: if they had the same charset, they would be read as one."""
_ONE_LINE: Final = {0: "\ufffd", 10: " ", 13: " "}
_NOT_IN_Q: Final = re.compile(rb"[^ 0-9A-Za-z!*+/-]")
_WORD_OCTETS: Final = 42
_WORD_TEXT: Final = 56
"""The most octets of one encoded word, and their encoded length: with 12 more it fits in a line with
``Subject: ``."""

_BLANK: Final = re.compile(r"[ \t]")
_FORBIDDEN: Final = re.compile(rb"[\r\n\0]|[^ \t]{900}")
_MOST_SEARCHES: Final = 20


@attrs.frozen
class Piece:
    text: str
    """The text as shown: without CR, LF, NUL and lone surrogates."""
    source: bytes = b""
    """The original octets; empty if they can be made from the text."""

    is_word: bool = False
    """True if the source are encoded words, which must have blanks around them."""


def pieces(value: bytes, made: Callable[[str], str] = str) -> Iterator[Piece]:
    """The pieces of an unfolded value. Blanks between two encoded words are dropped (RFC 2047 §6.2).
    ``made`` is applied to the text of encoded words."""
    at = begin = 0
    charset = ""
    run: list[bytes] = []  # adjacent words: a character may begin in one and end in the next
    for word in WORD.finditer(value):
        octets = _octets_of(word)
        if octets is None:
            continue
        between = value[at : word.start()]
        apart = not at or bool(between.strip(b" \t"))
        name = word[1].partition(b"*")[0].decode("latin-1")  # a language may follow (RFC 2231 §5)
        if run and (apart or name != charset):
            yield _hidden(b"".join(run), charset, value[begin:at], made)
            run.clear()
        if apart and between:
            yield plain(between)
        if not run:
            begin = word.start()
        charset = name
        run.append(octets)
        at = word.end()
    if run:
        yield _hidden(b"".join(run), charset, value[begin:at], made)
    if at < len(value):
        yield plain(value[at:])


def plain(octets: bytes) -> Piece:
    """A piece of text outside encoded words."""
    text = charsets.decode_strictly(octets, "")
    return Piece(_shown(charsets.text_of(octets)), octets if text is None else b"")


def marked(text: str, old: list[Piece]) -> tuple[str, list[Piece]]:
    """The text with a mark for each piece with a source that it still contains, and these pieces."""
    before = "".join(piece.text for piece in old)
    indent = len(before) - len(before.lstrip(" \t"))
    before = before.strip(" \t")
    same_start, same_end = _common(text, before), _common(text[::-1], before[::-1])
    parts: list[str] = []
    kept: list[Piece] = []
    done = end = searches = 0
    for piece in old:
        start, end = end, end + len(piece.text)
        first, last = max(start - indent, 0), min(end - indent, len(before))
        if not piece.source or first >= last or _FORBIDDEN.search(piece.source):
            continue
        shown = before[first:last]
        if len(before) - first <= same_end:
            place = len(text) - (len(before) - first)
        elif last <= same_start:
            place = first
        elif shown.isascii() or searches == _MOST_SEARCHES:
            continue
        else:
            place = text.find(shown, done)
            searches += 1
        if place >= done and (piece.is_word or _may_touch(text, place, place + len(shown))):
            parts += text[done:place], MARK
            at_ends = start < indent, end - indent > last  # the blanks at the ends are not in the text
            kept.append(attrs.evolve(piece, source=_stripped(piece.source, *at_ends)))
            done = place + len(shown)
    return "".join(parts) + text[done:], kept


def encoded(text: str, kept: list[Piece], needs: re.Pattern[str]) -> str:
    """Encodes free text with marks, where it needs encoded words. Words before the first one that needs it,
    and after the last one, do not change."""
    written: list[str] = []
    for i, part in enumerate(text.split(MARK)):
        before = i > 0 and kept[i - 1].is_word
        after = i < len(kept) and kept[i].is_word
        written.append(_between(part, needs, before, after) if part else _APART * (before and after))
    return MARK.join(written)


def words(text: str) -> str:
    """Encodes the whole text, with marks, in encoded words."""
    parts = re.split(f"({MARK})", text)
    written = " ".join(part if part == MARK else _words(part) for part in parts if part)
    return written.replace(f"{MARK} {MARK}", f"{MARK}{_APART}{MARK}")


def _between(text: str, needs: re.Pattern[str], before: bool, after: bool) -> str:
    """Encodes a text after encoded words (``before``) or before some (``after``). A blank between encoded
    words is not shown, but there must be one between them and other text."""
    start, end = _to_encode(text, needs)
    if not text.strip(" \t"):
        start, end = (0, len(text)) if before and after else (start, end)
    else:
        if before and not (text[0] in " \t" and text[:start].strip(" \t")):
            start, end = 0, max(end, _first_blank(text))
        if after and not (text[-1] in " \t" and text[end:].strip(" \t")):
            start, end = min(start, _last_blank(text)), len(text)
    if start >= end:
        return text
    left = " " if before and start == 0 else ""
    right = " " if after and end == len(text) else ""
    return text[:start] + left + _words(text[start:end]) + right + text[end:]


def _to_encode(text: str, needs: re.Pattern[str]) -> tuple[int, int]:
    """The range from the beginning of the first word that needs encoding to the end of the last one. If none
    does: from the end of the text to its beginning."""
    found = [match.span() for match in needs.finditer(text)]
    if not found:
        return len(text), 0
    return _last_blank(text[: found[0][0] + 1]), found[-1][1] - 1 + _first_blank(text[found[-1][1] - 1 :])


def _first_blank(text: str) -> int:
    """The end of the first word, or 0 if the text begins with a blank."""
    found = _BLANK.search(text)
    return found.start() if found else len(text)


def _last_blank(text: str) -> int:
    """The beginning of the last word, or the end if the text ends with a blank."""
    return max(text.rfind(" "), text.rfind("\t")) + 1


def _may_touch(text: str, start: int, end: int) -> bool:
    """Returns True if octets without a charset can be there: text that touches them must not need
    encoding."""
    left = text[_last_blank(text[:start]) : start]
    right = text[end : end + _first_blank(text[end:])]
    return (left + right).isascii() and "=?" not in left + right


def _stripped(octets: bytes, at_start: bool, at_end: bool) -> bytes:
    octets = octets.lstrip(b" \t") if at_start else octets
    return octets.rstrip(b" \t") if at_end else octets


def _common(one: str, other: str) -> int:
    """The number of equal characters at the beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _hidden(octets: bytes, charset: str, source: bytes, made: Callable[[str], str]) -> Piece:
    text = charsets.decode_strictly(octets, charset)
    if text is None:
        return Piece(made(_shown(charsets.decode(octets, charset))), source, is_word=True)
    return Piece(made(_shown(text)), is_word=True)


def _shown(text: str) -> str:
    return text.translate(_ONE_LINE)


def _octets_of(word: re.Match[bytes]) -> bytes | None:
    if word[2] in b"qQ":
        return binascii.a2b_qp(word[3], header=True)
    try:
        return binascii.a2b_base64(word[3] + b"==")
    except binascii.Error:
        return None


def _words(text: str) -> str:
    octets = text.encode()
    found: list[bytes] = []
    start = 0
    while start < len(octets):
        end = min(start + _WORD_OCTETS, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        found.append(_word(octets[start:end]))
        start = end
    return b" ".join(found).decode("ascii")


def _word(octets: bytes) -> bytes:
    q = _NOT_IN_Q.sub(_in_q, octets).replace(b" ", b"_")
    b = binascii.b2a_base64(octets, newline=False)
    readable = len(q) <= min(_WORD_TEXT, len(b) * 3 // 2)
    return b"=?utf-8?q?%b?=" % q if readable else b"=?utf-8?b?%b?=" % b


def _in_q(octet: re.Match[bytes]) -> bytes:
    return b"=%02X" % ord(octet[0])
