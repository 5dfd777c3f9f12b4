"""The messages that are sent through each proxy, and the measuring of CPU time for them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass

from .peers import Running
from .programs import HERE, Failed, Sink, cpu_seconds, execute, require

__all__ = [
    "MIB",
    "SETTLED",
    "WORKLOADS",
    "NotOffered",
    "Workload",
    "cpu_of",
    "cpu_of_sending",
    "send",
    "source",
]

MIB = 2**20
NOT_OFFERED = 3  # the status of client.py


class NotOffered(Exception):
    """The peer does not offer PIPELINING."""


@dataclass(frozen=True)
class Workload:
    name: str
    messages: int
    sessions: int = 10
    size: int = 4096
    recipients: int = 1
    keep_alive: bool = True
    groups: bool = False
    unit: tuple[str, float] = ("µs", 1e6)


WORKLOADS = (
    Workload("keep-alive", 2000),
    Workload("small", 800, keep_alive=False),
    Workload("50 recipients", 160, recipients=50),
    Workload("pipelined", 2000, groups=True),
    Workload("10 MiB", 12, sessions=4, size=10 * MIB, unit=("ms", 1e3)),
)
SETTLED = 0.05
"""Seconds for the last sessions to be closed."""


def scaled(workload: Workload, share: float) -> int:
    return max(workload.sessions, round(workload.messages * share))


def cpu_of(workload: Workload, peer: Running, sink: Sink, share: float, what: str) -> float:
    """CPU seconds for one message, connections included."""
    messages = scaled(workload, share)
    if workload.groups:
        return cpu_of_sending(workload, peer, sink, messages, what)
    before = cpu_seconds(peer.pid)
    send(workload, peer, sink, messages, what)
    time.sleep(SETTLED)
    return (cpu_seconds(peer.pid) - before) / messages


def send(workload: Workload, peer: Running, sink: Sink, messages: int, what: str) -> None:
    """Sends with smtp-source, connections included."""
    with sink.expecting(what) as sent:
        execute(source(workload, peer.port, messages), what, 600.0)
        sent[0] = messages


def source(workload: Workload, port: int, messages: int) -> list[str]:
    """The command line of smtp-source."""
    options = {"-s": workload.sessions, "-m": messages, "-l": workload.size, "-r": workload.recipients}
    words = [str(word) for pair in options.items() for word in pair]
    return [require("smtp-source"), *words, *["-d"] * workload.keep_alive, f"127.0.0.1:{port}"]


def cpu_of_sending(workload: Workload, peer: Running, sink: Sink, messages: int, what: str) -> float:
    """CPU seconds for one message in sessions that are open before and stay open."""
    command = [sys.executable, str(HERE / "client.py"), str(peer.port), "--steps", f"--messages={messages}"]
    command += [f"--sessions={workload.sessions}", f"--size={workload.size}"]
    command += [f"--recipients={workload.recipients}", *["--groups"] * workload.groups]
    with sink.expecting(what) as sent, Sender(command, what) as sender:
        sender.goes_on("open")
        time.sleep(SETTLED)
        before = cpu_seconds(peer.pid)
        sender.goes_on("sent")
        figure = (cpu_seconds(peer.pid) - before) / messages
        sent[0] = sender.ends()
    return figure


class Sender:
    """`client.py --steps`, step by step."""

    def __init__(self, command: list[str], what: str) -> None:
        self._what = what
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._begun = False

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.__exit__(None, None, None)

    def goes_on(self, until: str) -> None:
        """Lets it continue until it prints this line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._begun:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        self._begun = True
        if self._process.stdout.readline() != f"{until}\n":
            self._failed()

    def ends(self) -> int:
        """Waits for its end. Returns the number of accepted messages."""
        output, errors = self._process.communicate("\n", timeout=60)
        if self._process.returncode:
            raise Failed(f"{self._what}: {errors[-500:]}")
        taken: int = json.loads(output)["messages"]
        return taken

    def _failed(self) -> None:
        assert self._process.stderr is not None
        status, errors = self._process.wait(10), self._process.stderr.read()
        raise NotOffered(self._what) if status == NOT_OFFERED else Failed(f"{self._what}: {errors[-500:]}")
