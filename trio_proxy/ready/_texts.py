"""Adds text to a part of a message, and changes nothing else."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import attrs

from sansio_smtp.rules import charsets

from ._parts import Part

__all__ = ["Encode", "Unchangeable", "insert"]

Encode: TypeAlias = Callable[[str], bytes]
"""Writes text in the charset of a part."""
Placing: TypeAlias = Callable[[bytes, Encode], tuple[int, bytes] | None]
"""Takes the decoded content of a part, and returns the offset and the octets to insert; None if they are
already there."""

LONGEST_LINE: Final = 998
"""The most octets in a line without its CRLF (RFC 5322 §2.1.1)."""

_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_ESCAPED: Final = re.compile(rb"[^\t -<>-~]|[\t ]\Z")
_QUOTED_LINE: Final = re.compile(rb".{1,75}(?<!=)(?<!=.)")
_CHARSET: Final = re.compile(r';\s*charset(\*[0-9*]*)?\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.I | re.DOTALL)


class Unchangeable(Exception):
    """The part's content does not match its declared charset or encoding."""


def insert(part: Part, place: Placing, *, is_html: bool = False) -> bytes:
    """The part with its header section, and with the text added to its content; unchanged if the text is
    already there. If its charset or encoding cannot represent the text, it becomes UTF-8 in quoted-printable.
    Raises `Unchangeable`."""
    content = _content(part)
    label = part.parameter("charset")
    try:
        if is_html and not charsets.is_transparent(label):
            raise ValueError("octets in which no tags can be found")
        change = _change(content, place, label or "us-ascii", is_html)
        if not change.added:
            return part.raw[part.start : part.end]
        if change.fits(part.encoding):
            return _head(part) + _encoded(part, change)
    except (LookupError, ValueError):  # the charset has no such characters, or is not known
        pass
    # Labelled us-ascii, or not labelled, UTF-8 is read as UTF-8, as mail programs do.
    text = charsets.decode_strictly(content, "" if charsets.is_ascii(label) else label)
    if text is None:
        raise Unchangeable
    change = _change(text.encode(), place, "utf-8", is_html)
    if not change.added:
        return part.raw[part.start : part.end]
    return _labelled(part) + _quoted(change.result)


@attrs.frozen
class _Change:
    content: bytes
    at: int
    added: bytes

    @property
    def result(self) -> bytes:
        return self.content[: self.at] + self.added + self.content[self.at :]

    def fits(self, encoding: str) -> bool:
        """Returns True if a part in this transfer encoding can hold the added text. A 7-bit part stays 7-bit,
        because MAIL may have declared that to the server."""
        if encoding in ("base64", "quoted-printable"):
            return True
        longest = max(map(len, self.added.split(b"\r\n")))
        return longest <= LONGEST_LINE and (self.added.isascii() or not self.content.isascii())


def _change(content: bytes, place: Placing, label: str, is_html: bool) -> _Change:
    errors = "xmlcharrefreplace" if is_html else "strict"
    found = place(content, partial(charsets.encode, label=label, errors=errors))
    if found is None:
        return _Change(content, 0, b"")
    at, added = found
    change = _Change(content, at, added)
    pieces = (content[:at], added, content[at:])
    if charsets.decode(change.result, label) != "".join(charsets.decode(piece, label) for piece in pieces):
        raise ValueError("octets that mean something else in the middle, as in UTF-16")
    return change


def _head(part: Part) -> bytes:
    """The header section with its empty line. A part without content may have no empty line: then the line
    end belongs to the boundary."""
    return part.raw[part.start : part.body] + (b"" if part.fields.has_end else b"\r\n")


def _content(part: Part) -> bytes:
    octets = part.raw[part.body : part.end]
    if part.encoding in ("", "7bit", "8bit", "binary"):
        return octets
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    if part.encoding != "base64":
        raise Unchangeable
    try:
        return binascii.a2b_base64(b"".join(octets.split()), strict_mode=True)
    except binascii.Error as error:
        raise Unchangeable from error


def _encoded(part: Part, change: _Change) -> bytes:
    octets = part.raw[part.body : part.end]
    if part.encoding == "base64":
        new = base64.encodebytes(change.result).replace(b"\n", b"\r\n")
        return new if octets.endswith(b"\n") else new.removesuffix(b"\r\n")
    if part.encoding != "quoted-printable":
        return change.result
    # Lines before the place stay; the rest is encoded again.
    kept: list[bytes] = []
    length = 0
    for line in _LINE.findall(octets):
        decoded = len(binascii.a2b_qp(line))
        if length + decoded > change.at or not line.endswith(b"\n"):
            break
        kept.append(line)
        length += decoded
    return b"".join(kept) + _quoted(change.result[length:])


def _quoted(octets: bytes) -> bytes:
    """In quoted-printable (RFC 2045 §6.7)."""
    lines = (_ESCAPED.sub(lambda found: b"=%02X" % found[0][0], line) for line in octets.split(b"\r\n"))
    return b"\r\n".join(b"=\r\n".join(_QUOTED_LINE.findall(line)) for line in lines)


def _labelled(part: Part) -> bytes:
    """The part's header section, changed to say UTF-8 in quoted-printable."""
    fields = part.fields
    given = fields.get("Content-Type") or part.content_type
    fields.set("Content-Type", _CHARSET.sub("", given).rstrip("; \t") + "; charset=utf-8")
    fields.set("Content-Transfer-Encoding", "quoted-printable")
    if part.start == 0 and "MIME-Version" not in fields:
        fields.add("MIME-Version", "1.0")
    return fields.raw + (b"" if part.fields.has_end else b"\r\n")
