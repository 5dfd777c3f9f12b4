"""Rates as people write them, and buckets that are given the time."""

from __future__ import annotations

from typing import Any

import pytest
from each import each
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_proxy.limits.rates import A_RATE, Buckets, Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/60s", Rate(600, 60)),
        ("6k/1m", Rate(6000, 60)),
        ("1/0.5", Rate(1, 0.5)),
        ("none", None),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate | None) -> None:
    assert A_RATE.parse(text) == rate
    assert rate is None or A_RATE.parse(str(rate)) == rate


@each("value", ["", "5", "0/60", "5/0s", "5/", "/5", "-1/5", "5/60/60", "many", 5, True, None])
def test_what_is_no_rate(value: Any) -> None:
    with pytest.raises(ValueError, match=r'expected a number in a time such as "600/60s", or "none"'):
        A_RATE.parse(value)


def test_a_bucket_is_emptied_and_filled() -> None:
    buckets = Buckets(Rate(3, 30))
    assert [buckets.take("a", 100.0) for _ in range(4)] == [True, True, True, False]
    assert not buckets.has_any("a", 109.0)
    assert not buckets.take("a", 109.0)
    assert buckets.has_any("a", 110.0)
    assert buckets.take("a", 110.0)
    assert not buckets.take("a", 110.0)
    assert buckets.take("b", 110.0, 3)
    assert not buckets.take("c", 110.0, 4)
    assert buckets.take("a", 1000.0, 3)


def test_what_is_refused_costs_nothing() -> None:
    buckets = Buckets(Rate(2, 10))
    assert buckets.take("a", 0.0, 2)
    assert not any(buckets.take("a", 4.9) for _ in range(100))
    assert buckets.take("a", 5.0)


def test_what_was_done_takes_what_is_left() -> None:
    buckets = Buckets(Rate(5, 10))
    assert [buckets.spend("a", 0.0, 3), buckets.spend("a", 0.0, 3)] == [True, False]
    assert not buckets.has_any("a", 1.9)
    assert buckets.has_any("a", 2.0)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 5)), max_size=400))
def test_the_table_stays_small_and_no_rate_is_passed(uses: list[tuple[int, float]]) -> None:
    """In any window of its time, a key that is not forgotten gets at most twice its number."""
    buckets, now = Buckets(Rate(4, 10), most=50), 0.0
    given: dict[int, list[float]] = {}
    for key, pause in uses:
        now += pause
        if buckets.take(key, now):
            given.setdefault(key, []).append(now)
        assert len(buckets) <= 50
    if len(given) <= 50:
        for times in given.values():
            assert all(sum(start <= time < start + 10 for time in times) <= 8 for start in times)


def test_the_oldest_is_forgotten_first() -> None:
    buckets = Buckets(Rate(1, 100), most=2)
    assert [buckets.take(key, 0.0) for key in "abac"] == [True, True, False, True]
    assert [buckets.take(key, 1.0) for key in "bc"] == [False, False]
    assert buckets.take("a", 1.0)


def test_full_buckets_are_forgotten() -> None:
    buckets = Buckets(Rate(1, 1))
    for key in range(1000):
        buckets.take(key, key * 2.0)
    assert len(buckets) == 1
