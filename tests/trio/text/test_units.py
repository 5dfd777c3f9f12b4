"""Sizes and durations as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.text.units import parse_duration, parse_size, rounded_size, size_text


@each(
    ("written", "octets"),
    [
        (1, 1), (25_000_000, 25_000_000), ("7", 7), ("25M", 25_000_000), ("25m", 25_000_000),
        ("25MB", 25_000_000), (" 25 MB ", 25_000_000), ("3K", 3000), ("2G", 2 * 10**9), ("24MiB", 24 * 2**20),
        ("1Ki", 1024), ("1GiB", 2**30), ("12B", 12), (2**63 - 1, 2**63 - 1),
    ],
)  # fmt: skip
def test_sizes(written: Any, octets: int) -> None:
    assert parse_size(written) == octets


@pytest.mark.parametrize(
    ("octets", "text"),
    [(32 * 2**20, "32MiB"), (25_000_000, "25MB"), (1, "1"), (1001, "1001"), (2**30, "1GiB"), (1500, "1500")],
)
def test_sizes_for_people(octets: int, text: str) -> None:
    assert size_text(octets) == text


@each(
    ("octets", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2149, "2.1 kB"), (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5_000_000, "5.0 MB"), (10**9, "1.0 GB"), (10**13, "10000.0 GB"),
    ],
)  # fmt: skip
def test_rounded_sizes(octets: int, text: str) -> None:
    assert rounded_size(octets) == text


@given(st.integers(1, 10**18 - 1) | st.integers(1, 10**4).map(lambda n: n * 1000 * 1024))
def test_a_size_for_people_is_read_as_the_same(octets: int) -> None:
    assert parse_size(size_text(octets)) == octets


@each(
    "written",
    ["", "ten", "-1", "0", 0, -1, "1.5M", "M", "5iB", "5T", "9" * 5000, 2**63, "99999999999G", 2.0, True,
     None, [], "\u0665M", "5M\n5"],
)  # fmt: skip
def test_what_is_no_size(written: Any) -> None:
    with pytest.raises(ValueError, match=r'^expected a number of bytes or a size such as "25M"$'):
        parse_size(written)


@each(
    ("written", "seconds"),
    [
        (0, 0), (30, 30), (0.5, 0.5), ("30", 30), ("30s", 30), ("30 s", 30), ("5m", 300), ("2h", 7200),
        ("1d", 86_400), ("250ms", 0.25), ("1.5m", 90), ("5M", 300), ("1.", 1),
    ],
)  # fmt: skip
def test_durations(written: Any, seconds: float) -> None:
    assert parse_duration(written) == seconds
    assert isinstance(parse_duration(written), float)


@each(
    "written",
    ["", "soon", "-1", -1, -0.5, "inf", "nan", float("inf"), float("nan"), "5 weeks", "1e3", "9" * 5000,
     10**400, True, None, "5m30s", "\u0665s"],
)  # fmt: skip
def test_what_is_no_duration(written: Any) -> None:
    with pytest.raises(ValueError, match=r'^expected a number of seconds or a time such as "30s" or "5m"$'):
        parse_duration(written)
