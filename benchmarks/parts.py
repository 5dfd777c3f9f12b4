"""The parts of a run, by their names."""

from __future__ import annotations

from collections.abc import Callable

from .figures import Figures
from .running import Run, compare
from .workloads import WORKLOADS

__all__ = ["PARTS", "text"]


def proxies(run: Run) -> None:
    with run.all_running(run.peers) as running:
        compare(run, run.figures.table("proxies"), run.peers, running, WORKLOADS)


PARTS: dict[str, Callable[[Run], None]] = {"proxies": proxies}


def text(figures: Figures) -> str:
    units = {workload.name: workload.unit for workload in WORKLOADS}
    found = []
    for table in figures.tables.values():
        found += [table.name, table.ratios_markdown("", "HAProxy"), table.markdown("", units)]
    return "\n\n".join(found)
