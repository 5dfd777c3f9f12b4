"""Draws command lines."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from sansio_smtp.wire.commands import Command

from .choice import either
from .envelopes import recipients, senders

__all__ = ["ODD_COMMANDS", "commands"]

_PLAIN: Final[tuple[bytes, ...]] = (
    b"EHLO client.example",
    b"HELO client.example",
    b"RSET",
    b"NOOP",
    b"VRFY bob",
    b"HELP",
    b"AUTH PLAIN AGFubgBzZWNyZXQ=",
    b"DATA",
    b"QUIT",
)
ODD_COMMANDS: Final[tuple[bytes, ...]] = (
    b"NOOP", b"noop x", b"VRFY a", b"HELP", b"EXPN list", b"XODD 1 2", b"X", b"HELO h", b"EHLO again",
    b"DATA x y", b"data\t", b" MAIL FROM:<a>", b"MAIL", b"RCPT  TO:<a>", b"NOOP " + b"y" * 3000,
    b"STARTTLS", b"XCLIENT NAME=x", b"", b" ", b"Subject: x", b"\xff\xfe", b"NO\0OP", b"NOOP\rNOOP",
    b"NOOP x\rQUIT", b"NOOP \0x", b".",
    b"BDAT 0 LAST", b"GET / HTTP/1.0", b"BDAT x", b"BDAT -1", b"\x16\x03\x01", b"LHLO x",
    b"MAIL\xa0FROM:<a>",
)  # fmt: skip
"""Lines that few clients send, and lines that are no command."""
_SPOILS: Final[tuple[bytes, ...]] = (b"\n", b"\r", b"\0", b"\xff", b"\t", b"\nQUIT", b" " * 40, b"y" * 3000)


def commands(*, hostile: bool | None = None) -> st.SearchStrategy[bytes]:
    """Lines of a client without CRLF. Ordinary ones are commands of RFC 5321 and AUTH. Hostile ones are out
    of place, too long, of another protocol, or hold CR, LF, NUL and octets that are no text."""
    addressed = st.one_of(senders(hostile=False), recipients(hostile=False)).map(_raw)
    unreadable = st.one_of(senders(hostile=True), recipients(hostile=True)).map(_raw)
    spoilt = st.tuples(addressed, st.sampled_from(_SPOILS), st.integers(0, 60)).map(_spoilt)
    return either(
        hostile,
        st.one_of(st.sampled_from(_PLAIN), addressed),
        st.one_of(st.sampled_from(ODD_COMMANDS), unreadable, spoilt),
    )


def _raw(command: Command) -> bytes:
    return command.raw


def _spoilt(parts: tuple[bytes, bytes, int]) -> bytes:
    """The line with something in it that belongs into no line."""
    line, odd, at = parts
    return line[:at] + odd + line[at:]
