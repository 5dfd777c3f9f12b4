"""The parts of a run, by their names."""

from __future__ import annotations

from collections.abc import Callable

from . import latency, memory, ranges
from .figures import Figures
from .peers import HAPROXY, RULES, with_rule
from .running import Run, compare
from .tls import TLS_WORKLOADS, between_tls
from .workloads import WORKLOADS

__all__ = ["PARTS", "text"]

IDLE_UNDER_TLS = [200]
NO_RULE = "no rule"


def proxies(run: Run) -> None:
    with run.all_running(run.peers) as running:
        compare(run, run.figures.table("proxies"), run.peers, running, WORKLOADS)


def rules(run: Run) -> None:
    """Ours, each with a rule that looks and lets all pass. Half the messages: there are many rows."""
    for peer in run.ours:
        peers = [peer, *(with_rule(peer, rule, run.tmp) for rule in RULES)]
        with run.all_running(peers) as running:
            compare(run, run.figures.table(f"rules of {peer.name}"), peers, running, WORKLOADS, 0.4)


def tls(run: Run) -> None:
    peers = [peer for peer in run.peers if peer.tls]
    with between_tls(run, peers) as running:
        compare(run, run.figures.table("TLS"), peers, running, TLS_WORKLOADS)
    for peer in peers:
        run.progress(f"TLS: idle sessions of {peer.name}")
        with between_tls(run, [peer]) as running:
            memory.idle_of(
                run.figures.table("memory under TLS"), peer.name, running[peer.name], IDLE_UNDER_TLS
            )


def one_session(run: Run) -> None:
    with run.all_running(run.peers) as running:
        for turn in range(1, run.rounds + 1):
            run.progress(f"latency, round {turn} of {run.rounds}")
            turns = 2 if run.quick else latency.TURNS
            latency.latencies(run.figures.table("latency"), running, HAPROXY.name, run.sink, turns)


def of_memory(run: Run) -> None:
    for peer in run.peers:
        run.progress(f"memory: {peer.name}")
        counts = [min(count, 100) if run.quick else count for count in peer.idle]
        memory.idle(run, run.figures.table("memory"), peer, sorted(set(counts)))
        if peer.streams:
            memory.in_messages(run, run.figures.table("memory"), peer)


def growth(run: Run) -> None:
    peers = [*run.ours[:1], *(peer for peer in run.peers if peer is HAPROXY)]
    with run.all_running(peers) as running:
        for range_ in ranges.RANGES:
            ranges.measure(run, range_, run.figures.table(f"growth: {range_.name}"), peers, running)


PARTS: dict[str, Callable[[Run], None]] = {
    "proxies": proxies,
    "rules": rules,
    "tls": tls,
    "latency": one_session,
    "memory": of_memory,
    "growth": growth,
}


def text(figures: Figures) -> str:
    units = {workload.name: workload.unit for workload in WORKLOADS}
    found = []
    for table in figures.tables.values():
        found += [table.name, table.ratios_markdown("", "HAProxy"), table.markdown("", units)]
    return "\n\n".join(found)
