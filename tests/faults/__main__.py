"""``python -m tests.faults`` runs the matrix.

    python -m tests.faults                                  every cell; what CI does
    python -m tests.faults --cells 'tls/*' --cells '*/client/cut/*'
    python -m tests.faults --list                           the names of the cells: WORLD/PARTY/FAULT/PHASE
    python -m tests.faults --seed 7                         other garbage

It exits with 1 if the account of a cell does not balance, or something else was wrong in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .cells import Cell, cells
from .run import Result, run

_COLUMNS = (
    *("cells", "messages", "accepted", "in doubt"),
    *("lost", "doubled", "half", "refused", "stalls", "other"),
)
_PART = 400
"""Cells that one process runs together."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cells", action="append", default=[], metavar="PATTERN", help="those that fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="the names of the cells, and nothing else")
    parser.add_argument("--explain", action="store_true", help="the account of each cell, right or wrong")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = cells(*options.cells)
    if options.list or not chosen:
        print("\n".join(map(str, chosen)) or f"no cell fits {' '.join(options.cells)}")
        return 0 if chosen else 2
    started = time.monotonic()
    results: list[Result] = []
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for share in pool.imap_unordered(partial(_run, options.seed), _shares(chosen, options.jobs)):
            results += share
            print(f"{len(results)} of {len(chosen)} cells", file=sys.stderr, flush=True)
            for result in share:
                if options.explain or not result.is_right:
                    print(result, flush=True)
    print(_table(results))
    print(f"{len(results)} cells in {time.monotonic() - started:.0f} s")
    return 0 if all(result.is_right for result in results) else 1


def _shares(chosen: Sequence[Cell], jobs: int) -> Iterator[Sequence[Cell]]:
    """Cells in memory by themselves: their clock need not wait for sockets."""
    in_memory = [cell for cell in chosen if cell.world.io == "memory"]
    for group in ([cell for cell in chosen if cell.world.io != "memory"], in_memory):
        parts = max(jobs, -(-len(group) // _PART))
        yield from filter(None, (group[part::parts] for part in range(parts)))


def _run(seed: int, share: Sequence[Cell]) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="faults-") as directory:
        return run(share, Path(directory), seed)


def _table(results: list[Result]) -> str:
    """A row for each world and party, and one for all."""
    rows: dict[str, Counter[str]] = {}
    for result in sorted(results, key=lambda each: str(each.cell)):
        assert result.cell is not None
        for name in (f"{result.cell.world.name} {result.cell.party}", "all"):
            rows.setdefault(name, Counter()).update(_counts(result))
    rows["all"] = rows.pop("all")
    width = max(map(len, rows))
    lines = [f"{'':{width}}  " + "  ".join(_COLUMNS)]
    for name, row in rows.items():
        lines.append(f"{name:{width}}  " + "  ".join(f"{row[each]:>{len(each)}}" for each in _COLUMNS))
    return "\n".join(lines)


def _counts(result: Result) -> dict[str, int]:
    balance = result.balance
    return {
        "cells": 1,
        "messages": result.messages,
        "accepted": balance.accepted,
        "in doubt": balance.in_doubt,
        "lost": len(balance.lost),
        "doubled": len(balance.doubled),
        "half": len(balance.half),
        "refused": len(balance.refused) + len(balance.unknown),
        "stalls": len(balance.stalled),
        "other": len(result.wrong),
    }


if __name__ == "__main__":
    sys.exit(main())
