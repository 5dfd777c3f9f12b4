"""A sample of the matrix, and proof that the account notices what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from .broken import Defect
from .cells import SAMPLE, cells
from .run import run, run_defect

BOTH = [(2, "a@mx.example"), (2, "b@mx.example")]


def test_the_account_of_a_sample_balances(tmp_path: Path) -> None:
    chosen = cells(*SAMPLE)
    assert len(chosen) == len(SAMPLE)
    results = run(chosen, tmp_path)
    assert [str(result) for result in results if not result.is_right] == []
    assert all(result.messages >= 3 for result in results)


@pytest.mark.parametrize(
    ("defect", "column"),
    [
        ("loss", "lost"),
        ("double", "doubled"),
        ("half", "half"),
        ("stall", "stalled"),
        ("refuses", "refused"),
    ],
)
def test_the_account_notices(defect: Defect, column: str, tmp_path: Path) -> None:
    """A proxy that is broken so that it does this to the second of three messages."""
    balance = run_defect(defect, tmp_path).balance
    columns = ("lost", "doubled", "half", "stalled", "refused", "unknown")
    assert {name: getattr(balance, name) for name in columns if getattr(balance, name)} == {column: BOTH}


def test_a_proxy_that_is_not_broken_has_a_balance(tmp_path: Path) -> None:
    result = run_defect("none", tmp_path)
    assert result.is_right
    assert (result.messages, result.balance.accepted) == (3, 6)
