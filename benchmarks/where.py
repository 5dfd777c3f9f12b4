"""Measures where the time of one message goes: kernel, core and driver. The kernel's share is the system time
of the program. The core is measured alone, with the same dialogue and no socket. The rest is the driver,
Trio, and the work of the interpreter for both.
"""

from __future__ import annotations

from pathlib import Path

from . import core
from .calls import CASES
from .figures import Table
from .peers import Peer, Running
from .programs import process_tree
from .running import Run
from .workloads import WORKLOADS, cpu_of

__all__ = ["where"]

KERNEL, CORE, DRIVER, PROGRAM = "kernel", "core", "driver, Trio, interpreter", "program"
TICKS_ENOUGH = 2.0
"""A factor for the number of messages, because user and system time have a resolution of 10 ms."""


def system_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    user, system = after[0] - before[0], after[1] - before[1]
    return system / (user + system) if user + system else 0.0


def ticks(pid: int) -> tuple[int, int]:
    """User and system time of the tree, in ticks."""
    found = [0, 0]
    for each in process_tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        found[0] += int(fields[11])
        found[1] += int(fields[12])
    return found[0], found[1]


def where(run: Run, table: Table, peer: Peer, running: Running) -> None:
    """Measures a variant of ours. For another peer: only the kernel and the rest."""
    for workload in WORKLOADS:
        if workload.name not in CASES:
            continue
        run.progress(f"where the time goes: {peer.name}, {workload.name}")
        before = ticks(running.pid)
        share = 0.1 if run.quick else TICKS_ENOUGH
        total = cpu_of(workload, running, run.sink, share, f"where: {peer.name}, {workload.name}")
        kernel = total * system_share(before, ticks(running.pid))
        found = {KERNEL: kernel}
        if peer.checkout is not None:
            found[CORE] = alone(peer, peer.checkout, CASES[workload.name], 0.02 if run.quick else 0.3)
        found[DRIVER if peer.checkout else PROGRAM] = total - sum(found.values())
        for column, value in found.items():
            table.add(f"{workload.name}, {workload.unit[0]}", column, value * workload.unit[1])


def alone(peer: Peer, checkout: Path, case: str, budget: float) -> float:
    """Seconds in the core for one message, without sockets."""
    index = [each.name for each in core.cases()].index(case)
    worker = core.Worker(checkout, **dict(peer.environment))
    try:
        count = max(2, round(budget / worker.seconds(index, 2) * 2))
        return worker.seconds(index, count) / count
    finally:
        worker.stop()
