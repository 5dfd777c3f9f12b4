"""Measures how the cost grows with the number of sessions and recipients and the size of messages. Sessions
are opened before and stay open, so connections do not count. The cost of a recipient or MB excludes the fixed
cost of a message, which is taken from the smallest message of the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Table
from .peers import Peer, Running
from .running import Run, in_turn
from .workloads import MIB, Workload, cpu_of_sending

__all__ = ["RANGES", "Range", "measure", "without_fixed"]


@dataclass(frozen=True)
class Step:
    at: int
    """Sessions, recipients or octets."""
    said: str
    workload: Workload

    @property
    def large(self) -> bool:
        """True if it takes too long to be only a warm-up."""
        workload = self.workload
        return max(workload.sessions, workload.recipients) > 1000 or workload.size > 10 * MIB


@dataclass(frozen=True)
class Range:
    name: str
    per: str
    unit: tuple[str, float]
    middle: int
    """The index of the step with which the others are compared."""
    steps: Sequence[Step]
    fixed: bool
    """True if a message has a fixed cost, which is not part of the ratios."""
    size_of_one: float = 1.0


RANGES = (
    Range(
        "sessions",
        "message",
        ("µs", 1e6),
        2,
        [
            Step(count, f"{count:,}", Workload(f"{count:,} sessions", messages, count))
            for count, messages in ((1, 1500), (10, 3000), (100, 3000), (1000, 4000), (5000, 10000))
        ],
        fixed=False,
    ),
    Range(
        "recipients",
        "recipient",
        ("µs", 1e6),
        2,
        [
            Step(count, f"{count:,}", Workload(f"{count:,} recipients", messages, sessions, recipients=count))
            for count, messages, sessions in (
                (1, 1500, 4),
                (10, 600, 4),
                (100, 100, 4),
                (1000, 12, 4),
                (10_000, 4, 4),
            )
        ],
        fixed=True,
    ),
    Range(
        "size",
        "MB",
        ("ms", 1e3),
        3,
        [
            Step(size, said, Workload(said, messages, sessions, size))
            for size, said, messages, sessions in (
                (2**10, "1 KiB", 2000, 4),
                (2**15, "32 KiB", 800, 4),
                (MIB, "1 MiB", 100, 4),
                (10 * MIB, "10 MiB", 16, 4),
                (100 * MIB, "100 MiB", 3, 1),
                (2**30, "1 GiB", 1, 1),
            )
        ],
        fixed=True,
        size_of_one=1e6,
    ),
)


def measure(
    run: Run, range_: Range, table: Table, peers: Sequence[Peer], running: dict[str, Running]
) -> None:
    """CPU seconds for one message, at each step."""
    for turn in run.turns():
        for step in range_.steps:
            if (run.quick or turn == 0) and step.large:
                continue
            run.progress(f"growth, round {turn} of {run.rounds}: {step.workload.name}")
            for peer in in_turn(peers, turn):
                share = 0.05 if run.quick else 0.1 if turn == 0 else 1.0
                least = min(step.workload.sessions, step.workload.messages)
                messages = max(least, round(step.workload.messages * share))
                what = f"growth: {peer.name}, {step.workload.name}"
                figure = cpu_of_sending(step.workload, running[peer.name], run.sink, messages, what)
                if turn:
                    table.add(step.said, peer.name, figure)


def without_fixed(range_: Range, costs: Sequence[float]) -> list[float]:
    """The cost of one session's message, recipient or MB at each step. A fixed part is the rest of the
    smallest message, if the middle of the range gives the cost of one more."""
    if not range_.fixed:
        return list(costs)
    counts = [step.at / range_.size_of_one for step in range_.steps]
    middle = min(range_.middle, len(costs) - 1)
    slope = (costs[middle] - costs[0]) / (counts[middle] - counts[0])
    fixed = costs[0] - slope * counts[0]
    return [(cost - fixed) / count for cost, count in zip(costs, counts, strict=False)]
