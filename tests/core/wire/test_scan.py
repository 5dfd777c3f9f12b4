from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from core.scene import strings
from sansio_smtp.wire import scan as module
from sansio_smtp.wire.scan import BARE, NUL, accelerated, dotted_lines, scan, scan_in_python

END = b"\r\n.\r\n"
SCANS = [scan_in_python, *([scan] if accelerated else [])]


def naive(octets: bytes) -> tuple[int, int, int]:
    end = octets.find(END)
    piece = octets if end < 0 else octets[: end + 2]
    bare = BARE if re.search(rb"\r(?!\n)|(?<!\r)\n", piece) else 0
    return end, len(re.findall(rb"\r\n\.", piece)), bare | (NUL if 0 in piece else 0)


@each(
    ("octets", "found"),
    [
        (b"", (-1, 0, 0)),
        (b"a.b\r\n", (-1, 0, 0)),
        (b".", (-1, 0, 0)),
        (b".\r\n", (-1, 0, 0)),
        (b"\r\n.", (-1, 1, 0)),
        (b"\r\n..\r\n..", (-1, 2, 0)),
        (b"a\r\n.\r\n", (1, 0, 0)),
        (b"a\r\n.\r\nb\n\0\r\n.\r\n", (1, 0, 0)),
        (b"a\r\n..\r\n.\r\n", (5, 1, 0)),
        (b"a\n", (-1, 0, BARE)),
        (b"\n", (-1, 0, BARE)),
        (b"a\r", (-1, 0, BARE)),
        (b"a\n\r", (-1, 0, BARE)),
        (b"a\n.\r\n", (-1, 0, BARE)),
        (b"\0\n\r\n.\r\nb", (2, 0, BARE | NUL)),
        (b"\0", (-1, 0, NUL)),
    ],
)
def test_what_is_found(octets: bytes, found: tuple[int, int, int]) -> None:
    assert naive(octets) == found
    for one in SCANS:
        assert one(octets) == found


def test_every_short_string_wherever_a_block_begins() -> None:
    """The function in C reads blocks of 512 octets."""
    for text in strings(b"\r\n.\0a", 5):
        for octets in (text, b"a" * 510 + text):
            assert all(one(octets) == naive(octets) for one in SCANS), octets


LINES = st.sampled_from([b"\r\n", b"\r\n.", b"\r\n..", END, b"\r", b"\n", b"\n.", b"\0", b"."])
TEXT = st.integers(0, 600).map(lambda count: b"a" * count)
SEGMENTS = st.lists(LINES | st.sampled_from([b"\r\n", b"\r\n.."]) | TEXT, max_size=12).map(b"".join)


@given(SEGMENTS, st.sampled_from([1, 9, 200]))
def test_both_find_what_a_naive_reader_finds(octets: bytes, times: int) -> None:
    for one in SCANS:
        assert one(octets) == naive(octets)
        assert one(octets * times) == naive(octets * times)


ODD = st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b".", b"\n\r", b"\r\n.", b"a"])


@given(st.integers(30, 99), st.integers(0, 99), st.lists(st.tuples(ODD, st.integers(0, 20_000)), max_size=2))
def test_lines_of_one_length(length: int, start: int, odd: list[tuple[bytes, int]]) -> None:
    """As in base64. They get another look, which must see what is odd as well."""
    octets = (b"a" * length + b"\r\n") * (20_000 // length)
    octets = octets[min(start, length + 1) :]
    for one in SCANS:
        assert one(octets) == naive(octets)
    for what, where in odd:
        replaced = octets[:where] + what + octets[where + len(what) :]
        inserted = octets[:where] + what + octets[where:]
        for changed in (replaced, inserted, octets[:where], octets[where:]):
            for one in SCANS:
                assert one(changed) == naive(changed), (what, where)


def test_every_octet_of_lines_of_one_length() -> None:
    octets = (b"a" * 40 + b"\r\n") * 400
    for where in (*range(90), *range(8_000, 8_090), *range(len(octets) - 90, len(octets))):
        for what in (b"\r", b"\n", b"b"):
            changed = octets[:where] + what + octets[where + 1 :]
            assert scan_in_python(changed) == naive(changed), (what, where)


def test_every_dotted_line_is_counted() -> None:
    for count in (1, 127, 128, 129, 255, 256, 257, 10_000):
        for one in SCANS:
            assert one(b"\r\n.." * count) == (-1, count, 0)


def test_dotted_lines() -> None:
    for text in strings(b"\r\n.a", 5):
        if END not in text:
            assert dotted_lines(text) == text.count(b"\r\n.")


class Library(ModuleType):
    """A library that does what one of these did."""

    def __init__(self, scan: object) -> None:
        super().__init__("sansio_smtp.wire._scan")
        self.scan = scan


def test_the_function_in_c_is_used_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(octets: bytes) -> tuple[int, int, int]:
        return scan_in_python(octets)

    library = Library(same)
    monkeypatch.delenv("SANSIO_SMTP_PURE", raising=False)
    monkeypatch.setitem(sys.modules, library.__name__, library)
    assert module._fastest() is same
    monkeypatch.setenv("SANSIO_SMTP_PURE", "1")
    assert module._fastest() is scan_in_python


def test_without_it_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANSIO_SMTP_PURE", raising=False)
    monkeypatch.setitem(sys.modules, "sansio_smtp.wire._scan", None)
    assert module._fastest() is scan_in_python


@pytest.mark.parametrize("index", range(3))
def test_a_library_that_says_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    """As one that was built from other source may."""

    def wrong(octets: bytes) -> tuple[int, ...]:
        found = list(scan_in_python(octets))
        found[index] = 0
        return tuple(found)

    monkeypatch.delenv("SANSIO_SMTP_PURE", raising=False)
    monkeypatch.setitem(sys.modules, "sansio_smtp.wire._scan", Library(wrong))
    assert module._fastest() is scan_in_python
