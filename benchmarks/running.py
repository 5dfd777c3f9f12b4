"""One run: its options, its progress, and the measuring of peers in turn."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .figures import Figures, Table
from .peers import Peer, Place, Running
from .programs import Failed, Sink
from .workloads import NotOffered, Workload, cpu_of

__all__ = ["Run", "compare", "in_turn"]

One = TypeVar("One")

WARM_UP = 0.1


@dataclass
class Run:
    tmp: Path
    sink: Sink
    peers: Sequence[Peer]
    rounds: int = 3
    quick: bool = False
    """True if there are too few messages for figures: the run only finds mistakes."""
    limit: float = 1200.0
    """The seconds after which no new round begins."""
    figures: Figures = field(default_factory=Figures)
    _started: float = field(default_factory=time.monotonic)

    @property
    def ours(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.checkout is not None]

    def named(self, name: str) -> Peer | None:
        return next((peer for peer in self.peers if peer.name == name), None)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def progress(self, what: str) -> None:
        line = f"{self.elapsed:4.0f} s  {what}"
        if sys.stderr.isatty():
            print(f"\r{line:78.78}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def all_running(self, peers: Sequence[Peer]) -> Iterator[dict[str, Running]]:
        place = Place(self.tmp, self.sink.port)
        with contextlib.ExitStack() as stack:
            yield {peer.name: stack.enter_context(peer.running(place)) for peer in peers}

    def turns(self) -> Iterator[int]:
        """The rounds. Round 0 only warms up; there is none if the run is quick."""
        for number in range(1 if self.quick else 0, self.rounds + 1):
            if self.elapsed > self.limit:
                raise Failed(f"not finished after {self.limit:.0f} s: choose fewer rounds or parts")
            yield number


def in_turn(peers: Sequence[One], turn: int) -> list[One]:
    """The peers in order, beginning with another one in each round."""
    first = turn % len(peers)
    return [*peers[first:], *peers[:first]]


def compare(
    run: Run,
    table: Table,
    peers: Sequence[Peer],
    running: dict[str, Running],
    workloads: Sequence[Workload],
    share: float = 1.0,
) -> None:
    """CPU seconds for one message: each workload of each peer, one after the other, in each round."""
    for peer in peers:  # the order of the rows
        for workload in workloads:
            table.add(peer.name, workload.name)
    impossible: set[tuple[str, str]] = set()
    for turn in run.turns():
        for workload in workloads:
            run.progress(f"{table.name}, round {turn} of {run.rounds}: {workload.name}")
            for peer in in_turn(peers, turn):
                if (peer.name, workload.name) in impossible:
                    continue
                what = f"{table.name}: {peer.name}, {workload.name}"
                part = share * peer.share * (0.05 if run.quick else WARM_UP if turn == 0 else 1.0)
                try:
                    figure = cpu_of(workload, running[peer.name], run.sink, part, what)
                except NotOffered:
                    impossible.add((peer.name, workload.name))
                    continue
                if turn:
                    table.add(peer.name, workload.name, figure)
