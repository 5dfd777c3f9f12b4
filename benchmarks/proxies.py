"""Our proxy beside other proxies: CPU per message, latency, memory of an open session.

smtp-source (or benchmarks/client.py, where smtp-source cannot) → the proxy → smtp-sink, over loopback.
`python -m benchmarks.proxies`; `--quick` takes a minute less and is only good for finding mistakes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for `python -m benchmarks.proxies`

from peers import (  # noqa: E402
    EX_UNAVAILABLE,
    PEERS,
    REFERENCES,
    Failed,
    Peer,
    Sink,
    cpu_seconds,
    free_port,
    installed,
    require,
    resident_kib,
    running,
    tail,
)

NOT_OFFERED = 3  # client.py: no PIPELINING
WARM_SESSIONS, IDLE_SESSIONS = 50, 200


@dataclass(frozen=True)
class Scenario:
    name: str
    messages: int
    sessions: int
    size: int = 4096
    recipients: int = 1
    keep_alive: bool = True
    unit: tuple[str, float] = ("µs", 1e6)
    groups: bool = False


SCENARIOS = (
    Scenario("small", 1500, 10, keep_alive=False),
    Scenario("keep-alive", 4000, 10),
    Scenario("50 recipients", 300, 10, recipients=50),
    Scenario("pipelined groups", 4000, 10, groups=True),
    Scenario("10 MiB", 16, 4, size=10 * 2**20, unit=("ms", 1e3)),
)
LATENCY, IDLE = "latency", "idle"
COLUMNS = (*(scenario.name for scenario in SCENARIOS), LATENCY, IDLE)


def execute(command: list[str], what: str, *accept: int) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: not finished after 60 s") from None
    if done.returncode not in (0, *accept):
        raise Failed(f"{what}: {Path(command[0]).name} ended with {done.returncode}: {done.stderr[-500:]}")
    return done


def client(port: int, *options: str) -> list[str]:
    return [sys.executable, str(HERE / "client.py"), str(port), *options]


def sender(scenario: Scenario, port: int, messages: int) -> list[str]:
    if scenario.groups:
        counts = (f"--messages={messages}", f"--sessions={scenario.sessions}", f"--size={scenario.size}")
        return client(port, *counts, "--seconds=60", "--groups")
    options = {"-s": scenario.sessions, "-m": messages, "-l": scenario.size, "-r": scenario.recipients}
    words = [str(word) for pair in options.items() for word in pair]
    return [require("smtp-source"), *words, *["-d"] * scenario.keep_alive, f"127.0.0.1:{port}"]


class Harness:
    def __init__(self, options: argparse.Namespace, peers: list[Peer], tmp: Path) -> None:
        self.options, self.peers, self.tmp = options, peers, tmp
        self.wanted: list[str] = options.scenario or list(COLUMNS)
        self.scenarios = [scenario for scenario in SCENARIOS if scenario.name in self.wanted]
        self.sink = Sink(tmp)
        self.results: dict[tuple[str, str], list[tuple[float, ...]]] = {}
        self.started = time.monotonic()
        self.rounds = 0
        self.shown = ""
        self.impossible: set[str] = set()

    def record(self, peer: Peer, column: str, *values: float) -> None:
        self.results.setdefault((peer.name, column), []).append(values)

    def progress(self, what: str, peer: Peer) -> None:
        elapsed = f"{time.monotonic() - self.started:4.0f} s"
        if sys.stderr.isatty():
            print(f"\r{f'{elapsed}  {what}, {peer.name}':78.78}", end="", file=sys.stderr, flush=True)
        elif what != self.shown:  # a log wants lines, and fewer of them
            print(f"{elapsed}  {what}", file=sys.stderr, flush=True)
        self.shown = what

    def measure(self, scenario: Scenario, peer: Peer, pid: int, port: int, *, warm_up: bool) -> None:
        what = f"{peer.name}, {scenario.name}"
        if scenario.groups and warm_up:
            probe = execute(client(port, "--groups", "--probe"), what, NOT_OFFERED)
            if probe.returncode == NOT_OFFERED:
                self.impossible.add(what)
        if what in self.impossible:
            return
        share = peer.share * (0.1 if self.options.quick or warm_up else 1.0)
        messages = max(scenario.sessions, round(scenario.messages * share))
        arrived, cpu = self.sink.messages, cpu_seconds(pid)
        execute(sender(scenario, port, messages), what)
        self.sink.check(arrived, messages, what)
        time.sleep(0.05)  # the last sessions are being closed
        if not warm_up:
            self.record(peer, scenario.name, (cpu_seconds(pid) - cpu) / messages)

    def latency(self, peer: Peer, port: int) -> None:
        what = f"{peer.name}, latency"
        count = 40 if self.options.quick else 400
        before = self.sink.messages
        result = json.loads(execute(client(port, f"--messages={count}", "--seconds=4"), what).stdout)
        self.sink.check(before, result["messages"], what)
        self.record(peer, LATENCY, result["p50"], result["p99"])

    def idle(self, peer: Peer) -> None:
        """Of a fresh process: one that has worked has free memory to hand out."""
        port = free_port()
        log = self.tmp / "idle.log"
        with contextlib.ExitStack() as stack:
            pid = stack.enter_context(running(peer.command(port, self.sink.port, self.tmp), port, log))

            def open_sessions(count: int) -> float:
                for _ in range(count):
                    session = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                    if not session.recv(500).startswith(b"220"):
                        raise Failed(f"{peer.name}, idle: no greeting")
                time.sleep(0.1)
                return resident_kib(pid)

            before = open_sessions(WARM_SESSIONS)
            self.record(peer, IDLE, (open_sessions(IDLE_SESSIONS) - before) / IDLE_SESSIONS)

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(running(self.sink.command, self.sink.port, self.sink.log))
            started: dict[str, tuple[int, int]] = {}
            for peer in self.peers:
                port = free_port()
                command = peer.command(port, self.sink.port, self.tmp)
                log = self.tmp / f"{peer.name}.log"
                started[peer.name] = stack.enter_context(running(command, port, log)), port
            for number in range(self.options.rounds + 1):  # round 0 only warms up
                round_ = f"round {number} of {self.options.rounds}" if number else "warm-up"
                turn = number % len(self.peers)
                order = self.peers[turn:] + self.peers[:turn]
                for scenario in self.scenarios:
                    for peer in order:
                        if time.monotonic() - self.started > self.options.limit:
                            return
                        self.progress(f"{round_}: {scenario.name}", peer)
                        self.measure(scenario, peer, *started[peer.name], warm_up=number == 0)
                if number and LATENCY in self.wanted:
                    for peer in order:
                        self.progress(f"{round_}: latency", peer)
                        self.latency(peer, started[peer.name][1])
                self.rounds = number
            if IDLE in self.wanted:
                for peer in self.peers:
                    self.progress("idle sessions", peer)
                    self.idle(peer)


def report(harness: Harness) -> str:
    """A row for each peer; in brackets the ratio to the reference in the same column."""
    names = [peer.name for peer in harness.peers]
    reference = next((name for name in REFERENCES if name in names), names[0])
    medians = {
        key: [statistics.median(values) for values in zip(*rounds[: harness.rounds], strict=True)]
        for key, rounds in harness.results.items()
    }
    units = {scenario.name: scenario.unit for scenario in SCENARIOS}

    def cell(name: str, column: str) -> str:
        if (name, column) not in medians:
            return "-"
        values = medians[name, column]
        if column == LATENCY:
            return "/".join(f"{value:.2f}" for value in values)
        if column == IDLE:
            return f"{values[0]:.1f}"
        figure = values[0] * units[column][1]
        base = medians.get((reference, column))
        ratio = f" ({values[0] / base[0]:.1f})" if base and name != reference else ""
        return f"{figure:.{1 if figure < 20 else 0}f}{ratio}"

    heads = {LATENCY: "p50/p99, ms", IDLE: "KiB per idle session"}
    columns = [column for column in COLUMNS if column in harness.wanted]
    titles = [heads.get(column) or f"{column}, {units[column][0]}" for column in columns]
    rows = [["peer", *titles], *([name, *(cell(name, column) for column in columns)] for name in names)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(titles) + 1)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    note = f"CPU per message; in brackets the ratio to {reference}; medians of {harness.rounds} round(s)"
    return "\n".join([note, "", *lines])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many count, after one that warms up (3)")
    parser.add_argument("--scenario", action="append", choices=COLUMNS, help="only this one; may be repeated")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peer", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one round")
    parser.add_argument("--limit", type=float, default=220, help="start nothing after so many seconds (220)")
    options = parser.parse_args(arguments)
    options.rounds = 1 if options.quick else max(1, options.rounds)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    require("smtp-source")
    require("smtp-sink")
    if not Path("/proc/self/task").is_dir():
        print("only on Linux: the CPU of a process is read from /proc", file=sys.stderr)
        return EX_UNAVAILABLE
    peers = []
    for peer in PEERS:
        if options.peer and peer.name not in options.peer:
            continue
        if installed(peer):
            peers.append(peer)
        else:
            print(f"{peer.name}: not installed, left out")
    if not peers:
        return EX_UNAVAILABLE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the programs started are ended too
    with tempfile.TemporaryDirectory(prefix="benchmark-") as tmp:
        harness = Harness(options, peers, Path(tmp))
        try:
            harness.run()
        except Failed as error:
            print(f"\nFAILED  {error}", file=sys.stderr)
            for log in sorted(Path(tmp).glob("*.log")):
                if text := tail(log).strip():
                    print(f"\nthe end of what {log.stem} said:\n{text}", file=sys.stderr)
            return 1
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if harness.rounds < options.rounds:
        print(f"stopped by the limit of {options.limit:.0f} s after {harness.rounds} rounds", file=sys.stderr)
    if not harness.rounds:
        return 1
    print(report(harness))
    return 0


if __name__ == "__main__":
    sys.exit(main())
