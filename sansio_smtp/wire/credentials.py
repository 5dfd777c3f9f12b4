"""Finds a client's credentials in replies of a server: as sent, decoded, and in other forms. Some servers
repeat their input in a reply: the base64, the password in it, or the password with special octets escaped.
Text that is shown to people must not contain any of these, in this reply or a later one. A text of fewer than
four octets is not searched for: it would be found everywhere in the dialogue, and reveals nothing.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from .commands import Command
from .sasl import decoded

__all__ = ["MASK", "Credentials"]

MASK: Final = b"********"

_SHORTEST: Final = 4
_SHORTEST_WITHIN: Final = 6
"""The least octets of a piece that is searched for in the base64 of longer texts, where less of it is
visible."""
_LINES_KEPT: Final = 8
_PIECES_KEPT: Final = 8
"""The most pieces of one line."""
_LONGEST_ESCAPED: Final = 256
_BREAK: Final = re.compile(rb"\r\n[0-9]{3}[ -]")
"""The octets between two lines of a reply, if a server splits a text there."""
_RESERVED: Final = re.compile(rb"[^0-9A-Za-z._~-]")
_UNPRINTED: Final = re.compile(rb"[^ !#-\[\]-~]")
_QUOTABLE: Final = re.compile(rb"[\\\"]")
_BEARER: Final = b"auth=Bearer "


@attrs.define(eq=False)
class Credentials:
    """The credentials of one client. The oldest are forgotten, so that a client cannot fill the memory."""

    _lines: tuple[dict[bytes, tuple[bytes, ...]], ...] = ()
    """For each line with credentials: each secret text, and its possible forms."""
    _name: bytes | None = None
    """The name of the accepted login, which is not secret."""
    _forms: tuple[bytes, ...] = ()
    """The texts that are searched for, the longest first."""

    def keep(self, command: Command) -> None:
        """Remembers the credentials in a line."""
        pieces = list(dict.fromkeys(_pieces(command.secrets)))[:_PIECES_KEPT]
        if pieces:
            forms = {piece: tuple(dict.fromkeys(_forms(piece))) for piece in pieces}
            self._lines = (*self._lines, forms)[-_LINES_KEPT:]
            self._find_forms()

    def accepted(self, name: str | None) -> None:
        """A login with this name was accepted. The name may be shown from now on."""
        self._name = None if name is None else name.encode("utf-8", "surrogateescape")
        self._find_forms()

    def masked(self, octets: bytes) -> bytes:
        """The octets of a reply with the credentials masked, also where they are split between lines."""
        if not self._forms:
            return octets
        found = [False] * len(octets)
        for text, places in _texts(octets):
            for form in self._forms:
                at = text.find(form)
                while at >= 0:
                    first, last = places[at], places[at + len(form) - 1]
                    found[first : last + 1] = [True] * (last + 1 - first)
                    at = text.find(form, at + len(form))
        return _without(octets, found) if any(found) else octets

    def _find_forms(self) -> None:
        pieces = (each for line in self._lines for each in line.items())
        forms = {
            form for piece, ways in pieces for form in (_in_base64(piece) if piece == self._name else ways)
        }
        self._forms = tuple(form for form in forms if len(form) >= _SHORTEST)


def _pieces(words: Iterable[bytes]) -> Iterator[bytes]:
    """Words as sent, and their contents (RFC 4616 §2 and others): names, passwords, tokens."""
    for word in words:
        yield word
        inside = decoded(word)
        if inside:
            yield inside
            for part in re.split(rb"[\0\1]+", inside, maxsplit=_PIECES_KEPT):
                yield part.removeprefix(_BEARER)


def _forms(piece: bytes) -> Iterator[bytes]:
    """The forms in which a server may write a text."""
    yield from (*_in_base64(piece), piece, piece.rstrip(b"="))
    if len(piece) >= _SHORTEST_WITHIN:
        yield from (_within_base64(piece, before) for before in range(3))
    if len(piece) > _LONGEST_ESCAPED:
        return
    yield from (_escaped(piece, _RESERVED, form) for form in (b"%%%02X", b"%%%02x"))
    yield from (_escaped(piece, _UNPRINTED, form) for form in (b"\\x%02x", b"\\x%02X", b"\\%03o", b"+%02X"))
    yield _QUOTABLE.sub(rb"\\\g<0>", piece)
    yield from (piece.replace(b"\0", nul) for nul in (b"", b" ", b"?", b"\\0", b"^@"))


def _in_base64(piece: bytes) -> tuple[bytes, bytes]:
    base64 = b2a_base64(piece, newline=False)
    return base64, base64.rstrip(b"=")


def _within_base64(piece: bytes, before: int) -> bytes:
    """The common part of the base64 of all texts in which ``before`` octets come before the piece, or three
    more, and so on."""
    base64 = b2a_base64(bytes(before) + piece, newline=False)
    return base64[-(-before * 8 // 6) : (before + len(piece)) * 8 // 6]


def _escaped(piece: bytes, odd: re.Pattern[bytes], form: bytes) -> bytes:
    """The piece with its special octets written in this form, such as ``%2F``."""
    return odd.sub(lambda found: form % ord(found[0]), piece)


def _texts(octets: bytes) -> Iterator[tuple[bytes, range | list[int]]]:
    """The text in a reply, and the place of each of its octets: unchanged; without the breaks between lines;
    and with a blank in place of each break."""
    yield octets, range(len(octets))
    breaks = [found.span() for found in _BREAK.finditer(octets)]
    if not breaks:
        return
    for between in (b"", b" "):
        text, places, at = bytearray(), list[int](), 0
        for start, end in (*breaks, (len(octets), len(octets))):
            text += octets[at:start] + between
            places += [*range(at, start), *[start] * len(between)]
            at = end
        yield bytes(text), places


def _without(octets: bytes, found: list[bool]) -> bytes:
    """The octets with a mask for each run of those that were found."""
    shown, at = bytearray(), 0
    while at < len(octets):
        end = at
        while end < len(octets) and found[end] == found[at]:
            end += 1
        shown += MASK if found[at] else octets[at:end]
        at = end
    return bytes(shown)
