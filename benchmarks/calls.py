"""Counts the Python calls in the core for one message of each kind. They do not depend on the machine.

`python -m benchmarks.calls` prints JSON. To count another checkout: `BENCHMARK_CHECKOUT=DIR`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from . import core, trips

__all__ = ["CASES", "counted", "counted_in"]

CASES = {
    "keep-alive": "4 KiB, one command at a time",
    "50 recipients": "4 KiB, 50 recipients",
    "pipelined": "4 KiB, command groups",
    "10 MiB": "10 MiB, no dotted lines",
}
"""The name of a workload's dialogue in `core.py`."""


def counted() -> dict[str, int]:
    """Counts the calls in a session after an earlier message. Code that attrs generates counts too."""
    found = {}
    for case in core.cases():
        names = [name for name, its in CASES.items() if its == case.name]
        if names:
            message = core.dialogue(case)
            message()
            found[names[0]] = len(trips.Trace("sansio_smtp", generated=True).run(message).calls)
    return found


def counted_in(checkout: Path) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.calls"]
    environment = os.environ | {"BENCHMARK_CHECKOUT": str(checkout)}
    here = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, check=True, capture_output=True, cwd=here, env=environment, timeout=60)
    found: dict[str, int] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(counted()))
