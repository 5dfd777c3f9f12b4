"""Which row of the shared counts a worker gets."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NoReturn

import pytest

from trio_proxy.limits.shared import SharedCounts, SharedMemory
from trio_proxy.workers.rows import Rows

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def rows_for() -> Iterator[Callable[[int], Rows]]:
    """Makes rows, whose memory is closed at the end; a process keeps it as long as it lives."""
    made: list[Rows] = []

    def make(workers: int) -> Rows:
        made.append(Rows(workers))
        return made[-1]

    yield make
    for rows in made:
        os.close(rows._descriptor)
    gc.collect()  # counts refer to themselves


def counts(given: dict[str, Any]) -> SharedCounts:
    return SharedCounts.mapped(given["descriptor"], given["row"])


def test_a_row_is_cleared_before_the_next_worker_gets_it(rows_for: Callable[[int], Rows]) -> None:
    rows = rows_for(2)
    given = [dict(rows.give(number)) for number in (1, 2, 3)]
    assert [each["row"] for each in given] == [0, 1, 2]
    first, second = counts(given[0]), counts(given[1])
    first.clients.tell(7)
    second.clients.tell(1)
    assert second.clients.elsewhere == 7
    rows.gone(1)
    rows.gone(1)
    assert second.clients.elsewhere == 0
    again = dict(rows.give(4))
    assert again["row"] == 0
    assert counts(again).clients.elsewhere == 1


def test_workers_for_which_there_is_no_row(rows_for: Callable[[int], Rows], logs: Logs) -> None:
    rows = rows_for(1)
    given = [rows.give(number) for number in range(1, 67)]
    assert [bool(each) for each in given] == [True] * 64 + [False] * 2
    assert [entry["worker"] for entry in logs] == [65, 66]
    rows.gone(65)
    rows.gone(3)
    assert rows.give(67)["row"] == 2


def test_without_memory_each_counts_alone(monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    def fails(rows: int) -> NoReturn:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(SharedMemory, "create", fails)
    rows = Rows(2)
    assert rows.give(1) == {}
    rows.gone(1)
    assert [entry["event"] for entry in logs] == ["limits hold for each worker alone: there is no memory"]
