"""Where the parts of a message lie in its octets (RFC 2045, 2046), for rules that look at parts or edit one.

Reading takes any octets, as a mail program would. What is wrong with the structure is noted in ``flaw``, for
rules that rather leave such messages alone.
"""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Iterator
from encodings.aliases import aliases
from typing import Final
from urllib.parse import unquote_to_bytes

import attrs

from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.mime import decode

__all__ = ["TOO_MANY", "Part", "codec", "parameters", "read"]

DEEPEST: Final = 30
MOST: Final = 2_000
TOO_MANY: Final = f"more than {MOST} parts, or more than {DEEPEST} in each other"
"""The flaw of a part in which there is more than was looked at."""

_EMPTY_LINE: Final = re.compile(rb"^\r?\n", re.MULTILINE)
_NO_FIELD: Final = re.compile(rb"^(?![!-9;-~]+:|[ \t]|\r?\n)[^\n]", re.MULTILINE)
_TYPE: Final = re.compile(r"\s*([^\s/;]+/[^\s/;]+)\s*(;|\Z)?")
_WORD: Final = re.compile(r"\s*([^\s;(]*)")
# Blanks may stand where a semicolon was forgotten, and in a value that should have been quoted.
_PARAMETER: Final = re.compile(
    r'[;\s]([^\s=;*"]+)(?:\*([0-9]{1,4}))?(\*)?\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_NOT_BASE64: Final = bytes(set(range(256)) - set(b"=+/0123456789") - set(string.ascii_letters.encode()))
_ONCE: Final = ("content-type", "content-transfer-encoding", "content-disposition")
_PLAIN: Final = ("", "7bit", "8bit", "binary")
_CODECS: Final = {name: name for name in (*aliases, *aliases.values(), "cp874", "koi8_u")}
_CODECS.update({"iso_8859_8_i": "iso8859_8", "windows_874": "cp874", "x_gbk": "gbk", "x_sjis": "shift_jis"})


@attrs.frozen(eq=False, repr=False)
class Part:
    """A message, or a part of one, with the parts in it."""

    raw: bytes
    """The octets in which the offsets count: the whole message. For parts of an attached message in base64,
    the decoded message."""
    start: int
    """Where the header section begins."""
    body: int
    """Where what follows its empty line begins."""
    end: int
    """Where the part ends, after its last octet. The CRLF before a boundary belongs to the boundary."""
    fields: Headers
    content_type: str
    """Type and subtype, in lower case."""
    parameters: tuple[tuple[str, str], ...]
    """Of Content-Type, by name in lower case."""
    parts: tuple[Part, ...] = ()
    """Of a multipart its parts, of an attached message that message."""
    flaw: str = ""
    """What is wrong with the structure: of this part, not of those in it."""

    def walk(self) -> Iterator[Part]:
        """This part, and all in it, in their order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def parameter(self, name: str) -> str:
        """Of Content-Type; empty if it is not there."""
        return next((value for key, value in self.parameters if key == name), "")

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding, in lower case."""
        return _word(self.fields, "content-transfer-encoding")

    @property
    def disposition(self) -> str:
        """Content-Disposition without its parameters, in lower case."""
        return _word(self.fields, "content-disposition")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that some mail program may take for the file's name."""
        found: dict[str, None] = {}
        for field in self.fields:
            if field.name.lower() in ("content-type", "content-disposition"):
                # Encoded words have no place in a parameter (RFC 2047 §5), but stand there, quoted or bare.
                for text in (_unfolded(field.raw), field.value):
                    for key, value in parameters(text):
                        if key in ("filename", "name"):
                            found[decode(value.encode("utf-8", "surrogateescape"))] = None
        return tuple(found)

    @property
    def content(self) -> bytes:
        """The octets that the part stands for; of a multipart none. Never raises."""
        if self.content_type.startswith("multipart/"):
            return b""
        octets = self.raw[self.body : self.end]
        if self.encoding == "base64":
            return _from_base64(octets)
        return binascii.a2b_qp(octets) if self.encoding == "quoted-printable" else octets

    @property
    def text(self) -> str:
        """The content as its charset says; what cannot be read is U+FFFD."""
        return _decoded(self.content, self.parameter("charset"))


def read(message: bytes) -> Part:
    """The message with all its parts. Never raises."""
    return _Reader().read(message, 0, len(message), 0)


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


def codec(charset: str) -> str:
    """A charset's name for `str.encode`, empty if it is not known. Only known names are looked up: Python
    would remember each of the others."""
    return _CODECS.get(re.sub(r"[-. ]", "_", charset.strip().lower()), "")


class _Reader:
    def __init__(self) -> None:
        self.left = MOST

    def read(self, raw: bytes, start: int, end: int, depth: int, default: str = "text/plain") -> Part:
        self.left -= 1
        empty = _EMPTY_LINE.search(raw, start, end)
        body = empty.end() if empty else end
        fields = Headers(raw[start:body])
        given = _values(fields, "content-type")
        found = _TYPE.match(given[0]) if given else None
        kind = found[1].lower() if found else "text/plain" if given else default
        part = Part(raw, start, body, end, fields, kind, tuple(parameters(given[0])) if given else ())
        twice = any(len(_values(fields, name)) > 1 for name in _ONCE)
        odd = given and (found is None or found[2] is None)
        ambiguous = twice or odd or _NO_FIELD.search(raw, start, body)
        parts, flaw = self._inner(part, depth + 1)
        return attrs.evolve(
            part,
            parts=parts,
            flaw=flaw or ("header fields that can be read in two ways" if ambiguous else ""),
        )

    def _inner(self, part: Part, depth: int) -> tuple[tuple[Part, ...], str]:
        """The parts in a part, and what is wrong with it."""
        is_message = part.content_type in ("message/rfc822", "message/global")
        if not (is_message or part.content_type.startswith("multipart/")):
            return (), ""
        if depth > DEEPEST or self.left <= 0:
            return (), TOO_MANY
        if not is_message:
            return self._split(part, depth)
        if part.encoding in _PLAIN:
            return (self.read(part.raw, part.body, part.end, depth),), ""
        content = part.content
        return (self.read(content, 0, len(content), depth),), "an attached message that is encoded"

    def _split(self, part: Part, depth: int) -> tuple[tuple[Part, ...], str]:
        boundary = part.parameter("boundary").rstrip().encode("utf-8", "surrogateescape")
        if not boundary:
            return (), "a multipart without a boundary"
        line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        parts: list[Part] = []
        begin: int | None = None
        closed = False
        for found in line.finditer(part.raw, max(part.body - 1, 0), part.end):
            if self.left <= 0:
                return tuple(parts), TOO_MANY
            if begin is not None and begin <= found.start():
                end = found.start() - part.raw.endswith(b"\r", begin, found.start())
                parts.append(self.read(part.raw, begin, end, depth, default))
            begin = part.raw.find(b"\n", found.end(), part.end) + 1 or part.end
            if closed := found[1] is not None:
                break
        if begin is not None and not closed:
            parts.append(self.read(part.raw, begin, part.end, depth, default))
        if not (closed and parts):
            return tuple(parts), "a multipart that does not begin or end"
        return tuple(parts), "" if part.encoding in _PLAIN else "a multipart that is encoded"


def _values(fields: Headers, name: str) -> list[str]:
    return [_unfolded(field.raw) for field in fields if field.name.lower() == name]


def _word(fields: Headers, name: str) -> str:
    found = _WORD.match((_values(fields, name) or [""])[0])
    return found[1].lower() if found else ""


def _unfolded(field: bytes) -> str:
    """The value of a header field as it stands there, with nothing decoded."""
    value = field.partition(b":")[2]
    return value.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")


def _from_extended(text: str) -> str:
    """``utf-8'en'na%C3%AFve`` as text."""
    charset, quote, rest = text.partition("'")
    octets = (rest.partition("'")[2] if quote else text).encode("utf-8", "surrogateescape")
    return _decoded(unquote_to_bytes(octets), charset if quote else "")


def _decoded(octets: bytes, charset: str) -> str:
    try:
        return octets.decode(codec(charset) or "utf-8", "replace")
    except (LookupError, ValueError):  # not of text, or one that cannot pass over mistakes
        return octets.decode("utf-8", "replace")


def _from_base64(octets: bytes) -> bytes:
    """Decodes what can be read; padding may stand anywhere, and other characters are ignored."""
    runs = octets.translate(None, _NOT_BASE64).split(b"=")
    whole = (run[:-1] if len(run) % 4 == 1 else run for run in runs)
    return b"".join(binascii.a2b_base64(run + b"=" * (-len(run) % 4)) for run in whole)
