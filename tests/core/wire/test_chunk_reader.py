"""Mail data in chunks: what passes, what is put right, what is refused, in any cut."""

from __future__ import annotations

from each import each
from hypothesis import given
from hypothesis import strategies as st

from core.scene import few_cuts
from sansio_smtp.config import BareNewline, Nul
from sansio_smtp.wire.chunk_reader import ChunkReader, ChunkWriter
from sansio_smtp.wire.content import ContentReader, ContentWriter, unstuff

PIECES = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b".", b"\0", b"\r\n.", b"xyz\r\n"]), max_size=12
)


def read(reader: ChunkReader | ChunkWriter, *pieces: bytes) -> bytes:
    return b"".join([reader.feed(piece) for piece in pieces]) + reader.finish()


@each(
    ("came", "passed"),
    [
        (b"", b""),
        (b"a\r\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
        (b"a\nb\rc", b"a\r\nb c"),
        (b"\n", b"\r\n"),
        (b"a\r", b"a "),
        (b"\r\r\n", b" \r\n"),
        (b".\n", b".\r\n"),
        (b"a\0b\r\n.\0", b"a\0b\r\n.\0"),
    ],
)
def test_line_ends_are_put_right(came: bytes, passed: bytes) -> None:
    for pieces in few_cuts(came):
        reader = ChunkReader()
        assert read(reader, *pieces) == passed
        assert (reader.size, reader.error, reader.held) == (len(passed), None, 0)
        assert reader.bare_lf == (b"\n" in came.replace(b"\r\n", b""))


@each(
    ("reader", "came", "passed", "code"),
    [
        (lambda: ChunkReader(BareNewline.REJECT), b"a\r\nb\nc\r\n", b"a\r\nb", 550),
        (lambda: ChunkReader(BareNewline.REJECT), b"a\rb\nc", b"a", 550),
        (lambda: ChunkReader(BareNewline.REJECT), b"ab\r", b"ab", 550),
        (lambda: ChunkReader(nul=Nul.REFUSE), b"ab\0c", b"ab", 550),
        (ChunkReader, b"a\r\n\0.\0\r\nb", b"a\r\n\0.\0", 550),
        (ChunkReader, b"\0\0.\r\n", b"\0\0.", 550),
        (ChunkReader, b"a\r\n\0.", b"a\r\n\0.", 550),
        (lambda: ChunkReader(max_size=3), b"abcd", b"abc", 552),
        (lambda: ChunkReader(max_size=3), b"ab\r\nc", b"ab", 552),
        (lambda: ChunkReader(max_size=3, binary=True), b"ab\r\nc", b"ab\r", 552),
        (lambda: ChunkReader(BareNewline.REJECT, max_size=2), b"abc\n", b"ab", 552),
        (lambda: ChunkReader(BareNewline.REJECT, max_size=2), b"a\nb", b"a", 550),
    ],
)
def test_a_message_that_is_refused(reader: type[ChunkReader], came: bytes, passed: bytes, code: int) -> None:
    for pieces in few_cuts(came):
        one = reader()
        assert read(one, *pieces) == passed
        assert one.error is not None
        assert (one.error.reply_hint.code, one.size) == (code, len(passed))
        assert one.feed(b"more") == b""


def test_a_binary_message_keeps_its_octets() -> None:
    came = b"\r\n\0.\0\r\n\n\r.\r"
    for pieces in few_cuts(came):
        assert read(ChunkReader(BareNewline.REJECT, Nul.REFUSE, binary=True), *pieces) == came


def test_where_lines_begin() -> None:
    reader = ChunkReader()
    reader.feed(b"a\r\n")
    assert (reader.at_line_start, reader.ends_line) == (True, True)
    reader.feed(b"b")
    assert (reader.at_line_start, reader.ends_line) == (True, False)
    reader.feed(b"")
    assert (reader.at_line_start, reader.ends_line) == (False, False)


@given(PIECES, st.sampled_from(BareNewline), st.sampled_from(Nul))
def test_the_checks_are_those_of_mail_data_behind_data(
    pieces: list[bytes], bare_newline: BareNewline, nul: Nul
) -> None:
    """What passes in chunks is what would pass after DATA: canonical, and unambiguous when it is stuffed."""
    came = b"".join(pieces)
    reader, whole = ChunkReader(bare_newline, nul), ChunkReader(bare_newline, nul)
    passed = read(reader, *pieces)
    assert read(whole, came) == passed
    assert (whole.error is None) is (reader.error is None)
    if reader.error is None:
        writer, check = ContentWriter(), ContentReader(BareNewline.REJECT, nul)
        wire = writer.feed(passed) + writer.finish()
        assert writer.error is None
        out = check.feed(wire + b".\r\n")
        assert (check.error, check.finished) == (None, True)
        assert unstuff(out, at_line_start=True).removesuffix(b"\r\n") == passed.removesuffix(b"\r\n")


def test_what_a_verdict_supplies() -> None:
    writer = ChunkWriter()
    assert (writer.at_line_start, writer.feed(b"a\nb\r")) == (True, b"a\r\nb")
    assert (writer.at_line_start, writer.size) == (False, 4)
    assert (writer.finish(), writer.error) == (b" ", None)
    binary = ChunkWriter(binary=True)
    assert read(binary, b"\r", b"\n\n") == b"\r\n\n"
    bad = ChunkWriter()
    read(bad, b"\0.\r\n")
    assert bad.error is not None
