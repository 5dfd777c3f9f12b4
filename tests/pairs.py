"""Chooses the cases of a generated test: each pair of values of any two parameters occurs in a case. A full
product tries the same pair a hundred times. Nearly all faults need only one value or two values together, so
the default is pairs, which are few; the profile ``deep`` runs the full product.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any, Final, TypeAlias

import pytest

__all__ = ["DEEP", "FLAG", "cases", "pairwise", "slow_where"]

DEEP: Final = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
FLAG: Final = (False, True)

Row: TypeAlias = list[int | None]
"""For each parameter the number of its value; None while any value is possible."""


def cases(*parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The cases of a test with these parameters: `pairwise`, or all of them in the profile ``deep``."""
    return list(product(*parameters)) if DEEP else pairwise(*parameters)


def slow_where(is_slow: Callable[..., bool], chosen: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The same cases, those marked as slow for which `is_slow` returns True."""
    return [pytest.param(*case, marks=pytest.mark.slow) if is_slow(*case) else case for case in chosen]


def pairwise(*parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """A part of the product of the parameters in which each pair of values of each two of them occurs.

    The same parameters give the same cases. Each parameter needs a value; no value may be given twice.
    """
    # In the order of the parameters, the longest first, after Lei and Tai ("In-parameter-order", 1998): the
    # product of the first two holds all their pairs, then one parameter after the other is added.
    order = sorted(range(len(parameters)), key=lambda number: -len(parameters[number]))
    sizes = [len(parameters[number]) for number in order]
    rows: list[Row] = [list(row) for row in product(*map(range, sizes[:2]))]
    for new in range(2, len(sizes)):
        _add_parameter(rows, sizes[: new + 1])
    # Rows are in the order of the sorted parameters; cases are in the given order.
    places = [order.index(number) for number in range(len(parameters))]
    return [
        tuple(values[row[place] or 0] for values, place in zip(parameters, places, strict=True))
        for row in rows
    ]


def _add_parameter(rows: list[Row], sizes: list[int]) -> None:
    """Appends a value of the last parameter to each row, and rows for the pairs that are still missing."""
    *earlier, size = sizes
    missing = {
        (column, value, new)
        for column, count in enumerate(earlier)
        for value in range(count)
        for new in range(size)
    }
    for row in rows:
        gains = [{(column, value, new) for column, value in enumerate(row)} & missing for new in range(size)]
        best = max(range(size), key=lambda new: len(gains[new]))
        missing -= gains[best]
        row.append(best)
    for column, value, new in sorted(missing):
        for row in rows:
            if row[-1] in (None, new) and row[column] in (None, value):
                break
        else:
            row = [None] * len(sizes)
            rows.append(row)
        row[column], row[-1] = value, new
