"""Sends mail through the executable while what it writes goes somewhere bad, and counts what arrives."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
from commands import COMMAND, connect, environment, submit
from drivers import DEADLINE, Peer

__all__ = ["PLACES", "SOON", "Counts", "Place", "count"]

SOON = 20.0
"""Seconds within which the service ends: less than the grace period, and far more than it needs."""
RULES = """
import warnings

def rcpt(tx, to):
    print("a rule prints", "\\u20ac" * 20)
    warnings.warn(f"a rule warns of {to.address}", stacklevel=1)

def message(tx, msg):
    msg.headers.set("X-Seen", "yes")
"""
EVERYTHING = ("-vv", "--transcript", "--rules", "rules.py")


@attrs.frozen
class Place:
    """Where standard output and standard error of the service go."""

    name: str
    arguments: tuple[str, ...] = EVERYTHING
    redirect: str = ""
    """For the shell."""
    pipe: str = ""
    """If both go to a pipe: ``"closed"`` if nobody can read it, ``"unread"`` if nobody does, ``"slow"``. Or
    to a ``"terminal"`` or a ``"socket"`` that nobody reads."""
    variables: dict[str, str] = attrs.field(factory=dict)


LATIN = {"PYTHONIOENCODING": "latin-1"}
JSON = {"SMTP_PROXY_LOG_FORMAT": "json"}
WORKERS = (*EVERYTHING, "--workers", "2")
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PLACES = [
    Place("file", redirect="> out 2> err"),
    Place("log on /dev/full", ("-v",), redirect="> out 2> /dev/full"),
    Place("all on /dev/full", redirect="> /dev/full 2>&1"),
    Place("log closed", redirect="> out 2>&-"),
    Place("all closed", redirect="<&- >&- 2>&-"),
    Place("closed pipe", pipe="closed"),
    Place("pipe that nobody reads", pipe="unread"),
    Place("terminal that nobody reads", pipe="terminal"),
    Place("socket that nobody reads", pipe="socket"),
    Place("slow reader", pipe="slow"),
    Place("JSON on /dev/full", (), redirect="> out 2> /dev/full", variables=JSON),
    Place("JSON in a closed pipe", (), pipe="closed", variables=JSON),
    Place("JSON in a pipe that nobody reads", (), pipe="unread", variables=JSON),
    Place("workers on /dev/full", WORKERS, redirect="> /dev/full 2>&1"),
    Place("workers on a closed pipe", WORKERS, pipe="closed"),
    Place("workers on a pipe that nobody reads", WORKERS, pipe="unread"),
    Place("Latin-1", redirect="> out 2> err", variables=LATIN),
    Place("ASCII", redirect="> out 2> err", variables={"PYTHONIOENCODING": "ascii"}),
    Place("LC_ALL=C", redirect="> out 2> err", variables=PLAIN_C),
]


@attrs.frozen
class Counts:
    sent: int
    answered: int
    """How many of them with 250."""
    delivered: int
    status: int
    """Of the process, after SIGTERM."""
    seconds: float
    """That it took to end."""
    written: str
    """To the files or the pipe."""


def count(directory: Path, place: Place, clients: int, messages: int) -> Counts:
    (directory / "rules.py").write_text(RULES)
    path = directory / "in.sock"
    arguments = [*COMMAND, "--listen", f"unix:{path}", "--capture", "kept", *place.arguments]
    shell = ["sh", "-c", f'exec "$@" {place.redirect}', "sh", *arguments]
    with _pipe(place.pipe) as (write_end, said):
        process = subprocess.Popen(
            shell, cwd=directory, env=environment(**place.variables), stdout=write_end, stderr=write_end
        )
        if write_end is not None:
            os.close(write_end)
        try:
            _wait_for(path, process)
            answered: list[bytes] = []
            threads = [
                threading.Thread(target=_send, args=(str(path), messages, answered)) for _ in range(clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20 * DEADLINE)
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            status = process.wait(2 * DEADLINE)
            seconds = time.monotonic() - started
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE)
    written = said() + b"".join(
        each.read_bytes() for each in map(directory.joinpath, ("out", "err")) if each.exists()
    )
    new = directory / "kept" / "new"
    return Counts(
        clients * messages,
        sum(reply.startswith(b"250 ") for reply in answered),
        len(list(new.iterdir())) if new.exists() else 0,
        status,
        seconds,
        written.decode("latin-1"),
    )


def _send(path: str, messages: int, answered: list[bytes]) -> None:
    with suppress(OSError, EOFError), _connected(path) as client:
        client.expect(b"220 ...")
        client.send("EHLO π.example".encode())
        client.reply()
        answered.extend(submit(client, b"Subject: %d\r\n\r\nhi\r\n" % n) for n in range(messages))


def _connected(path: str) -> Peer:
    """The socket is there a moment before anybody listens to it."""
    until = time.monotonic() + DEADLINE
    while True:
        try:
            return connect(path)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
        time.sleep(0.02)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 4 * DEADLINE
    while not path.exists():
        assert process.poll() is None, f"ended at its start, with status {process.returncode}"
        assert time.monotonic() < until
        time.sleep(0.02)


def _pair(kind: str) -> tuple[int, int]:
    if kind == "terminal":
        return pty.openpty()
    if kind == "socket":
        ours, theirs = socket.socketpair()
        return ours.detach(), theirs.detach()
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    return read_end, write_end


@contextmanager
def _pipe(kind: str) -> Iterator[tuple[int | None, Callable[[], bytes]]]:
    """The end that the service writes to, and what gives all that could be read."""
    if not kind:
        yield None, bytes
        return
    read_end, write_end = _pair(kind)
    if kind == "closed":
        os.close(read_end)
        yield write_end, bytes
        return
    read = bytearray()

    def drain() -> bytes:
        while data := os.read(read_end, 65_536):
            read.extend(data)
        os.close(read_end)
        return bytes(read)

    if kind == "unread":
        yield write_end, drain
        return
    if kind in ("terminal", "socket"):
        yield write_end, bytes
        os.close(read_end)
        return

    def read_slowly() -> None:
        while data := os.read(read_end, 512):
            read.extend(data)
            time.sleep(0.002)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    yield write_end, lambda: (reader.join(20 * DEADLINE), os.close(read_end), bytes(read))[2]


def table() -> None:
    """For people: 8 clients send 50 messages each."""
    print(f"{'':<28}    sent  answered  delivered  status  seconds to end")
    for place in PLACES:
        with tempfile.TemporaryDirectory() as directory:
            try:
                c = count(Path(directory), place, 8, 50)
                numbers = f"{c.sent:>8} {c.answered:>9} {c.delivered:>10} {c.status:>7} {c.seconds:>15.1f}"
            except (AssertionError, subprocess.TimeoutExpired) as error:
                numbers = str(error)
        print(f"{place.name:<28}{numbers}", flush=True)


if __name__ == "__main__":
    table()
