"""A crowd of idle sessions, and then many clients that connect and drop, before one service with two workers.

    python tests/interop/crowd.py --sessions 10000 --rate 1000 --seconds 60

Prints who was served and who was refused, and the memory and descriptors of all processes of the service
before, at the peak and after. Exits with 1 if a client saw neither a greeting nor a refusal, if an idle
session was lost, or if descriptors are left open. The server is a process of its own, on a unix socket, so
that the ports of this machine are enough. Each of the three needs as many descriptors as there are sessions
(`ulimit -n`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from interop_daemon import children_of

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
ROOM = 100
"""Connections that may be open besides the crowd, until the limit of them."""
SENDERS = 4
AT_ONCE = struct.pack("ii", 1, 0)
"""Linger on, zero seconds: the close is a reset."""
MESSAGE = b"Subject: in the crowd\r\n\r\nOne of a few.\r\n.\r\n"


class Server(asyncio.Protocol):
    """Takes every command and message."""

    transport: asyncio.Transport
    in_message = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 mx.example\r\n")

    def data_received(self, data: bytes) -> None:
        if self.in_message:
            self.in_message = not data.endswith(b"\r\n.\r\n")
            if not self.in_message:
                self.transport.write(b"250 2.0.0 taken\r\n")
            return
        self.in_message = data.upper().startswith(b"DATA")
        self.transport.write(b"354 go on\r\n" if self.in_message else b"250 2.0.0 ok\r\n")


async def serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Server, path, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


@attrs.define
class Client:
    """One connection, and the replies on it."""

    sock: socket.socket
    _rest: bytes = b""

    @classmethod
    def of(cls, port: int) -> Client:
        return cls(socket.create_connection(("127.0.0.1", port), PATIENCE))

    def reply(self) -> bytes:
        while not (found := re.match(rb"(?:\d{3}-.*\r\n)*\d{3} .*\r\n", self._rest)):
            data = self.sock.recv(4096)
            if not data:
                return b""
            self._rest += data
        self._rest = self._rest[found.end() :]
        return found[0]

    def say(self, line: bytes) -> bytes:
        self.sock.sendall(line + b"\r\n")
        return self.reply()

    def send(self) -> bool:
        """Sends one message. Returns True if it was accepted."""
        replies = [self.say(line) for line in (b"MAIL FROM:<>", b"RCPT TO:<bob@example.net>", b"DATA")]
        self.sock.sendall(MESSAGE)
        return [reply[:3] for reply in (*replies, self.reply())] == [b"250", b"250", b"354", b"250"]


@attrs.define
class Service:
    """The proxy and its workers."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, *children_of(self.process.pid)]

    def pss(self) -> float:
        """MiB of all processes."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids)
        return sum(int(re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)[0]) for text in rollups) / 1024

    def descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)


@contextlib.contextmanager
def running(directory: Path, most: int) -> Iterator[Service]:
    path, output = directory / "mx.sock", directory / "out"
    program = [sys.executable, "-m", "trio_proxy", "--listen", "127.0.0.1:0", "--upstream", f"unix:{path}"]
    limits = ["--workers", "2", "--max-connections", str(most)]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(path)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        with output.open("wb") as out:
            process = subprocess.Popen([*program, *limits], cwd=ROOT, stdout=out, stderr=out)
        try:
            until(lambda: b"Press Ctrl-C" in output.read_bytes() or process.poll() is not None)
            found = re.search(rb"127\.0\.0\.1:(\d+)", output.read_bytes())
            assert found is not None, output.read_text()
            yield Service(process, int(found[1]))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
    finally:
        server.kill()
        server.wait()
        server.stdout and server.stdout.close()


def until(happens: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Returns True as soon as it has happened, False if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)  # other processes do it
    return True


def settle(service: Service) -> None:
    """Returns when both workers serve: when no descriptor has been opened or closed for two seconds."""
    same, known = 0, (0, 0)
    while same < 5:
        time.sleep(0.4)
        now = len(service.pids), service.descriptors()
        same, known = same + 1 if now == known else 0, now


def come(port: int, way: int) -> str:
    """One client that connects and drops, in one of several ways. Returns what became of it."""
    try:
        client = Client.of(port)
        with client.sock as sock:
            if way == 0:  # it does not wait for anything
                return "dropped at once"
            said = client.reply()
            if not said.startswith(b"220"):
                return "refused" if said.startswith(b"421") else f"heard {said!r}"
            if way == 1:
                client.say(b"EHLO crowd.example")
            elif way == 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            elif client.say(b"QUIT")[:3] not in (b"221", b"250"):
                return "no reply to QUIT"
            return "served"
    except OSError as error:
        return f"failed: {error}"


def storm(port: int, rate: int, seconds: int, fates: list[str]) -> None:
    """Connects and drops, so many a second, from some threads."""
    began = time.monotonic()

    def send(first: int) -> None:
        for number in range(first, rate * seconds, SENDERS):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            fates.append(come(port, number // SENDERS % 4))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(options: argparse.Namespace, directory: Path) -> list[str]:
    """Returns what is wrong."""
    wrong: list[str] = []
    sessions: list[Client] = []
    most = options.sessions + ROOM
    with running(directory, most) as service, contextlib.ExitStack() as stack:
        for _ in range(20):  # each worker serves some
            come(service.port, 3)
        settle(service)
        at_first, memory = service.descriptors(), service.pss()
        print(f"before: {memory:.1f} MiB, {at_first} descriptors, {len(service.pids)} processes", flush=True)
        began = time.monotonic()
        for _ in range(options.sessions):
            client = Client.of(service.port)
            stack.enter_context(client.sock)
            if client.reply()[:3] != b"220" or client.say(b"EHLO crowd.example")[:3] != b"250":
                wrong.append("an idle session was not served")
            sessions.append(client)
        taken, memory = time.monotonic() - began, service.pss()
        print(f"{options.sessions} sessions open after {taken:.1f} s: {memory:.1f} MiB, "
              f"{service.descriptors()} descriptors", flush=True)  # fmt: skip

        said: list[str] = []
        storming = threading.Thread(target=storm, args=(service.port, options.rate, options.seconds, said))
        began = time.monotonic()
        storming.start()
        waits, peak = [], memory
        for client in sessions:
            if not storming.is_alive():
                break
            before = time.monotonic()
            if not client.send():
                wrong.append("a message was not accepted during the storm")
            waits.append(time.monotonic() - before)
            peak = max(peak, service.pss())
            time.sleep(0.5)
        storming.join()
        taken, fates = time.monotonic() - began, Counter(said)
        print(f"{sum(fates.values())} connections in {taken:.1f} s: {dict(sorted(fates.items()))}")
        waits.sort()
        typical, slowest = waits[len(waits) // 2] * 1000, waits[-1] * 1000
        print(f"meanwhile {len(waits)} messages: p50 {typical:.1f} ms, the slowest {slowest:.1f} ms")
        print(f"memory at the peak {peak:.1f} MiB", flush=True)
        wrong += [f"{count} clients: {fate}" for fate, count in fates.items() if fate not in EXPECTED]

        lost = sum(client.say(b"NOOP")[:3] != b"250" for client in sessions)
        if lost:
            wrong.append(f"{lost} idle sessions were lost")
        heard: Counter[str] = Counter()
        for _ in range(2 * ROOM):  # one after the other, as two workers may both take the last one
            client = Client.of(service.port)
            stack.enter_context(client.sock)
            heard[client.reply()[:3].decode()] += 1
        print(f"{2 * ROOM} more, with room for {ROOM}: {heard['220']} served, {heard['421']} refused")
        if heard != {"220": ROOM, "421": ROOM}:
            wrong.append(f"the limit of connections: {dict(heard)}")
        stack.close()
        closed = until(lambda: service.descriptors() <= at_first)
        print(f"after: {service.pss():.1f} MiB, {service.descriptors()} descriptors")
        if not closed:
            wrong.append(f"{service.descriptors()} descriptors are open, {at_first} were at first")
    return wrong


EXPECTED = ("served", "refused", "dropped at once")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, default=10_000, help="idle ones (%(default)s)")
    parser.add_argument("--rate", type=int, default=1_000, help="connections a second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="of such connections (%(default)s)")
    parser.add_argument("--serve", metavar="PATH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(options.serve))
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < options.sessions + 500:
        parser.error(
            f"{options.sessions} sessions need more descriptors than the {most} of this user: ulimit -n"
        )
    with tempfile.TemporaryDirectory(prefix="crowd-") as directory:
        wrong = run(options, Path(directory))
    for what, times in Counter(wrong).items():
        print(f"{what}, {times} times" if times > 1 else what)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
