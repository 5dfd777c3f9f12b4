"""Draws messages, not dot-stuffed: a header section and a body, MIME, and what is neither."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from hypothesis import strategies as st

from .choice import either
from .headers import header_sections
from .hidden import hidden_file, hidden_secret
from .octets import contents

__all__ = ["hidden_files", "hidden_secrets", "messages", "mime_messages"]

_LINES: Final[tuple[bytes, ...]] = (
    b"Hello,", b"", b"this is a text.", b".", b"..dots", b"From here on", "grüße".encode(), b"-- ",
    b"> quoted", b"x" * 200, b"Subject: not a field", b"\ttab", b"QUIT",
)  # fmt: skip
_PARTS: Final[tuple[bytes, ...]] = (
    b"Content-Type: text/plain\r\n\r\nhello\r\n",
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC\r\n",
    b"Content-Type: text/html\r\n\r\n<p>hello</p>\r\n",
    b"Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n",
    b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="report.pdf"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjcK\r\n",
    b"Content-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n\r\nhello\r\n",
    b"\r\nno fields\r\n",
)
_SEEDS: Final = st.integers(0, 2**32)
_KINDS: Final[tuple[bytes, ...]] = (b"mixed", b"alternative", b"related")


def messages(*, hostile: bool | None = None) -> st.SearchStrategy[bytes]:
    """Whole messages. Ordinary ones are a header section with a text, with lines of dots, long lines and
    UTF-8, or a MIME message (`mime_messages`). Hostile ones have a hostile header section, hide things in
    MIME, or are no message at all: empty, without an empty line, any octets (`contents`)."""
    text = st.lists(st.sampled_from(_LINES), max_size=6).map(_lines)
    usual = st.tuples(header_sections(hostile=False), text).map(_message)
    odd_header = st.tuples(header_sections(hostile=True), text).map(_message)
    no_body = header_sections()
    return either(
        hostile,
        st.one_of(usual, mime_messages(hostile=False)),
        st.one_of(odd_header, contents(hostile=True), no_body, mime_messages(hostile=True), st.just(b"")),
    )


def mime_messages(*, hostile: bool | None = None) -> st.SearchStrategy[bytes]:
    """MIME messages. Ordinary ones are multiparts, one in another at most, whose parts are texts, HTML,
    attachments and messages. Hostile ones hide a file or a secret: see `hidden_files`, `hidden_secrets`."""
    return either(hostile, _multiparts(), st.one_of(hidden_files(), hidden_secrets()))


def hidden_files() -> st.SearchStrategy[bytes]:
    """MIME messages with the attachment `FILE`, ``evil.exe``, spelt so that readers of MIME differ: some see
    the file, and some do not."""
    return _SEEDS.map(lambda seed: hidden_file(Random(seed)))


def hidden_secrets() -> st.SearchStrategy[bytes]:
    """MIME messages with `SECRET` in a part, encoded so that readers of MIME differ: some decode it, and some
    do not."""
    return _SEEDS.map(lambda seed: hidden_secret(Random(seed)))


def _multiparts() -> st.SearchStrategy[bytes]:
    kind = st.sampled_from(_KINDS)
    parts = st.lists(st.sampled_from(_PARTS), min_size=1, max_size=4)
    body = st.tuples(kind, parts, st.booleans(), kind).map(lambda drawn: _body(*drawn))
    return st.tuples(header_sections(hostile=False), body).map(b"MIME-Version: 1.0\r\n".join)


def _body(kind: bytes, parts: Sequence[bytes], nested: bool, inner: bytes) -> bytes:
    more = [_multipart(inner, b"inner", [_PARTS[0], _PARTS[2]])] if nested else []
    return _multipart(kind, b"b", [*parts, *more])


def _multipart(kind: bytes, boundary: bytes, parts: Sequence[bytes]) -> bytes:
    head = b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n'
    return head + b"".join(b"--" + boundary + b"\r\n" + part for part in parts) + b"--" + boundary + b"--\r\n"


def _lines(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


def _message(parts: tuple[bytes, bytes]) -> bytes:
    return b"\r\n".join(parts)
