"""Text that is shortened to columns of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.captured.widths import columns_of, shortened


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("Grüße", 5), ("日本", 4), ("e\u0301", 1), ("\uff21", 2)]
)
def test_columns(text: str, columns: int) -> None:
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("ab cdef", 4, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abcdef", 1, "…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
    ],
)
def test_shortened(text: str, columns: int, short: str) -> None:
    assert shortened(text, columns) == short


@given(st.text(st.characters(exclude_categories=("C",)), max_size=40), st.integers(1, 30))
def test_it_fits_and_is_the_beginning(text: str, columns: int) -> None:
    short = shortened(text, columns)
    assert columns_of(short) <= columns
    assert short == text or text.startswith(short.removesuffix("…"))
