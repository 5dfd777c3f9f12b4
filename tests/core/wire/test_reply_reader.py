from __future__ import annotations

from collections.abc import Iterable

import pytest

from core.scene import every_cut, few_cuts
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader
from sansio_smtp.wire.violations import RemoteProtocolError

TWO = b"250-a\r\n250\r\n354 b\r\n"


def test_any_cut_gives_the_same_replies() -> None:
    for pieces in every_cut(b"220 a\r\n250\r\n"):
        check_two(pieces, [Reply(220, b"220 a\r\n"), Reply(250, b"250\r\n")])
    for pieces in few_cuts(TWO):
        check_two(pieces, [Reply(250, b"250-a\r\n250\r\n"), Reply(354, b"354 b\r\n")])


def read(reader: ReplyReader, pieces: Iterable[bytes]) -> list[Reply]:
    """The replies in some segments, each segment read as far as it goes."""
    replies = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


def check_two(pieces: list[bytes], expected: list[Reply]) -> None:
    reader = ReplyReader(20)
    replies = read(reader, pieces)
    assert replies == expected
    assert [reply.code for reply in replies] == [reply.code for reply in expected]
    assert len(reader) == 0


def test_octets_are_kept_as_they_came() -> None:
    raw = b"250-\xff \t\r\n250-\r\n250 \r\n"
    reader = ReplyReader(100)
    reader.feed(memoryview(raw))
    reply = reader.next_reply()
    assert reply is not None
    assert reply.raw == raw


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"2",
        b"25",
        b"25x ok",
        b"2500",
        b"250x",
        b"250\tok",
        b"250_",
        b" 250 ok",
        b"150 early",
        b"050 x",
        b"650 x",
        b"-50 x",
        b"+50 x",
        b"250 a\rb",
        b"250 a\nb",
        b"250 a\r",
        b"250 ok\n354 go",
        b"250 a\0b",
        b"250\0",
        "٢٥٠ ok".encode(),
        b"hello",
        b"HTTP/1.1 400 Bad Request",
    ],
)
@pytest.mark.parametrize("before", [b"", b"250-first\r\n"])
def test_malformed_line(before: bytes, line: bytes) -> None:
    """A reply that a lenient client could read as two, or not at all, is the server's violation."""
    for pieces in few_cuts(before + line + b"\r\n"):
        reader = ReplyReader(1000)
        with pytest.raises(RemoteProtocolError, match="malformed") as caught:
            read(reader, pieces)
        assert caught.value.reply_hint.code == 421
        assert caught.value.evidence == line


def test_code_changes_within_one_reply() -> None:
    reader = ReplyReader(1000)
    reader.feed(b"250-a\r\n354 go\r\n")
    with pytest.raises(RemoteProtocolError, match="changes"):
        reader.next_reply()


def test_code_may_change_from_reply_to_reply() -> None:
    reader = ReplyReader(1000)
    reader.feed(b"250-a\r\n250 b\r\n354 go\r\n")
    assert [getattr(reader.next_reply(), "code", None) for _ in range(3)] == [250, 354, None]


@pytest.mark.parametrize(
    "raw", [b"250 " + b"a" * 14 + b"\r\n", b"250-aaa\r\n250 aaaaa\r\n", b"250-aa\r\n250-aa\r\n250\r\n"]
)
def test_limit_counts_all_lines_and_line_ends(raw: bytes) -> None:
    for pieces in few_cuts(raw):
        reader = ReplyReader(len(raw))
        for piece in pieces:
            assert reader.next_reply() is None
            reader.feed(piece)
        assert reader.next_reply() == Reply(250, raw)
    for pieces in few_cuts(raw):
        reader = ReplyReader(len(raw) - 1)
        with pytest.raises(RemoteProtocolError, match="longer than") as caught:
            read(reader, pieces)
        assert len(caught.value.evidence) <= 64


def test_endless_reply() -> None:
    """RFC 5321 §4.2.1 sets no limit to the lines of a reply; the reader does, whatever is sent."""
    for endless in (b"250-a\r\n", b"x"):
        reader = ReplyReader(100)
        with pytest.raises(RemoteProtocolError):
            read(reader, [endless] * 102)


def test_limit_is_for_one_reply_not_for_many() -> None:
    reader = ReplyReader(10)
    reader.feed(b"250 ok\r\n" * 20)
    for _ in range(20):
        assert reader.next_reply() == Reply(250, b"250 ok\r\n")
    assert reader.next_reply() is None


def test_len_counts_what_is_kept() -> None:
    reader = ReplyReader(100)
    assert (len(reader), reader.empty) == (0, True)
    reader.feed(b"")
    assert reader.empty
    reader.feed(b"250 ok\r\n250-a\r\n25")
    assert (len(reader), reader.empty) == (17, False)
    reader.next_reply()
    assert (len(reader), reader.empty) == (9, False)
    assert reader.next_reply() is None
    assert (len(reader), reader.empty) == (9, False)
    reader.feed(b"0 b\r\n250 c\r\n")
    assert reader.next_reply() is not None
    assert (len(reader), reader.empty) == (7, False)
    assert reader.next_reply() is not None
    assert (len(reader), reader.empty) == (0, True)
    reader.feed(b"250-a\r\n250 b\r\n")
    assert reader.next_reply() is not None
    assert reader.empty
