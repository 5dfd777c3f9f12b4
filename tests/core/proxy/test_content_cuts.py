"""Where content is cut, and the content that waits for the end of its part."""

from __future__ import annotations

import pytest

from core.scene import few_cuts, strings
from sansio_smtp.proxy.content_cuts import Pending, close_header_section, fitting, take_lines


def pending(*pieces: bytes, wired: bool = False) -> Pending:
    made = Pending(wired)
    for piece in pieces:
        made.add(piece)
    return made


@pytest.mark.parametrize(
    ("octets", "end"),
    [(b"\r\nbody", 2), (b"A: b\r\n\r\nbody\r\n\r\n", 8), (b"A: b\r\n", -1), (b"A: b\r\n\n", -1), (b"", -1)],
)
def test_the_end_of_a_header_section_in_any_cut(octets: bytes, end: int) -> None:
    for pieces in few_cuts(octets):
        waits = pending()
        found = -1
        for piece in pieces:
            waits.add(piece)
            if found < 0:
                found = waits.header_section_end(whole=False)
        assert found == end
        if end < 0:
            assert waits.header_section_end(whole=True) == len(octets)


def test_the_end_of_lines() -> None:
    waits = pending(b"one\r\ntwo\r\nth")
    assert (waits.line_end(last=False), waits.line_end(last=True)) == (5, 10)
    assert waits.take_asked(10) == b"one\r\ntwo\r\n"
    assert waits.line_end(last=False) == 0
    waits.add(b"ree\n")
    assert waits.line_end(last=True) == 6
    assert waits.take(6) == b"three\n"
    assert not waits.octets


def test_what_is_asked_about_is_decoded_and_known_in_wire_form() -> None:
    waits = pending(b"..a\r\n..b\r\n..", wired=True)
    assert (waits.take_asked(5), waits.asked_wire) == (b".a\r\n", b"..a\r\n")
    waits.put_back(b"..c\r\n")
    assert waits.take(5) == b"..c\r\n"
    waits.decode()
    assert (waits.wired, bytes(waits.octets)) == (False, b".b\r\n.")
    assert (waits.take_asked(4), waits.asked_wire) == (b".b\r\n", b"")
    waits.clear()
    assert waits.take(0) == b""


def test_decoding_looks_at_all_octets_again() -> None:
    """Dots before the place to which it was searched are gone."""
    waits = pending(b"..ab", wired=True)
    assert waits.line_end(last=False) == 0
    waits.decode()
    waits.add(b"\n")
    assert waits.line_end(last=False) == 4


def test_what_fits_does_not_end_within_a_crlf() -> None:
    assert [fitting(b"a\r\nb", count) for count in range(5)] == [b"", b"a", b"a", b"a\r\n", b"a\r\nb"]
    assert fitting(b"a\rb", 2) == b"a\r"


def test_lines_are_taken_from_a_buffer() -> None:
    buffer = bytearray(b"a\r\n12345\r\nrest")
    assert list(take_lines(buffer, 5)) == [b"a\r\n", b"12345", b"\r\n"]
    assert buffer == b"rest"


def test_an_edited_header_section_cannot_run_into_the_body() -> None:
    for original in (b"A: b\r\n\r\n", b"\r\n"):
        for data in strings(b"a\r\n", 4):
            closed = close_header_section(data, original)
            assert closed.startswith(data)
            assert closed == b"\r\n" or closed.endswith(b"\r\n\r\n")
    assert close_header_section(b"A: c", b"A: b\r\n") == b"A: c\r\n"  # there is no body
    assert close_header_section(b"", b"A: b") == b""
