"""Visits every state that bounded dialogues lead a `Proxy` to, and checks the promises in each.

    python tests/exhaustive/explore.py              what CI does, within two minutes
    python tests/exhaustive/explore.py --deep       as far as there is anything new, however long it takes
    python tests/exhaustive/explore.py --depth 12   dialogues of so many inputs
    python tests/exhaustive/explore.py --only routes
    python tests/exhaustive/explore.py --play routes 'S: 220 s greeting' 'C: MAIL FROM:<m>' '! continue'
    python tests/exhaustive/explore.py --write      and renews docs/reference/states.md

The search is breadth-first, so a dialogue that it finds is the shortest. States that differ in nothing that
counts are one (`graph`). What may come next, and which configurations there are, is in `world` and
`configurations`; what must hold, in `observer`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from exhaustive.configurations import CONFIGURATIONS
from exhaustive.dialogue import command, script
from exhaustive.document import render
from exhaustive.search import Found, Result, explore
from sansio_smtp.joint_states import Snapshot

__all__ = ["PAGE", "main", "report", "together", "total"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "states.md"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.play:
        return _play(*options.play)
    started = time.monotonic()
    results: list[Result] = []
    found: set[str] = set()
    most = sys.maxsize if options.deep else options.transitions
    run = partial(_explore, depth=options.depth, most=most, faults=options.faults)
    with Pool(options.jobs) as pool:
        for result in pool.imap_unordered(run, options.only or CONFIGURATIONS, chunksize=1):
            results.append(result)
            print(_line(result))
            for fault in result.found:
                if fault.what not in found:
                    found.add(fault.what)
                    print("\n" + report(fault) + "\n")
            sys.stdout.flush()
    print("\n" + total(results, time.monotonic() - started))
    if options.write and not found:
        PAGE.write_text(render(together(results)), encoding="utf-8")
    return 1 if found else 0


def report(found: Found) -> str:
    """A fault, its dialogue as a script, and how to play it again."""
    configuration = CONFIGURATIONS[found.configuration]
    lines, _ = script(configuration, found.path)
    return "\n".join([f"# {found.what}", *lines, "", f"$ {command(configuration, found.path)}"])


def together(results: Iterable[Result]) -> dict[Snapshot, set[str]]:
    """All joint states that were reached, each with what the dialogue waited for."""
    joint: dict[Snapshot, set[str]] = {}
    for result in results:
        for state, waited in result.joint.items():
            joint.setdefault(state, set()).update(waited)
    return joint


def total(results: list[Result], seconds: float) -> str:
    """What was visited, in one line."""
    joint = together(results)
    states = sum(result.states for result in results)
    transitions = sum(result.transitions for result in results)
    depth = max(result.depth for result in results)
    return (
        f"{len(joint)} joint states, {states} states, {transitions} transitions, "
        f"depth {depth}, {seconds:.0f} seconds"
    )


def _explore(name: str, depth: int | None, most: int | None, faults: int) -> Result:
    return explore(CONFIGURATIONS[name], depth=depth, most=most, faults=faults)


def _line(result: Result) -> str:
    depth = f"{result.depth}{', which is all' if result.whole else ''}"
    return (
        f"{result.configuration}: {len(result.joint)} joint states, {result.states} states, "
        f"{result.transitions} transitions, depth {depth}, {result.seconds:.0f} seconds"
    )


def _play(name: str, *path: str) -> int:
    lines, broken = script(CONFIGURATIONS[name], path)
    print("\n".join(lines))
    print(f"\n{broken or 'nothing is broken'}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", choices=CONFIGURATIONS, metavar="NAME", help="a configuration"
    )
    parser.add_argument("--depth", type=int, help="inputs in one dialogue")
    parser.add_argument("--deep", action="store_true", help="all of it, however long it takes")
    parser.add_argument("--transitions", type=int, help="in each configuration")
    parser.add_argument(
        "--faults", type=int, default=1, help="sorts of faults after which a configuration stops"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--write", action="store_true", help="renew docs/reference/states.md")
    parser.add_argument("--play", nargs="+", metavar=("NAME", "INPUT"), help="play one dialogue")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
