"""The parts of a run, by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from . import calls, counts, latency, memory, ranges, where, workers
from .peers import BEFORE, HAPROXY, KEPT, MAIN, RULES, Peer, with_options, with_rule
from .programs import pss_kib, which
from .running import Run, compare
from .tls import TLS_WORKLOADS, between_tls
from .workloads import WORKLOADS, send

__all__ = ["DEFAULT", "PARTS"]

IDLE_UNDER_TLS = [200]
RULES_WORKLOADS = [
    workload if workload.name == "keep-alive" else replace(workload, messages=workload.messages // 5)
    for workload in WORKLOADS
]
"""There are many rows, so there are fewer messages; sessions of *keep-alive* are as long as in *proxies*."""
KEEP_WORKLOADS = [workload for workload in WORKLOADS if workload.name == "small"]
KEEP_TLS_WORKLOADS = [workload for workload in TLS_WORKLOADS if workload.name == "small"]
SOAK, SOAK_STEPS = 1_000_000, 10


def pure(peers: Sequence[Peer]) -> list[Peer]:
    """The peers without our variant in C, which differs only for large messages."""
    return [peer for peer in peers if peer.checkout is None or peer.environment]


def proxies(run: Run) -> None:
    with run.all_running(run.peers) as running:
        compare(run, run.figures.fresh("proxies"), run.peers, running, WORKLOADS)


def rules(run: Run) -> None:
    """Measures our variants with rules that check and let everything pass."""
    for peer in run.ours[:1] if run.quick else pure(run.ours):
        peers = [peer, *(with_rule(peer, rule, run.tmp) for rule in RULES)]
        with run.all_running(peers) as running:
            compare(run, run.figures.fresh(f"rules of {peer.name}"), peers, running, RULES_WORKLOADS)


def tls(run: Run) -> None:
    peers = [peer for peer in run.peers if peer.tls]
    with between_tls(run, peers) as running:
        compare(run, run.figures.fresh("TLS"), peers, running, TLS_WORKLOADS)
    table = run.figures.fresh("memory under TLS")
    for peer in peers:
        run.progress(f"TLS: idle sessions of {peer.name}")
        with between_tls(run, [peer]) as running:
            memory.idle_of(table, peer.name, running[peer.name], IDLE_UNDER_TLS)


def keep(run: Run) -> None:
    """Measures clients with one message: with a new connection to the server for each, or with kept
    connections."""
    peer = run.ours[0]
    peers = [peer, with_options(peer, KEPT, "--upstream-keep", "20")]
    with run.all_running(peers) as running:
        compare(run, run.figures.fresh("keep: in plain text"), peers, running, KEEP_WORKLOADS)
    with between_tls(run, peers) as running:
        compare(run, run.figures.fresh("keep: TLS on both legs"), peers, running, KEEP_TLS_WORKLOADS)


def one_session(run: Run) -> None:
    table = run.figures.fresh("latency")
    with run.all_running(pure(run.peers)) as running:
        for turn in range(1, run.rounds + 1):
            run.progress(f"latency, round {turn} of {run.rounds}")
            turns = 2 if run.quick else latency.TURNS
            latency.latencies(table, running, HAPROXY.name, run.sink, turns)


def of_memory(run: Run) -> None:
    table = run.figures.fresh("memory")
    for peer in pure(run.peers):
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
    """Measures where the time goes, and counts system calls if strace is installed. Counting is never
    quick."""
    peers = pure(run.ours)
    observed = [*peers, *(peer for peer in run.peers if peer is HAPROXY)]
    with run.all_running(observed) as running:
        for peer in observed:
            where.where(run, run.figures.fresh(f"where: {peer.name}"), peer, running[peer.name])
    calls_of = run.figures.fresh("Python calls")
    for peer in peers:
        if peer.name in (MAIN, BEFORE):  # the others have the same core
            assert peer.checkout is not None
            for name, count in calls.counted_in(peer.checkout).items():
                calls_of.add(peer.name, name, count)
    if run.quick or which("strace") is None:
        return
    table, by_name = run.figures.fresh("system calls"), run.figures.fresh("system calls by name")
    for peer in peers:
        run.progress(f"system calls: {peer.name}")
        for name, sessions in counts.NAMES.items():
            found = counts.calls(peer, run.tmp, run.sink, sessions)
            table.add(peer.name, name, found.total() / 1000)
            for call, count in found.most_common(4) if name == "keep-alive" else ():
                by_name.add(peer.name, call, count / 1000)


def soak(run: Run) -> None:
    """Sends a million messages through one process, whose memory must not grow."""
    peer, table = run.ours[0], run.figures.fresh("soak")
    (workload,) = (each for each in WORKLOADS if each.name == "keep-alive")
    with run.all_running([peer]) as running:
        step = SOAK // (1000 if run.quick else 1) // SOAK_STEPS
        for number in range(SOAK_STEPS + 1):
            run.progress(f"soak, {number} of {SOAK_STEPS}")
            if number:
                send(workload, running[peer.name], run.sink, step, "soak")
            kept = pss_kib(running[peer.name].pid) / 1024
            table.add(f"{number * step:,}", "PSS after so many messages, MiB", kept)


PARTS: dict[str, Callable[[Run], None]] = {
    "proxies": proxies,
    "rules": rules,
    "tls": tls,
    "keep": keep,
    "workers": workers.measure,
    "latency": one_session,
    "memory": of_memory,
    "growth": growth,
    "where": remaining,
    "soak": soak,
}
DEFAULT = [name for name in PARTS if name != "soak"]
"""The parts that fit into some minutes."""
