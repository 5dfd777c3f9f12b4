"""The executable as a process of its own, and what it said."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

import forking
from drivers import DEADLINE, Peer, Script, Upstream
from io_modes import VARIABLE

__all__ = ["COMMAND", "Proxy", "connect", "deliver", "once", "proxy", "say_hello", "submit", "upstream"]

COMMAND = [sys.executable, "-m", "trio_proxy"]
ENVELOPE = (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>")


def environment(**more: str) -> dict[str, str]:
    """That of the tests without what is said in it to a proxy, but with the mode of the run."""
    kept = {name: value for name, value in os.environ.items() if "SMTP_PROXY" not in name or name == VARIABLE}
    return {"SMTP_PROXY_LOG_FORMAT": "text"} | kept | more


def once(
    *arguments: str, directory: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    command = [*COMMAND[1:], *arguments]
    return forking.run(command, cwd=directory, env=environment(**variables), timeout=6 * DEADLINE)


class Proxy:
    """A proxy that listens, until it is stopped."""

    command: ClassVar = COMMAND

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self.out, self.err = directory / "stdout", directory / "stderr"
        with self.out.open("wb") as stdout, self.err.open("wb") as stderr:
            self.process = self._started([*self.command, *arguments], directory, variables, stdout, stderr)
        self.wait_for(r"Press Ctrl-C", 4 * DEADLINE)  # imports are slow on a busy machine
        self.addresses = re.findall(r"^  listening   (.+)$", self.said(), re.M)
        self.port = next((int(a.rpartition(":")[2]) for a in self.addresses if a[0].isdigit()), 0)

    def _started(
        self, command: list[str], cwd: Path, variables: dict[str, str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> forking.Forked | subprocess.Popen[bytes]:
        env = environment(**variables)
        program, *arguments = command
        if program == sys.executable:
            return forking.Forked(arguments, cwd=cwd, env=env, stdout=stdout.fileno(), stderr=stderr.fileno())
        return subprocess.Popen(command, cwd=cwd, env=env, stdout=stdout, stderr=stderr)

    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def wait_for(self, pattern: str, seconds: float = DEADLINE) -> None:
        until = time.monotonic() + seconds
        while not re.search(pattern, self.said(), re.M):
            if time.monotonic() > until or self.process.poll() is not None:
                self.kill()
                raise AssertionError(f"no {pattern!r} in: {self.said()}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, within: float) -> int:
        """Its exit status."""
        status = self.process.wait(within)
        assert "Traceback" not in self.said()
        return status

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)

    def memory(self, field: str) -> int:
        """VmRSS, the memory in use, or VmHWM, the most that it ever was, in octets."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.M)
        assert found
        return int(found[1]) * 1024


@contextmanager
def proxy(directory: Path, *arguments: str, **variables: str) -> Iterator[Proxy]:
    running = Proxy(directory, *arguments, **variables)
    try:
        yield running
        assert "Traceback" not in running.said()
    finally:
        running.kill()


def connect(address: tuple[str, int] | str) -> Peer:
    """A client; a text is the path of a unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        peer = object.__new__(Peer)  # its __init__ sets TCP_NODELAY
        peer.sock, peer.buffer = sock, bytearray()
        return peer
    return Peer(socket.create_connection(address, DEADLINE))


def say_hello(client: Peer) -> None:
    client.expect(b"220 ...")
    client.send(b"EHLO me.example")
    assert client.reply()[-1][:4] == b"250 "


def submit(client: Peer, wire: bytes) -> bytes:
    """A message; its reply."""
    client.send(*ENVELOPE, b"DATA")
    client.expect(b"250 ...", b"250 ...", b"354 ...")
    client.raw(wire + b".\r\n")
    return client.line()


def deliver(release: threading.Event | None = None) -> Script:
    """A server that takes one message, and answers it when it is told to."""

    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        while True:
            try:
                line = peer.line()
            except (EOFError, ConnectionError):
                return
            verb = line[:4]
            if verb == b"EHLO":
                peer.send(b"250-mx.example", b"250 AUTH PLAIN")
            elif verb == b"AUTH":
                peer.send(b"235 2.7.0 welcome")
            elif verb == b"DATA":
                peer.send(b"354 go on")
                peer.message()
                assert release is None or release.wait(4 * DEADLINE)
                peer.send(b"250 2.0.0 kept")
            elif verb == b"QUIT":
                peer.send(b"221 2.0.0 bye")
                return
            else:
                peer.send(b"250 2.0.0 ok")

    return script


@contextmanager
def upstream(script: Script | None = None, receive_buffer: int = 262_144) -> Iterator[Upstream]:
    server = Upstream()
    try:
        with server.plays(script or deliver(), receive_buffer):
            yield server
    finally:
        server.close()
