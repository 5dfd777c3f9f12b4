"""For tests of the memory of the executable: how much it grows, and a server that reads slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import Proxy
from drivers import DEADLINE, Peer

__all__ = ["BUFFER", "MB", "Server", "grows_less_than"]

MB = 1_000_000
BUFFER = 65_536
"""Kernel buffers are kept small, so that octets have nowhere else to be."""


@contextmanager
def grows_less_than(process: Proxy, octets: int) -> Iterator[None]:
    """Every sample on the way and the peak at the end, against what it was before."""
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.005):
            samples.append(process.memory("VmRSS"))

    Path(f"/proc/{process.process.pid}/clear_refs").write_text("5")  # forgets the peak so far
    before = process.memory("VmRSS")
    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join(DEADLINE)
    growth = max(*samples, process.memory("VmHWM")) - before
    assert samples
    assert growth < octets, f"{growth / MB:.1f} MB"


class Server:
    """Small messages at once; a large one slowly, and not before it is told to."""

    def __init__(self) -> None:
        self.size = 0
        self.reads_on = threading.Event()
        self.replies = 0

    def __call__(self, peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        while True:
            line = peer.line()
            verb = line[:4]
            if verb == b"EHLO":
                peer.send(b"250-mx.example", b"250 PIPELINING")
            elif verb == b"DATA":
                peer.send(b"354 go on")
                self.take_message(peer)
                peer.send(b"250 2.0.0 kept")
            elif verb == b"RSET" and b"long" in line:
                self.replies += 1
                peer.send(*[b"250-" + b"text" * 200] * 70, b"250 ok")
            elif verb == b"QUIT":
                peer.send(b"221 2.0.0 bye")
                return
            else:
                peer.send(b"250 2.0.0 ok")

    def take_message(self, peer: Peer) -> None:
        tail = bytes(peer.buffer)
        size, pause = len(tail), 0
        while not tail.endswith(b"\r\n.\r\n"):
            data = peer.sock.recv(262_144)
            assert data
            size += len(data)
            tail = tail[-5:] + data[-5:]
            if size // MB > pause:
                pause = size // MB
                assert self.reads_on.wait(4 * DEADLINE)
                time.sleep(0.01)  # far slower than the client writes
        peer.buffer.clear()
        self.size = size
