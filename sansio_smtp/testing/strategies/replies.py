"""Draws replies of servers, and octets that are no reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from sansio_smtp.wire.replies import Origin, Reply

from .choice import either

__all__ = ["broken_replies", "replies"]

_USUAL: Final[tuple[tuple[int, str], ...]] = (
    (250, "2.0.0"), (250, "2.1.0"), (250, "2.1.5"), (250, ""), (251, "2.1.5"), (252, "2.5.0"), (354, ""),
    (421, "4.3.2"), (450, "4.2.0"), (451, "4.7.1"), (452, "4.2.2"), (500, "5.5.2"), (502, "5.5.1"),
    (503, "5.5.1"), (550, "5.1.1"), (552, "5.2.2"), (554, "5.7.1"), (554, ""),
)  # fmt: skip
_TEXTS: Final[tuple[str, ...]] = (
    "ok",
    "mailbox full",
    "try again later",
    "no such user",
    "queued as 4F2A",
    "see https://mx.example/",
)
_ODD_CODES: Final[tuple[int, ...]] = (200, 211, 299, 300, 355, 399, 400, 421, 499, 555, 599)
_ODD_TEXTS: Final[tuple[bytes, ...]] = (
    b"", b" ", b"250 ok", b"-", b"354 go ahead", b"\xff\xfe", "grüße".encode(), b"x" * 2000, b"\t",
    b"\x1b[2J",
    b"5.7.1 after 250", b"RCPT TO:<bob@mx.example>", b"2.0.0",
)  # fmt: skip
_BROKEN: Final[tuple[bytes, ...]] = (
    b"hello\r\n", b"250 ok\n", b"250 a\rb\r\n", b"250 a\0b\r\n", b"250-a\r\n550 b\r\n", b"250-a\r\nb\r\n",
    b"25 ok\r\n", b"2500 ok\r\n", b"250_ok\r\n", b"600 x\r\n", b"100 x\r\n", b"\r\n", b" 250 ok\r\n", b"\xff",
    b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x01\x00\x02", b"250 " + b"x" * 2_000_000,
    b"250-more\r\n" * 200_000,
)  # fmt: skip


def replies(*, hostile: bool | None = None) -> st.SearchStrategy[Reply]:
    """Replies that keep to RFC 5321. Ordinary ones have codes that servers use, with enhanced codes, in up to
    three lines. Hostile ones are legal too: codes that nobody has seen, no text, texts of 2000 octets, texts
    that look like another reply, a hundred lines."""
    text = st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=3)
    usual = st.tuples(st.sampled_from(_USUAL), text).map(_usual)
    odd_text = st.sampled_from(_ODD_TEXTS)
    lines = st.one_of(st.lists(odd_text, min_size=1, max_size=3), odd_text.map(_hundred))
    unusual = st.tuples(st.sampled_from(_ODD_CODES), lines).map(_unusual)
    return either(hostile, usual, unusual)


def broken_replies() -> st.SearchStrategy[bytes]:
    """Octets of a server that a client must not take for a reply: no code, a bare LF, two codes in one reply,
    NUL, another protocol, a reply that never ends."""
    return st.sampled_from(_BROKEN)


def _usual(parts: tuple[tuple[int, str], Sequence[str]]) -> Reply:
    (code, enhanced), lines = parts
    return Reply.of(code, *lines, enhanced=enhanced, origin=Origin.SERVER)


def _unusual(parts: tuple[int, Sequence[bytes]]) -> Reply:
    code, lines = parts
    return Reply.of(code, *lines, origin=Origin.SERVER)


def _hundred(line: bytes) -> list[bytes]:
    return [line] * 100
