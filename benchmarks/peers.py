"""The proxies that are compared, and the processes they run in: started, watched and ended by their id."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"  # not in every user's PATH
EX_UNAVAILABLE = 69

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 100s
    timeout server 100s
listen smtp
    bind 127.0.0.1:{listen}
    server sink 127.0.0.1:{upstream}
"""


class Failed(Exception):
    """The figures would be worthless: a message is missing, or a program ended."""


@dataclass(frozen=True)
class Peer:
    name: str
    command: Callable[[int, int, Path], list[str]]  # (listen, upstream, temporary directory)
    share: float = 1.0  # of each scenario's messages: a slow peer may not take all the time


def ours(listen: int, upstream: int, _tmp: Path) -> list[str]:
    addresses = ["--listen", f"127.0.0.1:{listen}", "--upstream", f"127.0.0.1:{upstream}"]
    return [sys.executable, "-m", "trio_proxy", "-q", *addresses]


def relay(listen: int, upstream: int, _tmp: Path) -> list[str]:
    addresses = ["--listen", f"127.0.0.1:{listen}", "--upstream", f"127.0.0.1:{upstream}"]
    return [sys.executable, str(HERE / "relay.py"), *addresses]


def haproxy(listen: int, upstream: int, tmp: Path) -> list[str]:
    config = tmp / "haproxy.cfg"
    config.write_text(HAPROXY.format(listen=listen, upstream=upstream))
    return [require("haproxy"), "-db", "-q", "-f", str(config)]


def aiosmtpd(listen: int, upstream: int, _tmp: Path) -> list[str]:
    return [sys.executable, str(HERE / "aiosmtpd_proxy.py"), str(listen), str(upstream)]


PEERS = (
    Peer("sansio-smtp", ours),
    Peer("Trio byte relay", relay),
    Peer("HAProxy", haproxy),
    Peer("aiosmtpd", aiosmtpd, share=0.15),
)
REFERENCES = ("HAProxy", "Trio byte relay")  # the first that takes part is what the ratios are to


def which(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


def require(program: str) -> str:
    if path := which(program):
        return path
    package = "postfix" if program.startswith("smtp-") else program
    print(f"{program} is not installed: install Debian's {package}", file=sys.stderr)
    raise SystemExit(EX_UNAVAILABLE)


def installed(peer: Peer) -> bool:
    if peer.command is haproxy:
        return which("haproxy") is not None
    return peer.command is not aiosmtpd or importlib.util.find_spec("aiosmtpd") is not None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def process_tree(pid: int) -> list[int]:
    tree = [pid]
    for parent in tree:  # grows while it runs
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            tree += map(int, children.read_text().split())
    return tree


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole tree.  /proc/PID/stat counts in 10 ms, the process clock in ns."""
    tree = process_tree(pid)
    reaped = 0
    for each in tree:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        reaped += int(fields[13]) + int(fields[14])
    return sum(time.clock_gettime((~each << 3) | 2) for each in tree) + reaped / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> float:
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in process_tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[int]:
    """Start a server, wait for a greeting on its port, and end exactly this process afterwards."""
    env = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=env) as process,
    ):
        try:
            deadline = time.monotonic() + 15
            while not greeted(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{' '.join(command)} did not start")
                time.sleep(0.05)
            yield process.pid
            if process.poll() is not None:
                raise Failed(f"{' '.join(command)} ended with {process.returncode}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:]


def greeted(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        greeting = sock.recv(500)
        sock.sendall(b"QUIT\r\n")
        while sock.recv(500):  # a full goodbye, else the peer may count a broken session
            pass
        return greeting.startswith(b"220")
    return False


class Sink:
    """smtp-sink and its own count of messages: a peer that answers 250 has not yet delivered anything."""

    def __init__(self, tmp: Path) -> None:
        self.port = free_port()
        self.log = tmp / "smtp-sink"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.command = [require("smtp-sink"), *user, "-c", "-m", "2000", f"127.0.0.1:{self.port}", "1024"]

    @property
    def messages(self) -> int:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 200))
            counts = re.findall(rb"mesg=(\d+)", log.read())
        return int(counts[-1]) if counts else 0

    def check(self, before: int, messages: int, what: str) -> None:
        deadline = time.monotonic() + 3  # its count is written a moment after its reply
        while (arrived := self.messages - before) != messages and time.monotonic() < deadline:
            time.sleep(0.01)
        if arrived != messages:
            raise Failed(f"{what}: {messages} messages were sent, {arrived} arrived")
