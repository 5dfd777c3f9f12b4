"""Draws header sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from .choice import either

__all__ = ["header_sections"]

_FROM: Final[tuple[bytes, ...]] = (
    b"From: ann@me.example",
    b"From: Ann <ann@me.example>",
    b'From: "Smith, Ann" <ann@me.example>',
)
_SUBJECT: Final[tuple[bytes, ...]] = (
    b"Subject: hi",
    b"Subject:",
    b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=",
    "Subject: grüße".encode(),
    b"Subject: a long subject that\r\n is folded\r\n\tinto three lines",
    b"Subject: " + b"long " * 40,
)
_MORE: Final[tuple[bytes, ...]] = (
    b"To: bob@mx.example",
    b"To: bob@mx.example,\r\n eve@mx.example",
    b"To: undisclosed-recipients:;",
    b"Cc: Eve <eve@mx.example>",
    b"Date: Mon, 2 Nov 2026 09:00:00 +0000",
    b"Message-ID: <1@me.example>",
    b"Received: from me.example ([192.0.2.1])\r\n by mx.example; Mon, 2 Nov 2026 09:00:00 +0000",
    b"X-Mailer: drawn",
    b"List-Id: <list.example>",
    b"Auto-Submitted: auto-replied",
)
_ODD: Final[tuple[bytes, ...]] = (
    b"no field", b": no name", b"Subject : blank before the colon", b" begins with a continuation",
    b"Subject: first\r\nSubject: second", b"From: a@x\r\nfrom: b@x", b"From: a@x, b@y", b"FROM:a@x",
    b"From ann@me.example Mon Nov  2 09:00:00 2026", b">From: a@x", b"Subject: a\nBcc: b@x",
    b"Subject: a\rBcc: b@x", b"Subject: a\0b", b"Subject: \xff\xfe", b"Sub\xe4ject: x",
    b"Subject: a\r\n \r\n b",
    b"X-Long: " + b"x" * 2000, b"X" * 300 + b": y", b"Subject: =?utf-8?b?broken", b"Subject: =?x?q?=ZZ?=",
    b"=?utf-8?q?Subject?=: x", b"\t", b"--b", b".", b"Content-Type: text/plain\r\nContent-Type: text/html",
    b"To: " + b"x@y.example,\r\n " * 60 + b"z@y.example", b"DKIM-Signature: v=1; b=", b"Resent-From: c@x",
)  # fmt: skip


def header_sections(*, hostile: bool | None = None) -> st.SearchStrategy[bytes]:
    """Header sections without the empty line after them; lines end in CRLF. Ordinary ones have From and
    Subject and up to five other fields, folded, encoded or in UTF-8. Hostile ones hold junk: lines that are
    no field, fields twice, bare CR and LF, NUL, lines that are too long, broken encodings."""
    some = st.lists(st.sampled_from(_MORE), max_size=5)
    usual = st.tuples(st.sampled_from(_FROM), st.sampled_from(_SUBJECT), some).map(_fields)
    places = st.tuples(st.integers(0, 7), st.sampled_from(_ODD))
    unusual = st.tuples(usual, st.lists(places, min_size=1, max_size=4)).map(_with_odd_lines)
    return either(hostile, usual, unusual).map(_section)


def _fields(parts: tuple[bytes, bytes, Sequence[bytes]]) -> list[bytes]:
    author, subject, more = parts
    return [author, subject, *more]


def _with_odd_lines(parts: tuple[Sequence[bytes], Sequence[tuple[int, bytes]]]) -> list[bytes]:
    fields = [*parts[0]]
    for place, line in parts[1]:
        fields.insert(place, line)
    return fields


def _section(fields: Sequence[bytes]) -> bytes:
    return b"".join(field + b"\r\n" for field in fields)
