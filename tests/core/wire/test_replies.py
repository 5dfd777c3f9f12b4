from __future__ import annotations

from collections.abc import Iterable

import pytest

from core.scene import every_cut, few_cuts
from sansio_smtp.errors import LocalProtocolError, RemoteProtocolError
from sansio_smtp.wire.replies import Reply, ReplyReader


@pytest.mark.parametrize(
    ("reply", "raw"),
    [
        (Reply.of(250), b"250\r\n"),
        (Reply.of(250, ""), b"250\r\n"),
        (Reply.of(250, "ok"), b"250 ok\r\n"),
        (Reply.of(250, b"\xff"), b"250 \xff\r\n"),
        (Reply.of(250, "grüß"), "250 grüß\r\n".encode()),
        (Reply.of(250, "a", "", "b"), b"250-a\r\n250-\r\n250 b\r\n"),
        (Reply.of(250, "a", ""), b"250-a\r\n250\r\n"),
        (Reply.of(550, "no", "never", enhanced="5.7.1"), b"550-5.7.1 no\r\n550 5.7.1 never\r\n"),
        (Reply.of(200, "x"), b"200 x\r\n"),
        (Reply.of(599, "x"), b"599 x\r\n"),
    ],
)
def test_of(reply: Reply, raw: bytes) -> None:
    """RFC 5321 §4.2.1: code, hyphen on all lines but the last; and what is made can be read."""
    assert reply.raw == raw
    reader = ReplyReader(1000)
    reader.feed(raw)
    assert reader.next_reply() == reply


@pytest.mark.parametrize("code", [-1, 0, 100, 199, 600, 2500])
def test_of_refuses_a_code_that_is_none(code: int) -> None:
    with pytest.raises(LocalProtocolError):
        Reply.of(code, "x")


@pytest.mark.parametrize("line", ["a\r\n250 b", "a\n", "a\r", "a\0", b"\r\n354 go"])
def test_of_refuses_a_line_that_is_two(line: str | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Reply.of(250, "fine", line)
    with pytest.raises(LocalProtocolError):
        Reply.of(250, "fine", enhanced="2.0.0\n")


@pytest.mark.parametrize(("code", "severity"), [(200, 2), (299, 2), (354, 3), (421, 4), (599, 5)])
def test_severity(code: int, severity: int) -> None:
    assert Reply.of(code).severity == severity


def test_lines() -> None:
    assert Reply.of(250, "mx greets", "SIZE 10", "").lines == [b"mx greets", b"SIZE 10", b""]
    assert Reply.of(250, "a", "b").lines == [b"a", b"b"]


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [
        ("5.7.1 no", "5.7.1"),
        ("5.7.1", "5.7.1"),
        ("2.123.999 x", "2.123.999"),
        ("5.7.1x", None),
        ("3.7.1 x", None),
        ("5.7 x", None),
        ("5.1234.1 x", None),
        (" 5.7.1 x", None),
        ("", None),
    ],
)
def test_enhanced(text: str, enhanced: str | None) -> None:
    """RFC 3463 §2: class.subject.detail, up to three digits each."""
    assert Reply.of(550, text).enhanced == enhanced


def test_equality_is_that_of_octets() -> None:
    assert Reply.of(250, "a") == Reply(250, b"250 a\r\n")
    assert hash(Reply.of(250, "a")) == hash(Reply(250, b"250 a\r\n"))
    assert Reply.of(250, "a") != Reply.of(250, "b")
    assert Reply.of(250, "a") != b"250 a\r\n"


def test_str() -> None:
    assert str(Reply.of(250, "a", b"\xff")) == "250-a / 250 \\xff"


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
