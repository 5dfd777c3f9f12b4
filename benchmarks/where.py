"""Where the time of one message goes: the kernel, the core, and what is left, which is the driver.

The kernel's share is what it books as system time while the program works. The core is measured by itself,
with the same dialogue and no socket. The rest is the driver, Trio, and what the interpreter does for both.
"""

from __future__ import annotations

from pathlib import Path

from . import core
from .calls import CASES
from .figures import Table
from .peers import Peer, Running
from .programs import Sink, process_tree
from .running import Run
from .workloads import WORKLOADS, cpu_of

__all__ = ["CORE", "DRIVER", "KERNEL", "where"]

KERNEL, CORE, DRIVER = "kernel", "core", "driver, Trio, interpreter"
TICKS_ENOUGH = 4.0
"""So many times the messages: user and system time are told in ticks of 10 ms."""


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


def where(run: Run, table: Table, peer: Peer, running: Running, sink: Sink) -> None:
    assert peer.checkout is not None
    names = [case.name for case in core.cases()]
    worker = core.Worker(peer.checkout, **dict(peer.environment))
    try:
        for workload in WORKLOADS:
            if workload.name not in CASES:
                continue
            run.progress(f"where the time goes: {peer.name}, {workload.name}")
            before = ticks(running.pid)
            share = 0.1 if run.quick else TICKS_ENOUGH
            total = cpu_of(workload, running, sink, share, f"where: {peer.name}, {workload.name}")
            kernel = total * system_share(before, ticks(running.pid))
            index = names.index(CASES[workload.name])
            count = max(2, round((0.02 if run.quick else 0.3) / worker.seconds(index, 2) * 2))
            alone = worker.seconds(index, count) / count
            row = f"{workload.name}, {workload.unit[0]}"
            for column, value in ((KERNEL, kernel), (CORE, alone), (DRIVER, total - kernel - alone)):
                table.add(row, column, value * workload.unit[1])
    finally:
        worker.stop()
