"""Content that a caller sends in pieces: what would end the message too early, or not at all, is refused."""

from __future__ import annotations

import pytest

from sansio_smtp.ends.sent_content import SentContent
from sansio_smtp.errors import LocalProtocolError


def sent(*pieces: bytes) -> SentContent:
    content = SentContent()
    for piece in pieces:
        content.add(piece)
    return content


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"",),
        (b"a\r\n",),
        (b"a\r", b"\nb", b"\r\n"),
        (b"..\r\n", b".x\r\n"),
        (b"\r\n.", b".\r\n"),
        (b"\0\r\n",),
    ],
)
def test_what_may_be_sent(pieces: tuple[bytes, ...]) -> None:
    sent(*pieces).check_end()


@pytest.mark.parametrize(
    "pieces", [(b"a",), (b"a\r\n", b"b"), (b"a\r",), (b"a\n",), (b"a\r\n.",), (b"a\r\n", b"\0.")]
)
def test_an_end_that_no_server_would_see(pieces: tuple[bytes, ...]) -> None:
    content = sent(*pieces)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="does not end in CRLF, so the server would not see"):
            content.check_end()


@pytest.mark.parametrize(
    ("before", "piece", "text"),
    [
        (b"", b".\r\n", "a line of one dot"),
        (b"a\r\n", b".\r\nMAIL FROM:<x@y>\r\n", "a line of one dot"),
        (b"a\r\n.\r", b"\n", "a line of one dot"),
        (b"a", b"\nb\r\n", "bare LF"),
        (b"a\r", b"b\r\n", "bare CR"),
        (b"\r\n\0", b".\r\n", "NUL"),
    ],
)
def test_content_that_would_end_the_message(before: bytes, piece: bytes, text: str) -> None:
    content = sent(before)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=f"{text}.*; send_message takes a whole message"):
            content.add(piece)


def test_what_was_refused_is_not_added() -> None:
    content = sent(b"a\r\n")
    with pytest.raises(LocalProtocolError):
        content.add(b".\r\n")
    content.add(b"b\r\n")
    content.check_end()
