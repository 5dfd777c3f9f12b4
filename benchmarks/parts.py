"""The parts of a run, by their names."""

from __future__ import annotations

from collections.abc import Callable

from . import counts, latency, memory, ranges, where
from .peers import HAPROXY, RULES, with_rule
from .programs import which
from .running import Run, compare
from .tls import TLS_WORKLOADS, between_tls
from .workloads import WORKLOADS

__all__ = ["PARTS"]

IDLE_UNDER_TLS = [200]


def proxies(run: Run) -> None:
    with run.all_running(run.peers) as running:
        compare(run, run.figures.fresh("proxies"), run.peers, running, WORKLOADS)


def rules(run: Run) -> None:
    """Ours, each with a rule that looks and lets all pass. Half the messages: there are many rows."""
    for peer in run.ours[:1] if run.quick else run.ours:
        peers = [peer, *(with_rule(peer, rule, run.tmp) for rule in RULES)]
        with run.all_running(peers) as running:
            compare(run, run.figures.fresh(f"rules of {peer.name}"), peers, running, WORKLOADS, 0.4)


def tls(run: Run) -> None:
    peers = [peer for peer in run.peers if peer.tls]
    with between_tls(run, peers) as running:
        compare(run, run.figures.fresh("TLS"), peers, running, TLS_WORKLOADS)
    table = run.figures.fresh("memory under TLS")
    for peer in peers:
        run.progress(f"TLS: idle sessions of {peer.name}")
        with between_tls(run, [peer]) as running:
            memory.idle_of(table, peer.name, running[peer.name], IDLE_UNDER_TLS)


def one_session(run: Run) -> None:
    table = run.figures.fresh("latency")
    with run.all_running(run.peers) as running:
        for turn in range(1, run.rounds + 1):
            run.progress(f"latency, round {turn} of {run.rounds}")
            turns = 2 if run.quick else latency.TURNS
            latency.latencies(table, running, HAPROXY.name, run.sink, turns)


def of_memory(run: Run) -> None:
    table = run.figures.fresh("memory")
    for peer in run.peers:
        run.progress(f"memory: {peer.name}")
        counts = [min(count, 100) if run.quick else count for count in peer.idle]
        memory.idle(run, table, peer, sorted(set(counts)))
        if peer.streams:
            memory.in_messages(run, table, peer)


def growth(run: Run) -> None:
    peers = [*run.ours[:1], *(peer for peer in run.peers if peer is HAPROXY)]
    with run.all_running(peers) as running:
        for range_ in ranges.RANGES:
            ranges.measure(run, range_, run.figures.fresh(f"growth: {range_.name}"), peers, running)


def remaining(run: Run) -> None:
    """Where the time goes; and system calls, where strace is installed."""
    peers = run.ours
    with run.all_running(peers) as running:
        for peer in peers:
            table = run.figures.fresh(f"where: {peer.name}")
            where.where(run, table, peer, running[peer.name], run.sink)
    if which("strace") is None:
        return
    table = run.figures.fresh("system calls")
    for peer in peers:
        run.progress(f"system calls: {peer.name}")
        for name, sessions in counts.NAMES.items():
            table.add(peer.name, name, counts.calls(peer, run.tmp, run.sink, sessions).total() / 1000)


PARTS: dict[str, Callable[[Run], None]] = {
    "proxies": proxies,
    "rules": rules,
    "tls": tls,
    "latency": one_session,
    "memory": of_memory,
    "growth": growth,
    "where": remaining,
}
