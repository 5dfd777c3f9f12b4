from __future__ import annotations

import re

import attrs
import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from core.readings import END, Read, normal, strict_end, wire_lines
from core.scene import every_cut, few_cuts, strings
from sansio_smtp.config import BareNewline, Nul
from sansio_smtp.wire.content import ContentReader, canonical, decoded_size, unstuff


@pytest.mark.parametrize(
    ("stream", "decoded", "rest"),
    [
        (b".\r\n", b"", b""),
        (b".\r\nQUIT\r\n", b"", b"QUIT\r\n"),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b"...\r\n.\r\n", b"..\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", b""),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
        (b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n"),
        (b"a\r\n. \r\n.\r\n", b"a\r\n \r\n", b""),
        (b"\xff\0\x80\r\n.\r\n", b"\xff\0\x80\r\n", b""),
    ],
)
def test_end_and_transparency(stream: bytes, decoded: bytes, rest: bytes) -> None:
    """RFC 5321 §4.1.1.4 and §4.5.2. The CRLF of the DATA line is the first half of the end."""
    for pieces in every_cut(stream[:14]) if len(stream) <= 14 else few_cuts(stream):
        read = Read(ContentReader(), pieces)
        assert (read.finished, read.decoded, read.rest, read.error) == (True, decoded, rest, "")
        assert read.size == len(decoded)
        assert read.wire + b".\r\n" + read.rest == stream


@each(
    "near_miss",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r\r\n",
        b"\r\n..\r\n",
        b"\r\n. \r\n",
        b"\r\n.\t\r\n",
        b"\r\n.\n\r\n",
        b"\n\r.\r\n",
        b"\r\n.a\r\n",
        b"\n.\n.\n",
        b"\r\n\n.\r\n",
    ],
)
def test_near_misses_do_not_end_here_nor_behind_us(near_miss: bytes) -> None:
    """What some server takes for an end of mail data is no end here, and is gone from what passes on."""
    stream = b"a" + near_miss + b"MAIL FROM:<x>\r\n.\r\n"
    for pieces in few_cuts(stream):
        read = Read(ContentReader(), pieces)
        assert read.finished
        assert read.rest == b""
        assert b"MAIL FROM:<x>" in read.wire
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", read.wire)
        assert strict_end(read.wire) == -1


@each(
    ("segment", "passed", "held"),
    [
        (b"a", b"a", 0),
        (b"a\r", b"a", 1),
        (b"a\n", b"a", 1),
        (b"a\n.", b"a", 2),
        (b"a\n..", b"a\r\n..", 0),
        (b"a\r\n", b"a\r\n", 0),
        (b"a\r\n.", b"a\r\n", 1),
        (b"a\r\n.\r", b"a\r\n", 2),
        (b"a\r\n.\n", b"a\r\n", 2),
        (b"a\r\n.\n.", b"a\r\n", 3),
        (b"a\r\n.\n..", b"a\r\n\r\n..", 0),
        (b"a\r\n..", b"a\r\n..", 0),
        (b"a.", b"a.", 0),
        (b"a\r.", b"a .", 0),
        (b"", b"", 0),
        (b".", b"", 1),
        (b".\r", b"", 2),
        (b"\r\n.", b"\r\n", 1),
    ],
)
def test_what_is_held_back(segment: bytes, passed: bytes, held: int) -> None:
    """What may be the start of the end waits, and no more than that."""
    reader = ContentReader()
    assert reader.feed(segment) == passed
    assert reader.held == held
    assert not reader.finished


@each("wire", [b"", b".", b"..a\r\n", b"a\r\n..", b"a.\r\n.b\r\n..\r\n", b"a\n.b"])
@each("at_line_start", [False, True])
def test_the_decoded_size(wire: bytes, at_line_start: bool) -> None:
    assert decoded_size(wire, at_line_start) == len(unstuff(wire, at_line_start))


def test_a_segment_that_passes_whole_is_not_copied() -> None:
    reader = ContentReader(max_size=10_000)
    for segment in (b"Subject: x\r\n", b"\r\nHello. And", b"more\r\n..dots\r\n", b"x" * 1000, b".."):
        assert reader.feed(segment) is segment
        assert reader.held == 0
    assert reader.size == 1039
    assert reader.feed(b"z\r\n.\r\nQUIT\r\n") == b"z\r\n"
    assert (reader.size, reader.rest) == (1042, b"QUIT\r\n")


def test_every_short_stream_against_the_naive_reading() -> None:
    """What is decoded is what a naive receiver decodes, with its stray line ends normalised."""
    for head in strings(b"a.\r\n", 6):
        for stream in (head, head + END + b"X"):
            read = Read(ContentReader(), [stream])
            expected = wire_lines(stream)
            assert read.finished is (expected is not None)
            assert read.error == ""
            assert strict_end(read.wire) == -1
            assert canonical(read.wire) == read.wire
            if expected is None:
                continue
            found, rest = expected
            assert read.decoded == b"".join(normal(line) + b"\r\n" for line in found)
            assert read.rest == rest
            assert read.size == len(read.decoded)


READERS = [
    ContentReader,
    lambda: ContentReader(max_size=2),
    lambda: ContentReader(BareNewline.REJECT),
    lambda: ContentReader(BareNewline.REJECT, max_size=3),
    lambda: ContentReader(nul=Nul.REFUSE),
    lambda: ContentReader(BareNewline.REJECT, Nul.REFUSE, 4),
]
SOME_READERS = [
    0,
    *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, len(READERS) - 1)),
    len(READERS) - 1,
]
"""Of each value of a setting there is a reader among those that are not slow."""


@pytest.mark.parametrize("number", SOME_READERS)
def test_every_cut_of_short_streams_gives_the_same(number: int) -> None:
    for stream in strings(b".\0\r\n", 5 if number in (0, len(READERS) - 1) else 4):
        whole = Read(READERS[number](), [stream])
        for pieces in every_cut(stream):
            read = Read(READERS[number](), pieces)
            assert read.view() == whole.view(), pieces


@pytest.mark.parametrize("number", SOME_READERS)
def test_every_cut_behind_a_line_gives_the_same(number: int) -> None:
    for tail in strings(b".\0\r\na", 4):
        stream = b"\r\n" + tail + END
        whole = Read(READERS[number](), [stream])
        assert whole.finished
        for pieces in few_cuts(stream):
            assert Read(READERS[number](), pieces).view() == whole.view(), pieces


@pytest.mark.parametrize("stream", [b"ab\ncd", b"ab\rcd", b"ab\r\n.\ncd", b"ab\r\r\ncd", b"ab\n\r\ncd"])
def test_bare_newline_refused(stream: bytes) -> None:
    """RFC 5321 §2.3.8. The refusal names it, what came before it passes, what comes after it does not."""
    offence = re.search(rb"\r(?!\n)|(?<!\r)\n", stream)
    assert offence is not None
    name = "LF" if offence[0] == b"\n" else "CR"
    for pieces in few_cuts(stream + END + b"QUIT\r\n"):
        read = Read(ContentReader(BareNewline.REJECT), pieces)
        assert f"bare {name}" in read.error
        assert read.code == 550
        assert read.wire == stream[: offence.start()]
        assert (read.finished, read.rest) == (True, b"QUIT\r\n")


def test_error_is_set_once() -> None:
    reader = ContentReader(BareNewline.REJECT)
    assert reader.feed(b"a\nb") == b"a"
    first = reader.error
    assert reader.feed(b"c\rd\ne") == b""
    assert reader.error is first
    assert reader.size == 1


def test_reject_lets_clean_content_pass_untouched() -> None:
    for pieces in few_cuts(b"a\r\n..\r\n\r\nb\r\n.\r\n"):
        read = Read(ContentReader(BareNewline.REJECT), pieces)
        assert (read.wire, read.error) == (b"a\r\n..\r\n\r\nb\r\n", "")


def test_evidence_is_cut_out_around_the_offence() -> None:
    reader = ContentReader(BareNewline.REJECT)
    reader.feed(b"x" * 100 + b"\n" + b"y" * 100)
    assert reader.error is not None
    assert reader.error.evidence == b"x" * 16 + b"\n" + b"y" * 15
    reader = ContentReader(BareNewline.REJECT)
    reader.feed(b"x\ny\r\n")  # not with the line end of DATA
    assert reader.error is not None
    assert reader.error.evidence == b"x\ny\r\n"
    reader = ContentReader(nul=Nul.REFUSE)
    reader.feed(b"x" * 100 + b"\0" + b"y" * 100)
    assert reader.error is not None
    assert reader.error.evidence == b"x" * 16 + b"\0" + b"y" * 15


@each("line", [b".\0", b"\0.", b"\0.\0", b"\0\0.\0\0", b".\0\0\0"])
@each("before", [b"", b"a\r\n", b"\0\r\n", b"a\0\r\n"])
def test_a_line_of_one_dot_and_nuls_is_refused(before: bytes, line: bytes) -> None:
    """A receiver that drops NUL reads it as the end of mail data."""
    for pieces in few_cuts(before + line + b"\r\nMAIL FROM:<x>\r\n.\r\n"):
        read = Read(ContentReader(), pieces)
        assert "NUL" in read.error
        assert (read.code, read.finished, read.rest) == (550, True, b"")
        assert b"MAIL" not in read.wire
        assert b"\r\n.\r\n" not in b"\r\n" + read.wire.replace(b"\0", b"")


@each("line", [b"\0", b"a.\0", b".a\0", b"\0..", b"..\0", b". \0", b"\0\0", b"\0.a"])
def test_other_lines_with_nul_pass(line: bytes) -> None:
    stream = line + b"\r\n" + line + b"\r\n"
    for pieces in few_cuts(stream + b".\r\n"):
        read = Read(ContentReader(), pieces)
        assert (read.wire, read.error) == (stream, "")


@each(
    ("stream", "wire"),
    [
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a b"),
        (b"a\n.b", b"a\r\n..b"),
        (b"a\n..b", b"a\r\n..b"),
        (b"a\n...b", b"a\r\n...b"),
        (b"a\n.\n.\nb", b"a\r\n..\r\n..\r\nb"),
        (b"a\n\n..", b"a\r\n\r\n.."),
        (b"a\r\n.\nb", b"a\r\n\r\nb"),
        (b"a\r\n.\n.b", b"a\r\n\r\n..b"),
        (b"a\r\n..\nb", b"a\r\n..\r\nb"),
        (b"a\r\n.\rb", b"a\r\n. b"),
        (b"a\r.b", b"a .b"),
        (b"a\r\r\nb", b"a \r\nb"),
        (b"a\n\r\nb", b"a\r\n\r\nb"),
    ],
)
def test_normalize(stream: bytes, wire: bytes) -> None:
    """No line that a bare LF made begins with a single dot, whether the sender stuffs at LF or not."""
    for pieces in few_cuts(stream + END):
        read = Read(ContentReader(), pieces)
        assert (read.wire, read.error, read.finished) == (wire + b"\r\n", "", True)


def test_nul_dot_line_made_by_a_bare_newline_is_stuffed() -> None:
    for pieces in few_cuts(b"a\n.\0\r\n.\r\n"):
        read = Read(ContentReader(), pieces)
        assert (read.wire, read.error) == (b"a\r\n..\0\r\n", "")


def test_nul_refused() -> None:
    for pieces in few_cuts(b"ab\0c\r\n.\r\nQUIT\r\n"):
        read = Read(ContentReader(nul=Nul.REFUSE), pieces)
        assert (read.wire, read.code, read.enhanced, read.rest) == (b"ab", 550, "5.6.0", b"QUIT\r\n")


def test_a_line_of_many_nuls_is_not_kept() -> None:
    """The line may go on for ever: what is remembered of it is its shape."""
    reader = ContentReader()
    for _ in range(100):
        assert reader.feed(b"\0" * 10) == b"\0" * 10
        assert reader.held == 0
    assert reader._nul_lines.unfinished == b"\r\n\0"
    assert reader.feed(b".\0\r\n") == b".\0"
    assert reader.error is not None


@each("limit", range(1, 14))
@each("stream", [b"ab\r\n..c\r\nd\r\n", b"..\r\n..\r\n..\r\n", b"a\nb\n.c\r\n", b"\r\n\r\n\r\n"])
def test_max_size_counts_decoded_octets(stream: bytes, limit: int) -> None:
    """RFC 1870 §5. A stuffed dot does not count, CRLF counts two and is never torn; all that fits
    passes, wherever it was cut."""
    decoded = Read(ContentReader(), [stream + b".\r\n"]).decoded
    for pieces in few_cuts(stream + b".\r\nQUIT\r\n"):
        read = Read(ContentReader(max_size=limit), pieces)
        assert (read.finished, read.rest) == (True, b"QUIT\r\n")
        if len(decoded) <= limit:
            assert (read.decoded, read.error) == (decoded, "")
        else:
            assert (read.code, read.enhanced) == (552, "5.3.4")
            torn = decoded[limit - 1 : limit + 1] == b"\r\n"
            assert read.decoded == decoded[: limit - torn]


def test_the_first_of_two_errors_is_told() -> None:
    for stream, words in (
        (b"a\0b\n", "NUL"),
        (b"a\nb\0", "bare LF"),
        (b"abcd\0\n", "larger"),
        (b"a\0abc", "NUL"),
    ):
        for pieces in few_cuts(stream + b"c"):
            read = Read(ContentReader(BareNewline.REJECT, Nul.REFUSE, 3), pieces)
            assert words in read.error, pieces


@each(
    ("segments", "taken"),
    [
        ([b"x\r\n", b"y\r\n.\r\n"], [True, True]),
        ([b"x", b".\r\n"], [True, True]),
        ([b"..x"], [False]),
        ([b"x.", b"x"], [False, True]),
        ([b"x\r", b"\nx"], [False, False]),
        ([b"x\r\n.\r\nRSET\r\n"], [False]),
        ([b"x\nx"], [False]),
        ([b"x\r\n..\r\n", b"123456"], [True, False]),
        ([b"\0", b"x"], [False, False]),
    ],
)
def test_segments_that_are_taken_whole(segments: list[bytes], taken: list[bool]) -> None:
    reader = ContentReader(max_size=9)
    for segment, whole in zip(segments, taken, strict=True):
        assert reader.take_whole(segment) is whole
        if not whole:
            reader.feed(segment)


PARTS = (
    b"x",
    b"x\r\n",
    b".",
    b"\r",
    b"\n",
    b"\r\n",
    b".\r\n",
    b"\0",
    b"\r\n..x",
    b"\r\n.\r\n",
    b"x\r\n.\r\n",
)


@given(
    st.sampled_from([(BareNewline.NORMALIZE, None), (BareNewline.REJECT, None), (BareNewline.NORMALIZE, 9)]),
    st.lists(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(b"".join), max_size=5),
)
def test_a_segment_that_is_taken_whole_is_one_that_passes_as_it_came(
    limits: tuple[BareNewline, int | None], segments: list[bytes]
) -> None:
    one, other = (ContentReader(limits[0], max_size=limits[1]) for _ in range(2))
    for segment in segments:
        before = attrs.asdict(one)
        if one.take_whole(segment):
            passed = segment.removesuffix(b".\r\n") if one.finished else segment
            assert other.feed(segment) == passed
        else:
            assert attrs.asdict(one) == before
            assert one.feed(segment) == other.feed(segment)
        assert told(one) == told(other)
        if one.finished:
            return


def told(reader: ContentReader) -> dict[str, object]:
    """All that it knows; of an error its words, and without a context of which nothing is held back."""
    return attrs.asdict(reader) | {"error": str(reader.error)}


@each(
    ("came", "bare_lf", "lf_dot"),
    [
        (b"a\r\nb\r\n", False, False),
        (b"a\rb\r", False, False),
        (b"a\nb", True, False),
        (b"\n", True, False),
        (b"a\n.\n", True, True),
        (b".\n", True, True),
        (b"a\r\n.\n", True, True),
        (b"a\n.\r\n", True, False),
        (b"a\n..\n", True, False),
        (b"a\r\n.\r\nx\n.\n", False, False),  # after the end
    ],
)
def test_lines_that_end_in_lf_are_noted(came: bytes, bare_lf: bool, lf_dot: bool) -> None:
    """In any cut, also if the message is refused for them."""
    for bare_newline in BareNewline:
        for pieces in few_cuts(came):
            reader = ContentReader(bare_newline)
            for piece in pieces:
                if not reader.finished:
                    reader.feed(piece)
            assert (reader.bare_lf, reader.lf_dot) == (bare_lf, lf_dot), pieces
