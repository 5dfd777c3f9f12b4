"""Finds, starts, measures and ends the programs. Their set-up is shared with tests/interop."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
sys.path.insert(0, str(CHECKOUT / "tests" / "interop"))  # benchmarks use the peers of the tests

from interop_daemon import Daemon  # noqa: E402
from interop_postfix import free_port  # noqa: E402

__all__ = ["CHECKOUT", "EX_UNAVAILABLE", "HERE", "Failed", "Sink", "cpu_seconds", "execute", "free_port"]
__all__ += ["kept_busy", "process_tree", "pss_kib", "require", "running", "which"]

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"  # not in every user's PATH
EX_UNAVAILABLE = 69
PACKAGES = {"smtp-source": "postfix", "smtp-sink": "postfix"}
_LOOP = """
import os
parent = os.getppid()
while os.getppid() == parent:  # it may have been killed
    for _ in range(1_000_000):
        pass
"""


class Failed(Exception):
    """The figures are not valid: a message is missing, or a program ended."""


def which(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


def require(program: str) -> str:
    if path := which(program):
        return path
    package = PACKAGES.get(program, program)
    print(f"{program} is not installed: install Debian's {package}", file=sys.stderr)
    raise SystemExit(EX_UNAVAILABLE)


def process_tree(pid: int) -> list[int]:
    tree = [pid]
    for parent in tree:  # grows while it runs
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has just ended
                tree += map(int, children.read_text().split())
    return tree


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole tree, children that have ended included. The clock of a process
    counts nanoseconds; the time of ended children, in /proc/PID/stat, is in units of 10 ms."""
    total = 0.0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
            total += time.clock_gettime((~each << 3) | 2) + ended
    return total


def pss_kib(pid: int) -> float:
    """The memory of the tree. Shared pages count in parts."""
    total = 0.0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(
                r"^Pss: +(\d+) kB", Path(f"/proc/{each}/smaps_rollup").read_text(), re.MULTILINE
            )
            total += float(found[1]) if found else 0.0
    return total


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, tmp: Path) -> Iterator[int]:
    """Starts a server, and gives its process id when it accepts connections. It must still run at the end,
    and is then ended by its id."""
    log = tmp / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{port}.log"
    server = Daemon(command, log, ("127.0.0.1", port), 30.0)
    try:
        server.start()
        try:
            yield server.pid
            if not server.lives:
                raise Failed(f"{name} ended by itself:\n{server.output()[-1500:]}")
        finally:
            server.stop(10)
    except AssertionError as error:
        raise Failed(f"{name}: {error}") from None


@contextlib.contextmanager
def kept_busy(cores: Iterable[int]) -> Iterator[None]:
    """Runs a loop on each of these cores while nothing else wants it. Two virtual cores are often threads of
    one core: then a program is slower while the other core works, and CPU time depends on what runs there."""
    with contextlib.ExitStack() as stack:
        for core in cores:
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", _LOOP]))
            stack.callback(loop.kill)
            os.sched_setaffinity(loop.pid, [core])
            os.sched_setscheduler(loop.pid, os.SCHED_IDLE, os.sched_param(0))
        yield


def execute(command: list[str], what: str, seconds: float = 120.0) -> str:
    """Runs a program, and returns its output. It must succeed within so many seconds."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: not finished after {seconds:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout)[-500:]
        raise Failed(f"{what}: {Path(command[0]).name} ended with {done.returncode}: {said}")
    return done.stdout


class Sink:
    """smtp-sink with its own count of messages, because a peer that answers 250 may not have delivered."""

    def __init__(self, tmp: Path) -> None:
        self.port = free_port()
        self.pid = 0
        """While it runs."""
        self._tmp = tmp
        self._log = tmp / f"smtp-sink-{self.port}.log"

    @contextlib.contextmanager
    def running(self) -> Iterator[Sink]:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        address = f"127.0.0.1:{self.port}"
        command = [require("smtp-sink"), *user, "-c", "-m", "15000", address, "4096"]
        with running("smtp-sink", command, self.port, self._tmp) as self.pid:
            yield self

    @property
    def messages(self) -> int:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 200))
            counts = re.findall(rb"mesg=(\d+)", log.read())
        return int(counts[-1]) if counts else 0

    @contextlib.contextmanager
    def expecting(self, what: str) -> Iterator[list[int]]:
        """Gives a list for the number of sent messages. Exactly as many must have arrived."""
        before, sent = self.messages, [0]
        yield sent
        deadline = time.monotonic() + 3  # its count is written a moment after its reply
        while (arrived := self.messages - before) != sum(sent) and time.monotonic() < deadline:
            time.sleep(0.01)
        if arrived != sum(sent):
            raise Failed(f"{what}: {sum(sent)} messages were sent, {arrived} arrived")
