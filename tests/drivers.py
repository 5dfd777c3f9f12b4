"""For test_drivers.py: a driver as a process of its own, and scripted peers on raw sockets around it.

Every wait has a deadline, after which it raises: a test that would hang fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import forking
import pytest

DEADLINE = 30.0
"""The seconds after which a wait counts as hanging: many times what a busy machine needs."""
HERE = Path(__file__).parent.parent
COMMANDS = {
    "trio": ["-m", "trio_proxy"],
    "asyncio": ["examples/asyncio_proxy.py"],
    "threads": ["examples/threads_proxy.py"],
    "anyio": ["examples/anyio_proxy.py"],
    "anyio-trio": ["examples/anyio_proxy.py", "--backend", "trio"],
}
KINDS = [pytest.param(kind, marks=pytest.mark.slow if kind == "anyio" else ()) for kind in COMMANDS]
"""Parameters for a fixture. One of the two backends of AnyIO is enough in each run."""
_IMPATIENT = """
import runpy, sys
sys.path.insert(0, "examples")
import common
common.SECONDS.update(dict.fromkeys(common.SECONDS, 0.5))
common.TICK = 0.1
runpy.run_path("{file}", run_name="__main__")
"""
IMPATIENT = {
    kind: [*command, "--timeout", "0.5"]
    if kind == "trio"
    else ["-c", _IMPATIENT.format(file=command[0]), *command[1:]]
    for kind, command in COMMANDS.items()
}
"""The same, with half a second for everything; a thread checks the deadline several times within it."""
_CRAMPED = """
import runpy, socket, sys
connect = socket.socket.connect
def cramped(self, address):
    self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return connect(self, address)
socket.socket.connect = cramped
sys.path.insert(0, "examples")
runpy.run_module("{module}", run_name="__main__", alter_sys=True)
"""
CRAMPED = {
    kind: ["-c", _CRAMPED.format(module="trio_proxy")]
    if kind == "trio"
    else ["-c", _CRAMPED.format(module=Path(command[0]).stem), *command[1:]]
    for kind, command in COMMANDS.items()
}
"""The same, with very small buffers in the kernel for the server's connection."""


class Peer:
    """One end of a connection, played by the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        sock.settimeout(DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *lines: bytes) -> None:
        """Lines without their CRLF, in one packet."""
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))

    def raw(self, octets: bytes | memoryview) -> None:
        self.sock.sendall(octets)

    def send_what_fits(self, octets: bytes, seconds: float) -> int:
        """Sends until the other end takes nothing for a while. Returns how much it took."""
        sent, view = 0, memoryview(octets)
        while sent < len(octets) and select.select([], [self.sock], [], seconds)[1]:
            self.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sent += self.sock.send(view[sent : sent + 65_536])
            self.sock.settimeout(DEADLINE)
        return sent

    def line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def expect(self, *lines: bytes) -> None:
        """Exactly these lines come next. A line that ends in ``...`` matches all lines that begin so."""
        for line in lines:
            came = self.line()
            begins = line.removesuffix(b"...")
            assert came.startswith(begins) if line.endswith(b"...") else came == line, (came, line)

    def expect_alone(self, line: bytes) -> None:
        """This line comes, and nothing after it before it is answered."""
        self.expect(line)
        assert not self.buffer, bytes(self.buffer)
        assert not select.select([self.sock], [], [], 0.02)[0], f"pipelined after {line!r}"

    def reply(self) -> list[bytes]:
        """One reply, all its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return lines

    def message(self) -> bytes:
        """Mail data in wire form, up to the end that only a strict reader sees, without the dot line."""
        buffer = self.buffer
        searched = 0
        while not buffer.startswith(b".\r\n") and (end := buffer.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(buffer) - 4)
            self._more()
        if buffer.startswith(b".\r\n"):
            end = -2
        message = bytes(buffer[: end + 2])
        del buffer[: end + 5]
        return message

    def rest(self) -> bytes:
        """All input up to the orderly end of the connection. Raises if it ends in a reset, which on other
        systems may destroy earlier octets."""
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest

    def is_reset(self) -> bool:
        """Returns True if the connection ends in a reset; earlier octets are in the buffer."""
        try:
            while True:
                self._more()
        except EOFError:
            return False
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _more(self) -> None:
        data = self.sock.recv(262_144)
        if not data:
            raise EOFError(f"the connection ended after {bytes(self.buffer[-200:])!r}")
        self.buffer += data


Script = Callable[[Peer], None]


class Upstream:
    """The proxy's server: every connection plays the script, in its own thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(0.02)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._stopping = threading.Event()

    def close(self) -> None:
        self._listener.close()

    @contextlib.contextmanager
    def plays(self, script: Script, receive_buffer: int = 262_144) -> Iterator[None]:
        """Plays the script to each client that connects; at the end it must have been played to its end."""
        # Accepted sockets inherit it, so that the window is small from the start.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._drop_earlier()
        self._stopping.clear()
        self._failures, self._threads = [], []
        self._acceptor = threading.Thread(target=self._accept, args=[script])
        self._acceptor.start()
        finished = False
        try:
            yield
            finished = True
        finally:
            self._stopping.set()
            self._acceptor.join(DEADLINE)
            for thread in self._threads:
                thread.join(2 * DEADLINE)
            stuck = [thread for thread in self._threads if thread.is_alive()]
            if self._failures and not finished:
                # The client has failed too: the reason is most often in the server's view.
                print("the server's side:", *map(repr, self._failures), sep="\n  ", file=sys.stderr)
        if self._failures:
            raise self._failures[0]
        assert not stuck

    def _drop_earlier(self) -> None:
        """Drops connections that were not accepted: they belong to an earlier test, whose clients are
        gone."""
        timeout = self._listener.gettimeout()
        self._listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
        self._listener.settimeout(timeout)

    def _accept(self, script: Script) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._play, args=[script, Peer(sock)])
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, peer: Peer) -> None:
        with peer:
            try:
                script(peer)
            except BaseException as failure:
                self._failures.append(failure)


class Driver:
    """A proxy process, started by its command line."""

    def __init__(
        self,
        kind: str,
        upstream_port: int,
        directory: Path,
        commands: dict[str, list[str]] = COMMANDS,
        options: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.log = directory / f"{kind}.stderr"
        output = directory / f"{kind}.stdout"
        arguments = ["--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{upstream_port}", *options]
        with self.log.open("wb") as stderr, output.open("wb") as stdout:
            self.process = forking.Forked(
                [*commands[kind], *arguments],
                cwd=HERE,
                env=os.environ,
                stdout=stdout.fileno(),
                stderr=stderr.fileno(),
            )
        until = time.monotonic() + 4 * DEADLINE  # imports are slow on a busy machine
        while not (found := re.search(rb"^  listening   127\.0\.0\.1:(\d+)\r?$", output.read_bytes(), re.M)):
            if time.monotonic() > until or self.process.poll() is not None:
                self.stop()
                raise AssertionError(f"{kind} does not listen: {self.log.read_text()}")
            time.sleep(0.02)
        self.port = int(found[1])

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(2 * DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(DEADLINE)
            raise

    def check(self) -> None:
        """Checks that it is running, and has logged no errors that clients did not see."""
        assert self.process.poll() is None, self.log.read_text()
        log = self.log.read_text()
        assert "Traceback" not in log, log

    def client(self, send_buffer: int | None = None, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket()
        if send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE)
        try:
            sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        return Peer(sock)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self, field: str) -> int:
        """VmRSS, the memory in use, or VmHWM, the most that it was, in octets."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.M)
        assert found is not None
        return int(found[1]) * 1024

    @contextlib.contextmanager
    def has_no_more_descriptors_than(self, spare: int) -> Iterator[None]:
        pid, kind = self.process.pid, resource.RLIMIT_NOFILE
        soft, hard = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (self.descriptors() + spare, hard))
        try:
            yield
        finally:
            resource.prlimit(pid, kind, (soft, hard))

    def busy_seconds(self) -> float:
        """The CPU time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def grows_less_than(self, octets: int) -> Iterator[None]:
        """Checks the growth of memory. The peak counts, not the memory at the end."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # forgets the peak so far
        before = self.memory("VmRSS")
        yield
        growth = self.memory("VmHWM") - before
        assert growth < octets, f"{growth / 1e6:.1f} MB"


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = DEADLINE) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, otherwise
        time.sleep(0.05)


@contextlib.contextmanager
def closed_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port on which nothing listens. The system gives it to no one else meanwhile, but a program may listen
    on it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the program sets it
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        yield port


# Fixtures, to be imported by name


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="module", params=KINDS)
def process(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """One process for all tests, so that the next test notices what one leaves open."""
    process = Driver(request.param, upstream.port, tmp_path_factory.mktemp("driver"))
    try:
        with upstream.plays(lambda peer: peer.send(b"554 no")), process.client() as client:
            assert client.rest() == b"554 no\r\n"  # opens and allocates now what is needed only once
        descriptors = process.descriptors()
        yield process
        wait_until(lambda: process.descriptors() <= descriptors, "a descriptor is left open", 15)
    finally:
        process.stop()


@pytest.fixture
def driver(process: Driver) -> Iterator[Driver]:
    yield process
    process.check()


@pytest.fixture(scope="module")
def impatient(
    process: Driver, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    impatient = Driver(process.kind, upstream.port, tmp_path_factory.mktemp("impatient"), IMPATIENT)
    yield impatient
    impatient.stop()
