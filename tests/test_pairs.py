"""The cases of generated tests: by default every pair occurs, in the profile ``deep`` every combination."""

from __future__ import annotations

from itertools import combinations, product
from math import prod
from typing import Any

import pairs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import FLAG, cases, pairwise

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def pairs_of(rows: list[tuple[Any, ...]]) -> set[tuple[int, int, Any, Any]]:
    """All pairs of places in a row, with their values."""
    return {
        (first, second, row[first], row[second])
        for row in rows
        for first, second in combinations(range(len(row)), 2)
    }


def values(sizes: list[int]) -> list[str]:
    """Parameters of these sizes: each value is a letter, in each parameter from a on."""
    return ["abcdef"[:size] for size in sizes]


@given(SIZES)
def test_each_pair_occurs(sizes: list[int]) -> None:
    everything = list(product(*values(sizes)))
    chosen = pairwise(*values(sizes))
    assert set(chosen) <= set(everything)
    assert pairs_of(chosen) == pairs_of(everything)
    assert len(set(chosen)) == len(chosen)


@given(SIZES)
def test_the_same_parameters_give_the_same_cases(sizes: list[int]) -> None:
    assert pairwise(*values(sizes)) == pairwise(*values(sizes))


@pytest.mark.parametrize(
    ("sizes", "most"),
    [([1], 1), ([3], 3), ([2, 3], 6), ([2, 2, 2], 4), ([50, 3, 2, 2, 2, 2], 151), ([3] * 8, 20)],
    ids=str,
)
def test_the_cases_are_few(sizes: list[int], most: int) -> None:
    chosen = pairwise(*map(range, sizes))
    assert prod(sorted(sizes)[-2:]) <= len(chosen) <= most


@pytest.mark.parametrize("deep", FLAG)
def test_the_deep_profile_runs_the_full_product(deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "DEEP", deep)
    everything = list(product("abc", FLAG, FLAG, FLAG))
    chosen = cases("abc", FLAG, FLAG, FLAG)
    if deep:
        assert chosen == everything
    else:
        assert len(chosen) < len(everything)
        assert pairs_of(chosen) == pairs_of(everything)
