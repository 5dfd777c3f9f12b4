"""Memory: of a program at rest, and of one session that is idle, in a message, or busy with a large message.

Measures the PSS of the whole process tree, in fresh processes, because a used process has free memory to
reuse. Memory of the kernel for sockets is not included.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator

from .figures import Table
from .peers import Peer, Place, Running
from .programs import Failed, free_port, pss_kib
from .running import Run

__all__ = ["AT_REST", "BUSY", "IN_MESSAGE", "idle", "idle_of", "in_messages", "per_session"]

AT_REST = "at rest, MiB"
IN_MESSAGE, BUSY = "in a small message, KiB", "in a 10 MiB message, slow server, KiB"
FEW = 50
"""The sessions that are opened first: they also cost what all sessions share."""
SESSIONS_IN_MESSAGES = 20
SETTLED = 0.3
FILLING = 3.0
LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once again.\r\n"
BLOCK = LINE * 800
WAITS = 10 * 2**20 // len(BLOCK)


def per_session(sessions: int) -> str:
    return f"idle, {sessions:,} sessions, KiB"


def idle(run: Run, table: Table, peer: Peer, counts: list[int]) -> None:
    """Measures the program at rest, and the memory of each further session up to each count."""
    place = Place(run.tmp, run.sink.port)
    with peer.running(place) as running:
        idle_of(table, peer.name, running, counts)


def idle_of(table: Table, row: str, running: Running, counts: list[int]) -> None:
    with contextlib.ExitStack() as stack:
        time.sleep(SETTLED)
        table.add(row, AT_REST, pss_kib(running.pid) / 1024)

        def open_sessions(count: int) -> float:
            for _ in range(count):
                session = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 30))
                if not session.recv(500).startswith(b"220"):
                    raise Failed(f"{row}: no greeting for an idle session")
            time.sleep(SETTLED)
            return pss_kib(running.pid)

        opened = min(FEW, counts[0] // 4)
        before, first = open_sessions(opened), opened
        for count in counts:
            after = open_sessions(count - opened)
            opened = count
            table.add(row, per_session(count), (after - before) / (count - first))


def in_messages(run: Run, table: Table, peer: Peer) -> None:
    """Measures sessions whose server accepts envelopes but reads no message."""
    with stalling_server() as port, peer.running(Place(run.tmp, port)) as running:
        sessions: list[socket.socket] = []
        try:
            for _ in range(SESSIONS_IN_MESSAGES + 5):
                if len(sessions) == 5:
                    time.sleep(SETTLED)
                    before = pss_kib(running.pid)
                sessions.append(in_message(running.port))
            time.sleep(SETTLED)
            small = pss_kib(running.pid)
            table.add(peer.name, IN_MESSAGE, (small - before) / SESSIONS_IN_MESSAGES)
            table.add(peer.name, BUSY, (fill(sessions, running.pid) - before) / len(sessions))
        except OSError as error:
            raise Failed(f"{peer.name}, sessions in messages: {error}") from None
        finally:
            for session in sessions:
                session.close()


def in_message(port: int) -> socket.socket:
    """A session after DATA and the first kibibyte."""
    sock = socket.create_connection(("127.0.0.1", port), 30)
    commands = (b"", b"EHLO client.example\r\n", b"MAIL FROM:<a@client.example>\r\n")
    for command in (*commands, b"RCPT TO:<b@server.example>\r\n", b"DATA\r\n"):
        sock.sendall(command)
        if sock.recv(4096)[:1] not in (b"2", b"3"):
            raise Failed("a session does not come as far as DATA")
    sock.sendall(b"Subject: a measurement\r\n\r\n" + LINE * 12)
    return sock


def fill(sessions: list[socket.socket], pid: int) -> float:
    """Sends everything that is accepted, and returns the greatest PSS meanwhile. The kernel takes most of a
    message, and then a little from time to time, so this ends after a while."""
    unsent = dict.fromkeys(sessions, memoryview(BLOCK * WAITS))
    for sock in sessions:
        sock.setblocking(False)
    end, greatest = time.monotonic() + FILLING, 0.0
    while time.monotonic() < end:
        look = time.monotonic() + FILLING / 20
        while time.monotonic() < look:
            for sock, data in unsent.items():
                with contextlib.suppress(BlockingIOError):
                    unsent[sock] = data[sock.send(data[: len(BLOCK)]) :]
            time.sleep(0.001)
        greatest = max(greatest, pss_kib(pid))
    return greatest


@contextlib.contextmanager
def stalling_server() -> Iterator[int]:
    """A server that answers each line until DATA, and reads nothing more; its port."""
    port = free_port()
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", port), backlog=500) as listener:
        thread = threading.Thread(target=_serve, args=(listener, stop), daemon=True)
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join()


def _serve(listener: socket.socket, stop: threading.Event) -> None:
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        selector.register(listener, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.05):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is listener:
                    client = stack.enter_context(listener.accept()[0])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    with contextlib.suppress(OSError):  # the proxy and its client have closed
                        client.sendall(b"220 server.example\r\n")
                        selector.register(client, selectors.EVENT_READ)
                    continue
                with contextlib.suppress(OSError):
                    data = sock.recv(4096)
                    if not data or data.upper().startswith(b"DATA"):
                        selector.unregister(sock)  # nothing more is read
                    sock.sendall(_reply(data))


def _reply(data: bytes) -> bytes:
    if data.upper().startswith(b"DATA"):
        return b"354 go ahead\r\n"
    return b"250 2.0.0 ok\r\n" * data.count(b"\n")
