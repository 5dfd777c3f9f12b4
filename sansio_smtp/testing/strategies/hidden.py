"""Draws messages in which a file or a secret hides in a spelling that readers of MIME differ in.

Each is made of ordinary parts, in which some pieces are replaced by unusual ones: of the fields, of the
structure, or of the encoding. `hidden_file` and `hidden_secret` need a `random.Random` only, so that a test
can draw thousands by their seeds, and hypothesis can draw one by ``st.randoms()``.
"""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from . import hidden_pieces as pieces

__all__ = ["DRAWN", "FILE", "ORDINARY", "SECRET", "hidden_file", "hidden_secret"]

FILE: Final = "evil.exe"
SECRET: Final = b"AKIAIOSFODNN7EXAMPLE"
HEAD: Final = "From: ann@example.com\r\nTo: bob@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
ORDINARY: Final = (
    HEAD
    + 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"
    + 'Content-Type: application/octet-stream; name="evil.exe"\r\n'
    + 'Content-Disposition: attachment; filename="evil.exe"\r\n'
    + f"Content-Transfer-Encoding: base64\r\n\r\n{base64.b64encode(SECRET).decode()}\r\n--b--\r\n"
).encode()
"""A message with the file, which holds the secret, as programs write it."""

T = TypeVar("T")


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _words() -> dict[str, str]:
    whole = _b64(FILE.encode())
    return {
        "b": whole,
        "c": whole.rstrip("="),
        "q": FILE.replace(".", "=2E"),
        "h": _b64(b"evil."),
        "t": _b64(b"exe"),
        "s": whole[:5] + " " + whole[5:],
        "w": _b64(FILE.encode("utf-16")),
    }


def _value(draw: Random) -> str:
    if draw.random() < 0.35:
        word = draw.choice(pieces.WORDS).format(**_words())
        return draw.choice(('"{}"', '"{}"', "{}", '"a {}"', '"{}')).format(word)
    return draw.choice(pieces.VALUES).format(
        long="x" * draw.choice((60, 250, 1_100)), blanks=" " * draw.choice((3, 300))
    )


def _odd(draw: Random, chance: float, ordinary: T, others: Sequence[T]) -> T:
    return draw.choice(others) if draw.random() < chance else ordinary


def _file_field(draw: Random, odd: float) -> str:
    """A field with the name in it."""
    name = _odd(draw, odd / 2, draw.choice(pieces.FIELD_NAMES[:2]), pieces.FIELD_NAMES)
    typed = "isposition" not in name
    value = (
        draw.choice(pieces.TYPES)
        if typed
        else draw.choice(("attachment", "inline", "attachment", "form-data"))
    )
    value = _odd(draw, odd / 3, value, pieces.ODD_VALUES)
    parameter = "name" if typed else "filename"
    if draw.random() < 0.2:
        parameter = "filename" if typed else "name"
    found = (
        _odd(draw, odd, parameter, pieces.NAMES)
        + _odd(draw, odd, "=", pieces.EQUALS)
        + _odd(draw, odd * 2, '"evil.exe"', (_value(draw),))
    )
    written = [found + _odd(draw, odd, "", pieces.TAILS)]
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        written.insert(draw.randint(0, len(written)), draw.choice(pieces.OTHERS))
    text = value
    for piece in written:
        text += _odd(draw, odd, "; ", pieces.SEPARATORS) + piece
    return name + _odd(draw, odd / 3, ": ", pieces.COLONS) + text


def _noise(draw: Random, text: str, times: int) -> str:
    """The text with some characters added, dropped, doubled or changed."""
    for _ in range(times):
        at = draw.randint(0, len(text))
        what = draw.randint(0, 3)
        odd = draw.choice(pieces.NOISE)
        if what == 0:
            text = text[:at] + odd + text[at:]
        elif what == 1:
            text = text[:at] + text[at + 1 :]
        elif what == 2:
            text = text[:at] + text[at : at + 1] * 2 + text[at + 1 :]
        else:
            text = text[:at] + odd + text[at + 1 :]
    return text


def _multipart(draw: Random, root: str, part: str, odd: float) -> str:
    """A multipart with a text and this part."""
    kind = _odd(draw, odd, "multipart/mixed", pieces.ROOTS)
    boundary = _odd(draw, odd, draw.choice(pieces.BOUNDARIES[:2]), pieces.BOUNDARIES)
    colon = _odd(draw, odd / 3, ": ", pieces.COLONS)
    field = f"Content-Type{colon}{kind}{_odd(draw, odd / 2, '; ', pieces.SEPARATORS)}{boundary}"
    if draw.random() < odd / 2:
        other = draw.choice((*pieces.SECOND_FIELDS, *pieces.ODD_LINES))
        field = f"{other}\r\n{field}" if draw.random() < 0.5 else f"{field}\r\n{other}"
    first = _odd(draw, odd, "--b", pieces.DELIMITERS)
    second = _odd(draw, odd, "--b", pieces.DELIMITERS)
    close = _odd(draw, odd / 2, "--b--", pieces.CLOSES)
    text = _odd(draw, odd / 3, "\r\nhello\r\n", pieces.FIRST_PARTS)
    end = _odd(draw, odd / 3, "\r\n\r\n", pieces.HEAD_ENDS)
    preamble = _odd(draw, odd / 3, "", pieces.PREAMBLES)
    body = f"{preamble}{first}\r\n{text}{second}\r\n{part}\r\n{close}\r\n"
    if draw.random() < odd / 8:
        encoding = draw.choice(("base64", "quoted-printable"))
        field, body = f"{field}\r\nContent-Transfer-Encoding: {encoding}", _encoded(body, encoding)
    return f"{root}{field}{end}{body}".replace("{long}", "c" * draw.choice((80, 200, 1_100)))


def _encoded(text: str, encoding: str) -> str:
    octets = text.encode("utf-8", "replace")
    if encoding == "base64":
        return base64.encodebytes(octets).decode().replace("\n", "\r\n")
    return quopri.encodestring(octets).decode() if encoding == "quoted-printable" else text


def _renamed(text: str) -> str:
    """A multipart inside another has a boundary of its own."""
    return text.replace("--b", "--i").replace("boundary=b", "boundary=i").replace('"b"', '"i"')


def _wrapped(draw: Random, part: str, odd: float) -> bytes:
    """The part in a message; sometimes in more around it."""
    what = draw.random()
    if what < 0.15:
        text = HEAD + part
    elif what < 0.8:
        text = _multipart(draw, HEAD, part, odd)
    elif what < 0.9:
        text = _multipart(draw, HEAD, _renamed(_multipart(draw, "", part, odd)), odd / 2)
    else:
        inner = _renamed(_multipart(draw, "Subject: y\r\n", part, odd / 2))
        kind = _odd(draw, odd, "message/rfc822", pieces.MESSAGE_TYPES)
        field = ""
        if draw.random() < 0.3:
            encoding = draw.choice(("base64", "quoted-printable", "7bit", "x"))
            field = f"Content-Transfer-Encoding: {encoding}\r\n"
            inner = _encoded(inner, _odd(draw, odd, encoding, ("7bit",)))
        end = _odd(draw, odd, "\r\n", ("\r\n\r\n", ""))
        text = _multipart(draw, HEAD, f"Content-Type: {kind}\r\n{field}{end}{inner}", odd / 3)
    if draw.random() < odd / 2:
        text = _noise(draw, text, 1)
    return text.encode("utf-8", "surrogateescape")


def hidden_file(draw: Random) -> bytes:
    """A message in which some reader may see the file."""
    odd = draw.choice((0.08, 0.2, 0.4))
    plain = draw.randint(0, 3)  # sometimes only the structure is odd, or only the field
    field = _file_field(draw, 0 if plain == 1 else odd)
    if draw.random() < odd:
        field = _noise(draw, field, draw.choice((1, 1, 2, 3)))
    fields = [field]
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        other = draw.choice((*pieces.ODD_LINES, *pieces.SECOND_FIELDS, _file_field(draw, odd)))
        fields.insert(draw.randint(0, len(fields)), other)
    body = "MZ"
    if draw.random() < 0.1:
        fields, body = [draw.choice(pieces.UU_FIELDS)], draw.choice(pieces.UUENCODED_FILES)
    return _wrapped(draw, "\r\n".join(fields) + "\r\n\r\n" + body, odd if plain else 0)


def _in_base64(draw: Random) -> str:
    text = b" " * draw.randint(0, 5) + b"my " + SECRET + b" x" * draw.randint(0, 6)
    coded = _b64(text)
    at = draw.randint(0, len(coded))
    spellings: tuple[Callable[[], str], ...] = (
        lambda: coded[:at] + draw.choice(pieces.INSERTED) + coded[at:],
        lambda: draw.choice(pieces.PREFIXED) + coded,
        lambda: coded + draw.choice(pieces.APPENDED),
        lambda: "\r\n".join(coded[i : i + 4] for i in range(0, len(coded), 4)),
        lambda: coded.rstrip("="),
        lambda: "\r\n".join(_b64(text[i : i + 5]) for i in range(0, len(text), 5)),
        lambda: coded.replace("A", "A\r\n", 1),
        lambda: f"\r\n {coded}\r\n",
        lambda: base64.encodebytes(text).decode().replace("\n", "\r\n").rstrip(),
    )
    return draw.choice(spellings)()


def _in_quoted_printable(draw: Random) -> str:
    secret = SECRET.decode()
    at = draw.randint(1, len(secret) - 2)
    letter = secret[at]
    return "my " + draw.choice(pieces.BREAKS).format(
        a=secret[:at], b=secret[at:], c=secret[at + 1 :], letter=letter, hex=f"{ord(letter):02X}"
    )


def _in_uuencode(draw: Random) -> str:
    lines = binascii.b2a_uu(b"my " + SECRET).decode().rstrip("\n")
    return f"{draw.choice(pieces.UU_BEGINS)}\r\n{lines}\r\n{draw.choice(pieces.UU_ENDS)}"


def hidden_secret(draw: Random) -> bytes:
    """A message in which some reader may decode the secret."""
    odd = draw.choice((0.05, 0.2, 0.4))
    what = draw.random()
    if what < 0.6:
        encoding, body = _odd(draw, odd, "base64", pieces.ENCODINGS), _in_base64(draw)
    elif what < 0.85:
        encoding, body = draw.choice(pieces.QUOTED_ENCODINGS), _in_quoted_printable(draw)
    else:
        encoding, body = draw.choice(pieces.UU_ENCODINGS), _in_uuencode(draw)
    field = f"Content-Transfer-Encoding{_odd(draw, odd / 3, ': ', pieces.COLONS)}{encoding}"
    if draw.random() < odd / 2:
        field = _noise(draw, field, 1)
    fields = [field]
    fields.insert(draw.randint(0, 1), f"Content-Type: {draw.choice(pieces.SECRET_TYPES)}")
    if draw.random() < 0.25:
        fields.insert(draw.randint(0, len(fields)), draw.choice(pieces.ODD_LINES))
    end = _odd(draw, odd / 3, "\r\n\r\n", pieces.HEAD_ENDS)
    return _wrapped(draw, "\r\n".join(fields) + end + body, _odd(draw, 0.5, 0.0, (odd,)))


DRAWN: Final[dict[str, Callable[[Random], bytes]]] = {"file": hidden_file, "secret": hidden_secret}
