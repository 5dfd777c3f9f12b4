"""Draws mail data without any structure: pieces that matter to what finds the end of a message."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from .choice import either

__all__ = ["PIECES", "contents"]

PIECES: Final[tuple[bytes, ...]] = (
    b"x", b"text", b".", b"..", b"\r\n", b"\r\n", b"\r\n.", b"\n", b"\r", b"\n.\n", b"\r.\r", b"\n.\r\n",
    b"\r\n.\n", b"\r\n.\r", b"\r\r\n", b"\r\n\r\n", b"\n\n", b"A: b\r\n", b"\xff\x80",
    b"z" * 1500, b"\x85",
    b"MAIL FROM:<evil@x>\r\n", b"RCPT TO:<v@x>\r\n", b"DATA\r\n", b"QUIT\r\n", b"RSET\r\n", b"\x0b", b" ",
)  # fmt: skip
"""What mail data is made of, with line ends that some server takes for one and others do not."""
_NUL_PIECES: Final[tuple[bytes, ...]] = (
    b"\0",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0\0",
    b".\0",
    b"\r\0\n",
)
_CLEAN_PIECES: Final[tuple[bytes, ...]] = (
    b"x", b"text", b".", b"..", b"\r\n", b"\r\n.", b"\r\n\r\n", b"A: b\r\n", b"\xff\x80", b"z" * 1500, b" ",
)  # fmt: skip


def contents(*, hostile: bool | None = None) -> st.SearchStrategy[bytes]:
    """Octets of messages, not dot-stuffed, that have no structure. Ordinary ones hold dots, long lines and
    octets that are no ASCII, but no bare CR or LF and no NUL; hostile ones may hold these, and commands."""
    pieces = st.sampled_from(PIECES)
    usual = st.lists(st.sampled_from(_CLEAN_PIECES), max_size=8)
    unusual = st.lists(st.one_of(pieces, pieces, pieces, st.sampled_from(_NUL_PIECES)), max_size=8)
    return either(hostile, usual.map(b"".join), unusual.map(b"".join))
