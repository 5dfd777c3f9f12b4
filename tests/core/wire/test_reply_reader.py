from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import pytest
from each import each

from core.scene import every_cut, few_cuts, strings
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


LF = "reply line ended by a bare LF, not CRLF"
CR = "reply holds a bare CR"
NUL = "reply holds a NUL"
NO_CODE = "reply line does not begin with a code from 200 to 599"
NO_SEPARATOR = "reply code followed by neither a space, a hyphen nor CRLF"
OTHER_CODE = "reply code changes within one reply"

WRONG_LINES = [
    (b"\n", LF),
    (b"2\n", LF),
    (b"250\n", LF),
    (b"250-\n", LF),
    (b"250-a\n", LF),
    (b"250 a\n", LF),
    (b"250\r\r", CR),
    (b"250\ra", CR),
    (b"250\r2", CR),
    (b"250 a\rb", CR),
    (b"250-a\r\r", CR),
    (b"250-a\r-", CR),
    (b"\0", NUL),
    (b"25\0", NUL),
    (b"250\0", NUL),
    (b"250 \0", NUL),
    (b"250-a\0", NUL),
    (b"\r", NO_CODE),  # an empty line
    (b" ", NO_CODE),
    (b"-", NO_CODE),
    (b"+", NO_CODE),
    (b"H", NO_CODE),
    (b"0", NO_CODE),
    (b"1", NO_CODE),  # RFC 5321 §4.2.1 has no 1yz
    (b"6", NO_CODE),
    (b"9", NO_CODE),
    ("٢".encode()[:1], NO_CODE),  # a digit, but none of ASCII
    (b"2\r", NO_CODE),
    (b"25\r", NO_CODE),
    (b"2 ", NO_CODE),
    (b"25-", NO_CODE),
    (b"25x", NO_CODE),
    (b"2500", NO_SEPARATOR),
    (b"250x", NO_SEPARATOR),
    (b"250\t", NO_SEPARATOR),
    (b"250_", NO_SEPARATOR),
    (b"250.", NO_SEPARATOR),
]
"""Each up to the first octet that makes it no reply line."""

WRONG_AFTER_A_LINE = [
    (b"3", OTHER_CODE),
    (b"24", OTHER_CODE),
    (b"251", OTHER_CODE),
    (b"259", OTHER_CODE),
]
"""The same for a line of a reply that has begun with 250."""


@each(("wrong", "what"), WRONG_LINES)
def test_the_first_wrong_octet_is_seen_at_once(wrong: bytes, what: str) -> None:
    """No reply can begin like this. What follows, if anything does, changes nothing."""
    for after in (b"", b"\n", b"\r\n", b"250 ok\r\n", b"\0" * 100):
        check_violation(b"", wrong, what, after)


@each(("wrong", "what"), WRONG_LINES + WRONG_AFTER_A_LINE)
def test_the_first_wrong_octet_of_a_later_line(wrong: bytes, what: str) -> None:
    for after in (b"", b"\r\n"):
        check_violation(b"250-first\r\n", wrong, what, after)
        check_violation(b"250-first\r\n250-\r\n", wrong, what, after)


def check_violation(before: bytes, wrong: bytes, what: str, after: bytes) -> None:
    """The reply that comes first is read; then the error is the same, however the octets are cut."""
    for pieces in few_cuts(b"220 hi\r\n" + before + wrong + after):
        reader = ReplyReader(1000)
        replies, error = read_to_violation(reader, pieces)
        assert replies == [Reply(220, b"220 hi\r\n")]
        assert error is not None
        assert error.args == (what,)
        assert error.reply_hint.code == 421
        assert error.evidence == before + wrong
    reader = ReplyReader(1000)
    assert read(reader, [before + wrong[:-1]]) == [], "one octet less is not wrong yet"


def read_to_violation(
    reader: ReplyReader, pieces: Iterable[bytes]
) -> tuple[list[Reply], RemoteProtocolError | None]:
    replies = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
        except RemoteProtocolError as error:
            return replies, error
    return replies, None


def test_it_stays_wrong() -> None:
    reader = ReplyReader(1000)
    for octets in (b"250-a\n", b"", b"250 b\r\n"):
        reader.feed(octets)
        with pytest.raises(RemoteProtocolError, match="bare LF"):
            reader.next_reply()


@each("unfinished", [b"2", b"25", b"250", b"250\r", b"250 ", b"250-", b"250 a\r", b"250-a\r\n"])
def test_an_unfinished_line_is_only_unfinished(unfinished: bytes) -> None:
    for pieces in few_cuts(unfinished):
        reader = ReplyReader(1000)
        assert read(reader, pieces) == []
        assert len(reader) == len(unfinished)


@functools.cache
def could_become_replies(octets: bytes) -> bool:
    """Returns True if some octets make replies of these: the definition, by trying."""
    codes = {octets[i : i + 3] for i in range(len(octets))} | {b"200"}
    ends = [b"", b"\n", *(code[k:] + b"\r\n" for code in codes for k in range(len(code) + 1))]
    ends += [end + code + b"\r\n" for code in codes for end in (b"\n", b"\r\n")]
    return any(are_replies(octets + end) for end in ends)


def are_replies(octets: bytes) -> bool:
    *lines, rest = octets.split(b"\r\n")
    code = b""
    for line in lines:
        if len(line) < 3 or not line[:3].isdigit() or line[0] not in b"2345" or (code and line[:3] != code):
            return False
        if line[3:4] not in (b"", b" ", b"-") or set(line) & set(b"\r\n\0"):
            return False
        code = line[:3] if line[3:4] == b"-" else b""
    return not rest and not code


@pytest.mark.parametrize(
    ("before", "alphabet", "longest"), [(b"", b"20- \r\n", 5), (b"200-\r\n20", b"02- \r\n\0", 4)]
)
def test_a_violation_is_what_no_octets_can_make_right(before: bytes, alphabet: bytes, longest: int) -> None:
    """All strings over a few octets, against the definition, and cut in three ways."""
    for octets in strings(alphabet, longest):
        data = before + octets
        wrong = next((k for k in range(len(data)) if not could_become_replies(data[: k + 1])), None)
        for pieces in ([data], [data[i : i + 1] for i in range(len(data))], [before, octets]):
            _, error = read_to_violation(ReplyReader(1000), pieces)
            assert (error and error.evidence) == (None if wrong is None else evidence_up_to(data, wrong))


def evidence_up_to(data: bytes, wrong: int) -> bytes:
    """From the beginning of the reply that is wrong: the whole ones before it are gone by then."""
    starts = [k for k in range(wrong + 1) if are_replies(data[:k])]
    return data[starts[-1] : wrong + 1]


def test_evidence_ends_with_the_wrong_octet() -> None:
    for pieces in few_cuts(b"250 " + b"a" * 100 + b"\nbcd"):
        _, error = read_to_violation(ReplyReader(1000), pieces)
        assert error is not None
        assert error.evidence == b"a" * 63 + b"\n"


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
        with pytest.raises(RemoteProtocolError, match=f"longer than {len(raw) - 1} octets") as caught:
            read(reader, pieces)
        assert caught.value.evidence == raw[:64]


@pytest.mark.parametrize("endless", [b"250-a\r\n", b"250-", b"250 " + b"x" * 200, b"250-\r\n"])
def test_endless_reply(endless: bytes) -> None:
    """RFC 5321 §4.2.1 sets no limit to the lines of a reply; the reader does: the octet that is too many."""
    data = (endless * 100)[:101]
    for pieces in few_cuts(data):
        reader = ReplyReader(100)
        with pytest.raises(RemoteProtocolError, match="longer than 100 octets"):
            read(reader, pieces)
        assert len(reader) == 101
    assert read(ReplyReader(100), [data[:100]]) == []


@pytest.mark.parametrize("wrong", [b"\n", b"\0", b"\ra", b"\r\nx", b"\r\n251"])
def test_what_comes_first_is_said_of_a_long_reply(wrong: bytes) -> None:
    """An octet that is wrong and one too many: the one that comes first counts, at any cut."""
    for length in range(90, 110):
        data = b"250-" + b"a" * (length - 4) + wrong
        expected = "longer than" if len(data) > 100 else "reply (line|holds|code)"
        for pieces in ([data], [data[i : i + 1] for i in range(len(data))], [data[:100], data[100:]]):
            _, error = read_to_violation(ReplyReader(100), pieces)
            assert error is not None
            assert re.match(f"reply {expected}" if expected == "longer than" else expected, error.args[0])


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


def test_a_reader_takes_every_kind_of_octets() -> None:
    for octets in (b"250 ok\r\n", bytearray(b"250 ok\r\n"), memoryview(b"250 ok\r\n")):
        reader = ReplyReader(100)
        reader.feed(octets)
        assert reader.next_reply() == Reply.of(250, "ok")
    with pytest.raises(TypeError, match="takes bytes, not str"):
        ReplyReader(100).feed("250 ok\r\n")  # type: ignore[arg-type]
