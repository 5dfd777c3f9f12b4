"""What TLS costs, on neither, one or both legs, beside HAProxy doing the same.

smtp-source → HAProxy, which makes TLS of it → the peer → HAProxy, which takes TLS off → smtp-sink. Only the
CPU time of the peer is counted. `python -m benchmarks.tls`; `--quick` is only good for finding mistakes.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for `python -m benchmarks.tls`
sys.path.insert(0, str(HERE.parent))

from peers import Failed, Sink, cpu_seconds, free_port, require, resident_kib, running, tail  # noqa: E402
from proxies import Scenario, execute, sender  # noqa: E402

from trio_proxy.tls.self_signed import self_signed  # noqa: E402

SCENARIOS = (
    Scenario("small", 300, 10, keep_alive=False),
    Scenario("keep-alive", 1500, 10),
    Scenario("10 MiB", 8, 4, size=10 * 2**20, unit=("ms", 1e3)),
)
LEGS = ("none", "client", "server", "both")
PEERS = ("sansio-smtp", "HAProxy")
IDLE = "idle"
WARM_SESSIONS, IDLE_SESSIONS = 50, 200

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 100s
    timeout server 100s
"""
# Nobody takes up a session again: each connection has its whole handshake, at every peer.
TO_TLS = "ssl verify none no-ssl-reuse"


@dataclass(frozen=True)
class Setting:
    """One peer with TLS on some of its legs."""

    peer: str
    legs: str

    @property
    def in_tls(self) -> bool:
        return self.legs in ("client", "both")

    @property
    def out_tls(self) -> bool:
        return self.legs in ("server", "both")

    def command(self, listen: int, upstream: int, tmp: Path, files: Files) -> list[str]:
        if self.peer == "HAProxy":
            lines = [
                f"listen smtp\n    bind 127.0.0.1:{listen}" + f" ssl crt {files.both}" * self.in_tls,
                f"    server sink 127.0.0.1:{upstream} " + TO_TLS * self.out_tls,
            ]
            return haproxy(tmp / f"{self.legs}.cfg", *lines)
        command = [sys.executable, "-m", "trio_proxy", "-q"]
        command += ["--listen", f"{'smtps' if self.in_tls else 'smtp'}://127.0.0.1:{listen}"]
        command += ["--upstream", f"{'smtps' if self.out_tls else 'smtp'}://127.0.0.1:{upstream}"]
        if self.in_tls:
            command += ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
        return command + ["--upstream-tls", "encrypt"] * self.out_tls


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path
    both: Path


def haproxy(config: Path, *lines: str) -> list[str]:
    config.write_text(HAPROXY + "\n".join(lines) + "\n")
    return [require("haproxy"), "-db", "-q", "-f", str(config)]


@contextlib.contextmanager
def certificates(tmp: Path) -> Iterator[Files]:
    with self_signed(["127.0.0.1"]) as pair:
        both = tmp / "both.pem"
        both.touch(0o600)
        both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
        yield Files(pair.certificate, pair.key, both)


def progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{what:60.60}", end="", file=sys.stderr, flush=True)


class Harness:
    def __init__(self, options: argparse.Namespace, tmp: Path, files: Files) -> None:
        self.options, self.tmp, self.files = options, tmp, files
        self.sink = Sink(tmp)
        self.unwraps = free_port()
        self.figures: dict[tuple[Setting, str], list[float]] = {}

    def run(self) -> None:
        settings = [Setting(peer, legs) for legs in LEGS for peer in PEERS]
        with contextlib.ExitStack() as stack:
            stack.enter_context(running(self.sink.command, self.sink.port, self.sink.log))
            ports = {setting: (free_port(), free_port()) for setting in settings}
            stack.enter_context(running(*self.helper(ports), self.tmp / "helper.log"))
            pids: dict[Setting, int] = {}
            for setting, (wraps, listens) in ports.items():
                upstream = self.unwraps if setting.out_tls else self.sink.port
                command = setting.command(listens, upstream, self.tmp, self.files)
                log = self.tmp / f"{setting.peer}-{setting.legs}.log"
                pids[setting] = stack.enter_context(running(command, wraps, log))
            for number in range(self.options.rounds + 1):  # round 0 only warms up
                turn = number % len(settings)
                for scenario in SCENARIOS:
                    for setting in settings[turn:] + settings[:turn]:
                        self.measure(scenario, setting, pids[setting], ports[setting][0], counts=number > 0)
        for setting in settings:
            self.idle(setting)

    def helper(self, ports: dict[Setting, tuple[int, int]]) -> tuple[list[str], int]:
        """The HAProxy between the peers and the programs that know no TLS, and a port at which it answers."""
        probe = free_port()
        sink = f"    server sink 127.0.0.1:{self.sink.port}"
        lines = [f"listen probe\n    bind 127.0.0.1:{probe}", sink]
        lines += [f"listen off\n    bind 127.0.0.1:{self.unwraps} ssl crt {self.files.both}", sink]
        for number, (setting, (wraps, listens)) in enumerate(ports.items()):
            lines += [f"listen on{number}\n    bind 127.0.0.1:{wraps}"]
            lines += [f"    server peer 127.0.0.1:{listens} " + TO_TLS * setting.in_tls]
        return haproxy(self.tmp / "helper.cfg", *lines), probe

    def measure(self, scenario: Scenario, setting: Setting, pid: int, port: int, *, counts: bool) -> None:
        what = f"{setting.peer}, TLS {setting.legs}, {scenario.name}"
        share = 0.1 if self.options.quick or not counts else 1.0
        messages = max(scenario.sessions, round(scenario.messages * share))
        progress(what)
        arrived, cpu = self.sink.messages, cpu_seconds(pid)
        execute(sender(scenario, port, messages), what)
        self.sink.check(arrived, messages, what)
        time.sleep(0.05)  # the last sessions are being closed
        if counts:
            figure = (cpu_seconds(pid) - cpu) / messages
            self.figures.setdefault((setting, scenario.name), []).append(figure)

    def idle(self, setting: Setting) -> None:
        """Of a fresh process: one that has worked has free memory to hand out."""
        progress(f"{setting.peer}, TLS {setting.legs}, idle sessions")
        with contextlib.ExitStack() as stack:
            stack.enter_context(running(self.sink.command, self.sink.port, self.sink.log))
            wraps, listens = free_port(), free_port()
            stack.enter_context(running(*self.helper({setting: (wraps, listens)}), self.tmp / "helper.log"))
            upstream = self.unwraps if setting.out_tls else self.sink.port
            command = setting.command(listens, upstream, self.tmp, self.files)
            pid = stack.enter_context(running(command, wraps, self.tmp / "idle.log"))

            def open_sessions(count: int) -> float:
                for _ in range(count):
                    session = stack.enter_context(socket.create_connection(("127.0.0.1", wraps), timeout=10))
                    if not session.recv(500).startswith(b"220"):
                        raise Failed(f"{setting}: no greeting")
                time.sleep(0.1)
                return resident_kib(pid)

            before = open_sessions(WARM_SESSIONS)
            grown = (open_sessions(IDLE_SESSIONS) - before) / IDLE_SESSIONS
            self.figures[setting, IDLE] = [grown]


def report(harness: Harness) -> str:
    """A row for each place of TLS and peer; in brackets the ratio to HAProxy with TLS in the same place."""
    medians = {key: statistics.median(values) for key, values in harness.figures.items()}
    heads = [f"{scenario.name}, {scenario.unit[0]}" for scenario in SCENARIOS]
    rows = [["TLS on", "peer", *heads, "KiB per idle session"]]
    for legs in LEGS:
        for peer in PEERS:
            row = [legs, peer]
            for scenario in SCENARIOS:
                value = medians[Setting(peer, legs), scenario.name]
                ratio = value / medians[Setting("HAProxy", legs), scenario.name]
                row.append(f"{value * scenario.unit[1]:.0f} ({ratio:.1f})")
            rows.append([*row, f"{medians[Setting(peer, legs), IDLE]:.1f}"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    note = f"CPU per message; in brackets the ratio to HAProxy; medians of {harness.options.rounds} round(s)"
    return "\n".join([note, "", *lines])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many count, after one that warms up (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one round")
    options = parser.parse_args(arguments)
    options.rounds = 1 if options.quick else max(1, options.rounds)
    for program in ("smtp-source", "smtp-sink", "haproxy"):
        require(program)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the programs started are ended too
    with tempfile.TemporaryDirectory(prefix="benchmark-") as tmp, certificates(Path(tmp)) as files:
        harness = Harness(options, Path(tmp), files)
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
    print(report(harness))
    return 0


if __name__ == "__main__":
    sys.exit(main())
