"""Measures the core without sockets: the cost of one dialogue in `Proxy`, compared with the bare memory work.

`python benchmarks/core.py`; `--quick` only finds mistakes. `--against DIR` measures another checkout and this
one in turn, and prints the ratio: check this figure before and after a change.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Works from a checkout too. A worker is told which one.
sys.path.insert(0, os.environ.get("BENCHMARK_CHECKOUT") or str(Path(__file__).resolve().parent.parent))

from sansio_smtp import (
    CLIENT,
    SERVER,
    Close,
    Config,
    Proxy,
    SendToClient,
    SendToServer,
    Side,
)

SEGMENT = 131072  # what a driver reads at once
LARGE = 10 * 2**20
LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once more\r\n"
Step = tuple[Side, bytes]

GREETING: tuple[Step, ...] = (
    (SERVER, b"220 mx.example ESMTP\r\n"),
    (CLIENT, b"EHLO client.example\r\n"),
    (SERVER, b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n"),
)
MAIL, RCPT, DATA = b"MAIL FROM:<a@client.example>\r\n", b"RCPT TO:<b@server.example>\r\n", b"DATA\r\n"
OK, GO = b"250 2.0.0 Ok\r\n", b"354 End data with <CR><LF>.<CR><LF>\r\n"


def cut(content: bytes, size: int = SEGMENT) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def exchange(command: bytes, reply: bytes) -> list[Step]:
    return [(CLIENT, command), (SERVER, reply)]


def transaction(content: bytes, recipients: int = 1) -> list[Step]:
    """One command at a time, as smtp-source and most clients do it."""
    envelope = [*exchange(MAIL, OK), *exchange(RCPT, OK) * recipients, *exchange(DATA, GO)]
    return [*envelope, *((CLIENT, segment) for segment in cut(content + b".\r\n")), (SERVER, OK)]


def group(content: bytes) -> list[Step]:
    """MAIL, RCPT and DATA in one segment (RFC 2920), and their three replies in another."""
    return [*exchange(MAIL + RCPT + DATA, OK + OK + GO), *exchange(content + b".\r\n", OK)]


def mail(size: int, dotted: int = 0) -> bytes:
    """Lines of 76; of each 100, `dotted` begin with a (stuffed) dot."""
    lines = (b".." + LINE[2:] if k * dotted % 100 < dotted else LINE for k in range(size // len(LINE)))
    return b"Subject: a measurement\r\n\r\n" + b"".join(lines)


def text(size: int) -> bytes:
    """Lines of different lengths, with dots and none at their beginnings."""
    words = b"So it was. And then it was not, which somebody had to tell us, e.g. at noon. ".split() * 2
    lines = (b" ".join(words[k % 5 : k % 5 + 12 + k % 7]) + b"\r\n" for k in range(size))
    found = bytearray(b"Subject: a measurement\r\n\r\n")
    while len(found) < size:
        found += next(lines)
    return bytes(found)


def few_bare(content: bytes) -> bytes:
    """One line in 100 ends in a bare LF: the segments are ordinary, but none may pass unchanged."""
    return re.sub(rb"((?:[^\n]*\n){99}[^\r\n]*)\r\n", rb"\1\n", content)


@dataclass(frozen=True)
class Case:
    name: str
    steps: Sequence[Step]
    expect: Callable[[bytes, bytes], bool]  # (sent to the server, sent to the client)
    unit: tuple[str, float] = ("µs", 1e6)
    per: int = 1  # how often the measured event happens in the steps


def passes(steps: Sequence[Step], to_server: bytes, to_client: bytes) -> bool:
    """Checks that every octet passes unchanged."""
    return (to_server, to_client) == tuple(
        b"".join(d for side, d in steps if side is s) for s in (CLIENT, SERVER)
    )


def normalized(content: bytes, to_server: bytes, _to_client: bytes) -> bool:
    return to_server.endswith(content + b".\r\n") and b"\r\r" not in to_server


def refusal(to_server: bytes, to_client: bytes) -> bool:
    return not to_server and to_client.startswith(b"5")


def unchanged(name: str, steps: Sequence[Step], unit: tuple[str, float] = ("µs", 1e6)) -> Case:
    return Case(name, steps, functools.partial(passes, steps), unit)


def cases() -> list[Case]:
    small, ms = mail(4096), ("ms", 1e3)
    plain, dotted = mail(LARGE), mail(LARGE, dotted=5)
    restored = functools.partial(normalized, plain)
    refused = b"STARTTLS\r\n"  # the server did not offer it, so we answer
    return [
        unchanged("4 KiB, one command at a time", transaction(small)),
        unchanged("4 KiB, command groups", group(small)),
        unchanged("4 KiB, 50 recipients", transaction(small, 50)),
        Case(
            "a command that we refuse",
            [(CLIENT, refused)] * 10,
            per=10,
            expect=lambda s, c: not s and c[:1] == b"5",
        ),
        unchanged("10 MiB, no dotted lines", transaction(plain), ms),
        unchanged("10 MiB, text", transaction(text(LARGE)), ms),
        unchanged("10 MiB, 5 % dotted lines", transaction(dotted), ms),
        Case("10 MiB, 1 % bare LF", transaction(few_bare(plain)), restored, ms),
        Case("10 MiB, all bare LF", transaction(plain[:-2].replace(b"\r\n", b"\n") + b"\r\n"), restored, ms),
    ]


def verify(case: Case) -> None:
    """Checks the result: a fast wrong answer is useless."""
    proxy = Proxy(Config(max_errors=10**9))
    for side, data in GREETING:
        proxy.receive_from(side, data)
    events = [event for side, data in case.steps for event in proxy.receive_from(side, data)]
    to_server = b"".join(event.data for event in events if isinstance(event, SendToServer))
    to_client = b"".join(event.data for event in events if isinstance(event, SendToClient))
    broken = [event for event in events if isinstance(event, Close)]
    if broken or not case.expect(to_server, to_client):
        print(f"FAILED  {case.name}: {broken or 'not the octets that were expected'}", file=sys.stderr)
        raise SystemExit(1)


def dialogue(case: Case) -> Callable[[], None]:
    """The measured function: repeats the steps in one session, and uses the core like the driver does, taking
    each send out of its event."""
    proxy = Proxy(Config(max_errors=10**9))
    for side, data in GREETING:
        proxy.receive_from(side, data)

    def run() -> None:
        pass_on, receive = proxy.pass_on, proxy.receive_from
        for side, data in case.steps:
            if pass_on(side, data) is not None:
                if proxy.answers:
                    proxy.forget_answered()
                continue
            for event in receive(side, data):
                if isinstance(event, SendToServer | SendToClient):
                    event.data  # noqa: B018

    return run


def copying(case: Case) -> Callable[[], None]:
    def run() -> None:
        for _side, data in case.steps:
            bytearray(data)

    return run


def finding(case: Case) -> Callable[[], None]:
    """The cheapest possible framing: one search for the end of each input."""

    def run() -> None:
        for _side, data in case.steps:
            data.find(b"\r\n.\r\n")

    return run


def seconds(runs: Sequence[Callable[[], None]], budget: float) -> list[float]:
    """CPU seconds of each: medians of five rounds, measured in turn so that a slow phase of the machine
    affects all."""
    counts = []
    for run in runs:
        start = time.process_time()
        run()
        counts.append(max(1, round(budget / 5 / max(time.process_time() - start, 1e-6))))
    rounds: list[list[float]] = [[] for _ in runs]
    for _ in range(5):
        for run, count, round_ in zip(runs, counts, rounds, strict=True):
            start = time.process_time()
            for _ in range(count):
                run()
            round_.append((time.process_time() - start) / count)
    return [statistics.median(round_) for round_ in rounds]


class Worker:
    """A process that measures cases in one checkout, one round for each request."""

    def __init__(self, checkout: Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            env=os.environ | environment | {"BENCHMARK_CHECKOUT": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, case: int, count: int) -> float:
        """CPU seconds for so many runs of a case."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(case, count, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def work() -> None:
    """The main function of a worker."""
    runs = [dialogue(case) for case in cases()]
    for line in sys.stdin:
        case, count = map(int, line.split())
        start = time.process_time()
        for _ in range(count):
            runs[case]()
        print(time.process_time() - start, flush=True)


def compare(other: Path, chosen: str, budget: float, rounds: int = 15) -> None:
    """Each case in both checkouts, round by round in turn; the median of the ratios of the rounds."""
    workers = Worker(Path(__file__).resolve().parent.parent), Worker(other)
    print(f"{'case':32}{'here':>12}{'there':>12}{'here ÷ there':>14}{'min to max':>16}")
    for index, case in enumerate(cases()):
        if chosen not in case.name:
            continue
        verify(case)
        count = max(1, round(budget / rounds / max(workers[0].seconds(index, 1), 1e-6)))
        pairs = [tuple(worker.seconds(index, count) / count / case.per for worker in workers)]
        pairs += [tuple(w.seconds(index, count) / count / case.per for w in workers) for _ in range(rounds)]
        ratios = sorted(here / there for here, there in pairs[1:])
        unit, factor = case.unit
        here, there = (statistics.median(column) * factor for column in zip(*pairs[1:], strict=True))
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        ratio = statistics.median(ratios)
        print(f"{case.name:32}{here:9.2f} {unit}{there:9.2f} {unit}{ratio:14.3f}{spread:>16}", flush=True)
    for worker in workers:
        worker.stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="much less time on each figure")
    parser.add_argument("--case", help="only the cases whose name contains this")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, to be compared with")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work()
        return 0
    budget = 0.03 if options.quick else 0.7
    if options.against is not None:
        compare(options.against.resolve(), options.case or "", budget)
        return 0
    print(f"{'case':32}{'core':>12}{'copy':>12}{'find':>12}{'core ÷ find':>14}{'MB/s':>8}")
    for case in cases():
        if options.case and options.case not in case.name:
            continue
        verify(case)
        runs = [dialogue(case), copying(case), finding(case)]
        core, copy, find = (each / case.per for each in seconds(runs, budget))
        unit, factor = case.unit
        size = sum(len(data) for _side, data in case.steps)
        speed = f"{size / core / 1e6:8.0f}" if size > LARGE // 2 else " " * 8
        figures = "".join(f"{value * factor:9.2f} {unit}" for value in (core, copy, find))
        print(f"{case.name:32}{figures}{core / find:14.1f}{speed}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
