from __future__ import annotations

import pytest
from each import each

from core.readings import Read, wire_lines
from core.scene import every_cut, strings
from sansio_smtp.config import BareNewline
from sansio_smtp.wire.content import ContentReader, ContentWriter, canonical, unstuff, wire_prefix


def test_writer_gives_what_a_naive_receiver_decodes() -> None:
    for decoded in strings(b"a.\r\n", 5):
        whole = None
        for pieces in every_cut(decoded):
            writer = ContentWriter()
            wire = b"".join(map(writer.feed, pieces)) + writer.finish()
            whole = whole or wire
            assert wire == whole, pieces
            expected = canonical(decoded)
            if expected and not expected.endswith(b"\r\n"):
                expected += b"\r\n"
            assert wire_lines(wire + b".\r\nX") == (expected.split(b"\r\n")[:-1], b"X")
            assert writer.size == len(expected)
            assert Read(ContentReader(BareNewline.REJECT), [wire + b".\r\n"]).decoded == expected


def test_writer_may_begin_anew_behind_finish() -> None:
    writer = ContentWriter()
    assert writer.feed(b"a\r") + writer.finish() == b"a \r\n"
    assert writer.feed(b".b") + writer.finish() == b"..b\r\n"
    assert writer.finish() == b""


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        (b"", b""),
        (b"a\r\nb", b"a\r\nb"),
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a b"),
        (b"a\r\r\n", b"a \r\n"),
        (b"\n\r", b"\r\n "),
        (b"\r\n\n", b"\r\n\r\n"),
    ],
)
def test_canonical(decoded: bytes, expected: bytes) -> None:
    assert canonical(decoded) == expected
    assert canonical(expected) == expected


def test_clean_octets_are_not_copied() -> None:
    clean = b"a\r\nb" * 10
    assert canonical(clean) is clean


@pytest.mark.parametrize(
    ("wire", "at_line_start", "decoded"),
    [
        (b"..a\r\n..b", True, b".a\r\n.b"),
        (b"..a\r\n..b", False, b"..a\r\n.b"),
        (b".", True, b""),
        (b"", True, b""),
        (b"a.\r\n", True, b"a.\r\n"),
    ],
)
def test_unstuff(wire: bytes, at_line_start: bool, decoded: bytes) -> None:
    assert unstuff(wire, at_line_start) == decoded


@each(
    ("wire", "at_line_start", "count", "prefix"),
    [
        (b"abc", True, 2, b"ab"),
        (b"abc", False, 0, b""),
        (b"abc", True, 3, b"abc"),
        (b"..a\r\n..b", True, 2, b"..a"),
        (b"..a\r\n..b", False, 2, b".."),
        (b"a\r\n..b", True, 2, b"a"),  # a CRLF is not parted
        (b"a\r\n..b", True, 3, b"a\r\n."),
        (b"a\r\n..b", True, 4, b"a\r\n.."),
        (b"a\r\n..b\r\n..c", True, 8, b"a\r\n..b\r\n.."),
    ],
)
def test_wire_prefix(wire: bytes, at_line_start: bool, count: int, prefix: bytes) -> None:
    assert (
        unstuff(prefix, at_line_start) == unstuff(wire, at_line_start)[: len(unstuff(prefix, at_line_start))]
    )
    assert wire_prefix(wire, at_line_start, count) == prefix


@pytest.mark.parametrize("line", [b"\0.", b"\0\0.", b"\0.\0\0"])
def test_a_line_of_a_dot_behind_nuls_does_not_end(line: bytes) -> None:
    """Who drops NUL would read it as end-of-data; stuffing the dot would change the message."""
    for pieces in every_cut(b"a\r\n" + line + b"\r\n"):
        writer = ContentWriter()
        wire = b"".join(writer.feed(piece) for piece in pieces if writer.error is None)
        assert wire == b"a\r\n" + line, pieces
        assert writer.error is not None
        assert writer.error.reply_hint.code == 550


def test_nuls_elsewhere_pass() -> None:
    writer = ContentWriter()
    data = b"\0\r\n\0x.\r\n.\0\r\nx\0"
    assert writer.feed(data) == b"\0\r\n\0x.\r\n..\0\r\nx\0"
    assert writer.error is None


def test_what_passed_in_wire_form_counts() -> None:
    writer = ContentWriter()
    writer.feed(b"a\r\n")
    writer.count(10)
    assert writer.size == 13


@pytest.mark.parametrize("line", [b"\0.", b"\0\0.", b"\0.\0"])
def test_the_line_end_that_is_added_makes_no_line_of_a_dot_behind_nuls(line: bytes) -> None:
    """It is withheld, and the message is not ended."""
    writer = ContentWriter()
    assert writer.feed(b"a\r\n" + line) == b"a\r\n" + line
    assert writer.finish() == b""
    assert writer.error is not None


def test_a_writer_takes_every_kind_of_octets() -> None:
    for octets in (b".a\r\n", bytearray(b".a\r\n"), memoryview(b".a\r\n")):
        assert ContentWriter().feed(octets) == b"..a\r\n"
    with pytest.raises(TypeError, match="takes bytes, not str; encode the text first"):
        ContentWriter().feed("text")  # type: ignore[arg-type]
