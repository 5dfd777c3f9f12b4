"""Checks that are the same in wire form and in chunks."""

from __future__ import annotations

import pytest
from each import each

from core.scene import every_cut, strings
from sansio_smtp.wire.content_checks import (
    BARE,
    NulLines,
    bare_newline_error,
    is_open,
    nul_error,
    position,
    too_big_error,
)


@pytest.mark.parametrize(
    ("octets", "at"),
    [
        (b"a\r\nb\r\n", None),
        (b"a\nb", 1),
        (b"\n", 0),
        (b"a\rb", 1),
        (b"a\r", 1),
        (b"\r\r\n", 0),
        (b"\r\n\n", 2),
    ],
)
def test_where_the_first_stray_line_end_is(octets: bytes, at: int | None) -> None:
    found = BARE.search(octets)
    assert (found.start() if found else None) == at


def end_of(*pieces: bytes) -> int | None:
    """Where the CRLF of a line of one dot and NULs begins, in a message of these pieces; None if there is
    none."""
    lines, before, at_line_start = NulLines(), 0, True
    for piece in pieces:
        context = b"\r\n" if at_line_start else b""
        if (end := lines.find_end(context + piece, at_line_start)) >= 0:
            return before + end - len(context)
        before += len(piece)
        at_line_start = piece.endswith(b"\n")
    return None


@each(
    ("wire", "at"),
    [
        (b"\0.\r\n", 2),
        (b".\0\r\n", 2),
        (b"a\r\n\0\0.\0\r\nb", 7),
        (b".\r\n", None),  # end-of-data, which is found elsewhere
        (b"\0\r\n", None),
        (b"\0..\r\n", None),
        (b"a\0.\r\n", None),
        (b"\0.\0a\r\n", None),
        (b"\0.\0", None),
    ],
)
def test_a_line_that_is_a_dot_without_its_nuls_in_any_cut(wire: bytes, at: int | None) -> None:
    for pieces in every_cut(wire):
        # A CR is held back by the readers, so no piece ends between CR and LF.
        if not any(piece.endswith(b"\r") for piece in pieces):
            assert end_of(*pieces) == at


def test_a_line_is_open_if_and_only_if_more_octets_may_make_it_one() -> None:
    for rest in strings(b"\0.a", 4):
        lines = NulLines()
        lines.find_end(b"\r\n" + rest, True)
        may_become = all(octet in b"\0." for octet in rest) and rest.count(b".") <= 1
        assert is_open(lines) is may_become
    assert not is_open(None)


def test_what_is_kept_of_a_long_row_of_nuls_is_short() -> None:
    lines = NulLines()
    for _ in range(5):
        lines.find_end(b"\0" * 1000, False)
        assert len(lines.unfinished or b"") <= 1000
    lines.find_end(b"\r\n" + b"\0" * 1000, True)
    for _ in range(5):
        lines.find_end(b"\0" * 1000, False)
        assert lines.unfinished == b"\r\n\0"


def test_the_errors_tell_what_is_wrong_and_show_a_little() -> None:
    piece = b"x" * 100 + b"\n" + b"y" * 100
    bare = bare_newline_error(piece, 100)
    assert (bare.reply_hint.code, bare.args[0]) == (550, "bare LF in mail data")
    assert b"\n" in bare.evidence
    assert len(bare.evidence) == 32
    assert bare_newline_error(b"\r", 0).args[0] == "bare CR in mail data"
    nul = nul_error(b"a\0b", 1)
    assert (nul.reply_hint.code, nul.evidence) == (550, b"a\0b")
    big = too_big_error(42)
    assert (big.reply_hint.code, b"42 octets" in big.reply_hint.raw) == (552, True)


def test_the_first_fault_counts() -> None:
    late, early = (7, nul_error(b"\0", 0)), (3, too_big_error(3))
    assert min(late, early, key=position) is early
