"""Measures how long one client waits for a message: short bursts at each peer in turn, so that slow phases
affect all.

Two methods: the percentiles of all messages, and the median of the ratios of neighbouring bursts. If they
disagree, the machine was too busy for both.
"""

from __future__ import annotations

import contextlib
import math
import socket
import statistics
import time
from collections.abc import Sequence

from .figures import Table
from .peers import Running
from .programs import Failed, Sink

__all__ = ["P50", "P99", "PAIRED", "TURNS", "latencies"]

P50, P99, PAIRED = "p50, ms", "p99, ms", "ratio of neighbouring bursts"
MESSAGES = 20
SECONDS = 0.05
"""A burst ends after so many messages or seconds."""
TURNS = 40

LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once again.\r\n"
DIALOGUE = (
    (b"MAIL FROM:<a@client.example>\r\n", b"250"),
    (b"RCPT TO:<b@server.example>\r\n", b"250"),
    (b"DATA\r\n", b"354"),
    (b"Subject: a measurement\r\n\r\n" + LINE * 52 + b".\r\n", b"250"),
)


class Session:
    """One blocking connection, past EHLO."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect(b"220")
        self._command(b"EHLO client.example\r\n", b"250")

    def burst(self) -> list[float]:
        """Milliseconds for each message."""
        found: list[float] = []
        end = time.perf_counter() + SECONDS
        while len(found) < MESSAGES and (start := time.perf_counter()) < end:
            for command, code in DIALOGUE:
                self._command(command, code)
            found.append((time.perf_counter() - start) * 1e3)
        return found

    def close(self) -> None:
        self._command(b"QUIT\r\n", b"221")
        self._sock.close()

    def _command(self, data: bytes, code: bytes) -> None:
        self._sock.sendall(data)
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        """One whole reply, of several lines perhaps."""
        reply = b""
        while not reply.endswith(b"\r\n") or reply[reply.rfind(b"\n", 0, -1) + 1 :][3:4] == b"-":
            data = self._sock.recv(65536)
            if not data:
                raise ConnectionError("closed")
            reply += data
        if not reply.startswith(code):
            raise ConnectionError(f"expected {code.decode()}, got {reply!r}")


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def latencies(table: Table, running: dict[str, Running], reference: str, sink: Sink, turns: int) -> None:
    """Measures one round. Each peer is compared with `reference`."""
    bursts: dict[str, list[list[float]]] = {name: [] for name in running}
    try:
        with contextlib.ExitStack() as stack, sink.expecting("latency") as sent:
            sessions = {name: Session(peer.port) for name, peer in running.items()}
            for session in sessions.values():
                stack.callback(session.close)
                sent.append(len(session.burst()))  # warms up
            for _ in range(turns):
                for name, session in sessions.items():
                    found = session.burst()
                    bursts[name].append(found)
                    sent.append(len(found))
    except OSError as error:
        raise Failed(f"latency: {error}") from None
    for name, own in bursts.items():
        values = [value for burst in own for value in burst]
        table.add(name, P50, percentile(values, 0.5))
        table.add(name, P99, percentile(values, 0.99))
        pairs = zip(own, bursts.get(reference, ()), strict=False)
        ratios = [statistics.median(burst) / statistics.median(base) for burst, base in pairs]
        if ratios:
            table.add(name, PAIRED, statistics.median(ratios))
