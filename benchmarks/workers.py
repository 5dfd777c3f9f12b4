"""Compares one process, two processes without a parent, and workers with a parent, at the same load. Each
serving process has `CONNECTIONS` clients, from its own sender. All processes of a peer count, also the
parent. CPU time is measured in two ways:

- *On one core*: all processes of the peer share a core, and the senders and the server use another. The cost
of a message is the work for it. Two virtual cores are often threads of one core: each is slower while the
other works, and two senders make more work than one. So a loop of the lowest priority keeps the other core
busy, with each peer alike.
- *On all cores*: the system decides where they run. If there are more processes than cores, each wakes for
fewer inputs at a time, by processes on other cores. Two processes without a parent show this effect.

Two processes of HAProxy, which know nothing of each other, show what two processes cost without any work for
workers.

Peers are measured in short bursts, one after the other, so that a slow phase of the machine affects all.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .figures import Table
from .peers import HAPROXY, MAIN, Peer, Place, Running, with_options
from .programs import Failed, cpu_seconds, kept_busy, process_tree, pss_kib
from .running import Run, in_turn
from .workloads import SETTLED, WORKLOADS, Workload, source

__all__ = ["CONNECTIONS", "MEMORY", "ON_ALL", "ON_ONE", "TWO", "TWO_HAPROXY", "WORKERS", "measure"]

TWO, WORKERS = f"{MAIN}, two processes", f"{MAIN}, --workers 2"
TWO_HAPROXY = f"{HAPROXY.name}, two processes"
ON_ONE, ON_ALL, MEMORY = "workers on one core", "workers on all cores", "memory of workers"
CONNECTIONS = 10
BURSTS = 7
"""The number of messages of each peer in a round."""
SECONDS = 120.0
MEASURED = tuple(
    replace(each, sessions=CONNECTIONS) for each in WORKLOADS if each.name in ("keep-alive", "small")
)


@dataclass(frozen=True)
class Crew:
    """Processes that serve together. There is a sender for each of ``doors``; workers share a port."""

    name: str
    doors: Sequence[Running]

    @property
    def pids(self) -> set[int]:
        return {door.pid for door in self.doors}

    @property
    def cpu(self) -> float:
        return sum(map(cpu_seconds, self.pids))


def measure(run: Run) -> None:
    """Fills the three tables."""
    on_one, on_all, memory = (run.figures.fresh(name) for name in (ON_ONE, ON_ALL, MEMORY))
    cores = sorted(os.sched_getaffinity(0))
    with _crews(run) as crews:
        for turn in run.turns():
            _round(run, on_all, crews, turn)
            for crew in crews if turn else ():
                memory.add(crew.name, "memory, MiB", sum(map(pss_kib, crew.pids)) / 1024)
        if len(cores) < 2:
            return
        with _apart(run, crews, cores):
            for turn in run.turns():
                _round(run, on_one, crews, turn)


def _round(run: Run, table: Table, crews: Sequence[Crew], turn: int) -> None:
    """Round 0 only warms up."""
    run.progress(f"{table.name}, round {turn} of {run.rounds}")
    for crew in crews:  # the order of the rows
        table.add(crew.name, f"{MEASURED[0].name}, µs")
    for burst in range(1 if run.quick or not turn else BURSTS):
        for workload in MEASURED:
            share = 0.05 if run.quick else 0.5
            for crew in in_turn(crews, turn + burst):
                cpu, rate = _burst(run, crew, workload, round(workload.messages * share))
                if not turn:
                    continue
                table.add(crew.name, f"{workload.name}, µs", cpu * 1e6)
                if table.name == ON_ALL:
                    table.add(crew.name, f"{workload.name}, messages a second", rate)


def _burst(run: Run, crew: Crew, workload: Workload, messages: int) -> tuple[float, float]:
    """CPU seconds for one message, connections included, and messages a second. Each sender sends
    ``messages``."""
    what = f"{crew.name}, {workload.name}"
    total = messages * len(crew.doors)
    with run.sink.expecting(what) as sent:
        before, began = crew.cpu, time.monotonic()
        with contextlib.ExitStack() as stack:
            senders = [
                stack.enter_context(subprocess.Popen(source(workload, door.port, messages)))
                for door in crew.doors
            ]
            try:
                statuses = [sender.wait(SECONDS) for sender in senders]
            except subprocess.TimeoutExpired:
                raise Failed(f"{what}: not finished after {SECONDS:.0f} s") from None
            finally:
                for sender in senders:
                    sender.kill()
        seconds = time.monotonic() - began
        if any(statuses):
            raise Failed(f"{what}: smtp-source ended with {statuses}")
        time.sleep(SETTLED)
        cpu = crew.cpu - before
        sent[0] = total
    return cpu / total, total / seconds


@contextlib.contextmanager
def _crews(run: Run) -> Iterator[list[Crew]]:
    one, haproxy, place = run.ours[0], run.named(HAPROXY.name), Place(run.tmp, run.sink.port)
    with contextlib.ExitStack() as stack:

        def start(peer: Peer) -> Running:
            return stack.enter_context(peer.running(place))

        alone = start(one)
        crews = [
            Crew(one.name, [alone]),
            Crew(TWO, [alone, start(one)]),
            Crew(f"{one.name}, --workers 1", [start(with_options(one, "worker", "--workers", "1"))]),
            Crew(WORKERS, [start(with_options(one, "workers", "--workers", "2"))] * 2),
        ]
        if haproxy is not None:
            relay = start(haproxy)
            crews += [Crew(haproxy.name, [relay]), Crew(TWO_HAPROXY, [relay, start(haproxy)])]
        yield crews


@contextlib.contextmanager
def _apart(run: Run, crews: Sequence[Crew], cores: Sequence[int]) -> Iterator[None]:
    """Puts the measured processes on the first core, and senders and server on the others."""
    for crew in crews:
        for pid in crew.pids:
            for each in process_tree(pid):
                os.sched_setaffinity(each, cores[:1])
    others = (0, run.sink.pid)  # 0: this process, which starts the senders
    try:
        for pid in others:
            os.sched_setaffinity(pid, cores[1:])
        with kept_busy(cores[1:]):
            yield
    finally:
        for pid in others:
            os.sched_setaffinity(pid, cores)
