"""Finds where the parts of a message are in its octets (RFC 2045, 2046), for rules that read or edit parts.

Any octets can be read, as a mail program would read them. If mail programs read a part in different ways, the
part has a ``doubt``: a guard then refuses the message, or looks at all readings (`loosely`). A ``flaw`` is a
doubt, or another mistake that makes editing the part unsafe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import attrs

from sansio_smtp.rules.charsets import decode
from sansio_smtp.rules.headers import Headers

from . import _contents
from ._fields import (
    CODED,
    LONGEST,
    PLAIN,
    TWO_WAYS,
    Section,
    doubt_of_fields,
    encoding_of,
    flaw_of_section,
    word,
)
from ._names import names_in

__all__ = ["TOO_MANY", "Part", "parameters", "read"]

DEEPEST: Final = 30
MOST: Final = 2_000
MOST_BLANKS: Final = 200
"""The most blanks before a line that some mail program reads as a boundary."""
MOST_LINES: Final = 100_000
"""The most lines of all header sections together."""
MOST_OCTETS: Final = 5_000_000
"""The most octets of all header sections together: if made to be slow, they take some seconds to decode."""
TOO_MANY: Final = f"more than {MOST} parts, {DEEPEST} in each other, or {MOST_LINES} lines of fields"
"""The flaw of a part that holds more than these limits."""

_EMPTY_LINE: Final = re.compile(rb"^\r?\n", re.MULTILINE)
_TYPE: Final = re.compile(r"\s*([^\s/;]+/[^\s/;]+)\s*(;|\Z)?")
# Blanks may replace a forgotten semicolon, or be in a value that should have been quoted.
_PARAMETER: Final = re.compile(
    r'[;\s]([^\s=;*"]+)(?:\*([0-9]{1,4}))?(\*)?\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL
)
_KNOWN: Final = ("content-type", "content-disposition", "content-transfer-encoding")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LIKE_A_FIELD: Final = re.compile(rb"^[ \t>]*content-[a-z-]+[ \t]*:", re.MULTILINE | re.IGNORECASE)
_DASHES: Final = re.compile(rb"^[ \t>]*--(?![ \t]*\r?$)", re.MULTILINE)
_NO_BOUNDARY: Final = "a multipart without a boundary"
_NO_END: Final = "a multipart that does not begin or end"
_EMPTY_LINES: Final = re.compile(
    rb"(?:[ \t]*\r?\n)*(?:[^\r\n]{1,998}\r?\n){0,20}?[ \t]*content-[a-z-]+[ \t]*:", re.I
)
# Types that are about a message. Some mail programs read them as a message, but one without parts.
_ABOUT: Final = re.compile(
    r"message/(?:delivery-status|disposition-notification|feedback-report|global-.*|external-body)"
)


@attrs.frozen(eq=False, repr=False)
class Part:
    """A message, or a part of one, with the parts in it."""

    raw: bytes
    """The octets in which the offsets count: the whole message. For parts of an attached message in base64,
    the decoded message."""
    start: int
    """Where the header section begins."""
    body: int
    """Where the body begins, after the empty line."""
    end: int
    """Where the part ends, after its last octet. The CRLF before a boundary belongs to the boundary."""
    fields: Headers
    section: Section
    """Its MIME fields, unfolded and not decoded."""
    content_type: str
    """Type and subtype, in lower case."""
    parameters: tuple[tuple[str, str], ...]
    """The parameters of Content-Type, by name in lower case."""
    parts: tuple[Part, ...] = ()
    """The parts of a multipart, or the one message that is attached."""
    flaw: str = ""
    """Says what is wrong with the structure of this part, not of the parts in it."""
    doubt: str = ""
    """Says what mail programs read in different ways, so that they see other parts, types or contents. Such a
    doubt is a flaw too."""

    def walk(self) -> Iterator[Part]:
        """This part, and all in it, in their order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def texts(self) -> Iterator[bytes]:
        """The octets of the message, and its decoded parts: everything in which a mail program may look for
        parts."""
        yield self.raw
        last = self.raw
        for part in self.walk():
            if part.raw is not last:
                last = part.raw
                yield last
            if part.encoding in CODED and (not part.parts or part.content_type.startswith("multipart/")):
                yield from _contents.readings(part.raw[part.body : part.end], part.encoding)

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type; empty if it is missing."""
        return next((value for key, value in self.parameters if key == name), "")

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding, in lower case."""
        return encoding_of(self.section)

    @property
    def disposition(self) -> str:
        """Content-Disposition without its parameters, in lower case."""
        return word(self.section, "content-disposition")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that some mail program may take for the file's name."""
        found: dict[str, None] = {}
        with suppress(_contents.TooMuch):
            for name in names_in(self.naming):
                found[name] = None
        return tuple(found)

    @property
    def naming(self) -> tuple[str, ...]:
        """The fields that may hold a name."""
        return (*self.section.get("content-type", ()), *self.section.get("content-disposition", ()))

    @property
    def locations(self) -> Iterator[str]:
        """The value of Content-Location (RFC 2557 §4), raw and decoded: some mail programs use it as the
        file's name."""
        for field in self.fields:
            if field.name.lower() == "content-location":
                yield field.value
                yield unquote(field.value)

    @property
    def content(self) -> bytes:
        """The decoded octets of the part; empty for a multipart. Never raises."""
        if self.content_type.startswith("multipart/"):
            return b""
        return _contents.content(self.raw[self.body : self.end], self.encoding)

    @property
    def readings(self) -> Iterator[bytes]:
        """The content as different mail programs decode it, the ordinary reading first."""
        if not self.content_type.startswith("multipart/"):
            yield from _contents.readings(self.raw[self.body : self.end], self.encoding)

    @property
    def text(self) -> str:
        """The content, decoded by its charset or its byte order mark; what cannot be decoded becomes
        U+FFFD."""
        return list(_contents.texts_of(self.content, self.parameter("charset")))[-1]


def read(message: bytes) -> Part:
    """The message with all its parts. Never raises."""
    reader = _Reader()
    root = reader.read(message, 0, len(message), 0)
    if not root.doubt and any(line.rstrip() not in reader.boundaries for line in reader.strange):
        doubt = "a line that some readers take for a boundary"
        return attrs.evolve(root, doubt=doubt, flaw=root.flaw or doubt)
    return root


def parameters(value: str) -> list[tuple[str, str]]:
    """The parameters of a field such as Content-Type, in their order, by name in lower case. Values in pieces
    are joined and decoded (RFC 2231)."""
    found: list[tuple[str, str]] = []
    pieces: dict[str, dict[int, str]] = {}
    for name, number, extended, text in _PARAMETER.findall(value):
        quoted = len(text) > 1 and text[0] == text[-1] == '"'
        plain = _ESCAPE.sub(r"\1", text[1:-1]) if quoted else text.strip().strip('"')
        if number:
            piece = plain if extended else plain.replace("%", "%25")
            pieces.setdefault(name.lower(), {})[int(number)] = piece
        else:
            found.append((name.lower(), _from_extended(plain) if extended else plain))
    for name, numbered in pieces.items():
        found.append((name, _from_extended("".join(numbered[number] for number in sorted(numbered)))))
    return found


class _Reader:
    def __init__(self) -> None:
        self.left = MOST
        self.left_lines = MOST_LINES
        self.left_octets = MOST_OCTETS
        self.boundaries: set[bytes] = set()
        """The lines that delimit parts."""
        self.strange: list[bytes] = []
        """Lines that begin like a delimiter but are none."""

    def read(self, raw: bytes, start: int, end: int, depth: int, default: str = "") -> Part:
        self.left -= 1
        empty = _EMPTY_LINE.search(raw, start, end)
        body = empty.end() if empty else end
        self.left_lines -= raw.count(b"\n", start, body)
        self.left_octets -= body - start
        if self.left_lines < 0 or self.left_octets < 0:
            return Part(raw, start, body, end, Headers(), {}, "text/plain", (), (), TOO_MANY, TOO_MANY)
        fields = Headers(raw[start:body])
        section = _section(fields)
        is_message = not default
        given = section.get("content-type", [])
        found = _TYPE.match(given[0]) if given else None
        kind = found[1].lower() if found else "text/plain" if given or is_message else default
        part = Part(
            raw,
            start,
            body,
            end,
            fields,
            section,
            kind,
            tuple(parameters(given[0][:LONGEST])) if given else (),
        )
        is_coded = part.encoding in CODED and not kind.startswith("multipart/")
        lines, in_doubt = flaw_of_section(raw[start:body], is_message=is_message, is_coded=is_coded)
        if any(len(values) > 1 for values in section.values()):
            lines = TWO_WAYS
        parts, flaw, inner_doubt = self._inner(part, depth + 1)
        doubt = (lines if in_doubt else "") or doubt_of_fields(section) or inner_doubt
        doubt = doubt or _doubt_of_body(part, bool(parts))
        return attrs.evolve(part, parts=parts, flaw=flaw or lines or doubt, doubt=doubt)

    def _inner(self, part: Part, depth: int) -> tuple[tuple[Part, ...], str, str]:
        """The parts in a part, what is wrong with it, and the doubt."""
        is_message = part.content_type in ("message/rfc822", "message/global")
        boundary = part.parameter("boundary")
        if not (is_message or part.content_type.startswith("multipart/")):
            return (), "", self._hidden(part, boundary)
        if depth > DEEPEST or self.left <= 0:
            return (), TOO_MANY, TOO_MANY
        if not is_message:
            return self._split(part, boundary.rstrip(), depth)
        if part.encoding in PLAIN:
            return (self.read(part.raw, part.body, part.end, depth),), "", self._hidden(part, boundary)
        octets = part.raw[part.body : part.end]
        content = part.content
        is_base64 = part.section["content-transfer-encoding"][0].strip(" \t").lower() == "base64"
        clear = is_base64 and _contents.is_clear_base64(octets)
        flaw = "an attached message that is encoded"
        return (self.read(content, 0, len(content), depth),), flaw, "" if clear else flaw

    def _hidden(self, part: Part, boundary: str) -> str:
        """The doubt if a part that is not a multipart seems to have parts."""
        line = b"--" + boundary.encode("utf-8", "surrogateescape")
        if boundary and part.raw.find(line, part.body, part.end) >= 0:
            return "a boundary in what is no multipart"
        return ""

    def _split(self, part: Part, boundary: str, depth: int) -> tuple[tuple[Part, ...], str, str]:
        octets = boundary.encode("utf-8", "surrogateescape")
        if not octets:
            return (), _NO_BOUNDARY, _NO_BOUNDARY
        delimiters = list(islice(self._delimiters(part, octets), MOST + 1))
        if len(delimiters) > MOST or len(self.strange) > MOST:
            return (), TOO_MANY, TOO_MANY
        if not delimiters:
            lines = _DASHES.search(part.raw, part.body, part.end)
            return (), _NO_END, _NO_END if lines else ""
        self.boundaries.update((b"--" + octets, b"--" + octets + b"--"))
        closing = next((i for i, delimiter in enumerate(delimiters) if delimiter.closes), len(delimiters))
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        parts: list[Part] = []
        ends = [*(delimiter.start for delimiter in delimiters[1 : closing + 1]), part.end + 1]
        for delimiter, end in zip(delimiters[:closing], ends, strict=False):
            if self.left <= 0:
                return tuple(parts), TOO_MANY, TOO_MANY
            if delimiter.end < end:
                last = max(delimiter.end, end - 1)
                last -= part.raw.endswith(b"\r", delimiter.end, last) and end <= part.end
                parts.append(self.read(part.raw, delimiter.end, last, depth, default))
        after = delimiters[closing:]
        doubt = ""
        if any(not delimiter.closes for delimiter in after) or (
            after and _LIKE_A_FIELD.search(part.raw, after[0].end, part.end)
        ):
            doubt = "parts after the end of a multipart"
        if not (after and parts):
            return tuple(parts), _NO_END, doubt
        if part.encoding in PLAIN:
            return tuple(parts), "", doubt
        flaw = "a multipart that is encoded"
        return tuple(parts), flaw, doubt or (flaw if _is_other_decoded(part, octets) else "")

    def _delimiters(self, part: Part, boundary: bytes) -> Iterator[_Delimiter]:
        """The lines that delimit the parts. Other lines that begin like a delimiter are remembered for
        `read`."""
        line = re.compile(re.escape(b"--" + boundary) + rb"([^\r\n]*)(?=(\r?\n|\Z)|\r)")
        for found in line.finditer(part.raw, part.body, part.end):
            start = found.start()
            rest = found[1].rstrip(b" \t")
            before = part.raw[max(start - MOST_BLANKS, part.body) : start]
            if found[2] is not None and rest in (b"", b"--") and before[-1:] in (b"\n", b""):
                end = part.raw.find(b"\n", found.end(), part.end) + 1 or part.end
                yield _Delimiter(start, end, rest != b"")
            elif before.rstrip(b" \t>")[-1:] in (b"\n", b"\r", b""):
                self.strange.append(before[-1:].strip(b"\n") + found[0] + (found[2] or b"\r"))
                if len(self.strange) > MOST:
                    return


@attrs.frozen
class _Delimiter:
    start: int
    end: int
    """After its line end."""
    closes: bool


def _is_other_decoded(part: Part, boundary: bytes) -> bool:
    """Returns True if a multipart has other parts after decoding it as a whole."""
    line = re.compile(
        rb"^(?:--" + re.escape(boundary) + rb"|[ \t]*content-)[^\r\n]*", re.MULTILINE | re.IGNORECASE
    )
    octets = part.raw[part.body : part.end]
    decoded = line.findall(_contents.content(octets, part.encoding))
    return decoded != line.findall(octets) if part.encoding == "quoted-printable" else decoded != []


def _doubt_of_body(part: Part, has_parts: bool) -> str:
    """The reason why mail programs disagree on where the body begins, or if there is one."""
    is_message = part.content_type.startswith("message/")
    if not is_message and part.body - part.start <= 2 and _EMPTY_LINES.match(part.raw, part.start, part.end):
        return "a header section after an empty line"
    if is_message and not has_parts and not _ABOUT.fullmatch(part.content_type):
        return "a message of a type that is not known"
    return ""


def _section(fields: Headers) -> Section:
    found: Section = {}
    for field in fields:
        name = field.name.lower()
        if name in _KNOWN:
            found.setdefault(name, []).append(_unfolded(field.raw))
    return found


def _unfolded(field: bytes) -> str:
    """The value of a header field, unfolded but not decoded."""
    value = field.partition(b":")[2]
    return value.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")


def _from_extended(text: str) -> str:
    """``utf-8'en'na%C3%AFve`` as text."""
    charset, quote, rest = text.partition("'")
    octets = (rest.partition("'")[2] if quote else text).encode("utf-8", "surrogateescape")
    return decode(unquote_to_bytes(octets), charset if quote else "")
