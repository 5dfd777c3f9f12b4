"""The memory of the executable does not depend on how slow its peers are, nor on what they send.

Octets that cannot be passed on stay with their sender: in the kernel's buffers, then in the program.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Proxy, connect, proxy, say_hello, submit, upstream
from growth import BUFFER, MB, Server, grows_less_than

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.reads_on.set()


@pytest.fixture
def process(server: Server, tmp_path: Path) -> Iterator[Proxy]:
    """It has passed a small message already: all is imported and allocated that ever will be."""
    with (
        upstream(server, BUFFER) as mx,
        proxy(tmp_path, "-l", "127.0.0.1:0", "-u", f"127.0.0.1:{mx.port}", "--max-junk", "1000") as process,
    ):
        with connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            assert submit(client, b"Subject: small\r\n\r\n" + b"text\r\n" * 100) == b"250 2.0.0 kept"
            client.send(b"QUIT")
            client.expect(b"221 2.0.0 bye")
        yield process


@pytest.mark.slow
def test_a_large_message_to_a_slow_server(process: Proxy, server: Server) -> None:
    piece = b"The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\r\n" * 12_500
    count = 100 * MB // len(piece)
    with grows_less_than(process, 2 * MB), connect(("127.0.0.1", process.port)) as client:
        say_hello(client)
        client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
        client.expect(b"250 ...", b"250 ...", b"354 ...")
        sent = client.send_what_fits(piece * 30, 0.2)
        assert sent < 20 * MB  # it has come to a halt: the kernel's buffers, and no more
        server.reads_on.set()
        rest = memoryview(piece)
        client.raw(rest[sent % len(piece) :])
        for _ in range(count - sent // len(piece) - 1):
            client.raw(rest)
        client.raw(b".\r\n")
        client.expect(b"250 2.0.0 kept")
        client.send(b"QUIT")
        client.expect(b"221 2.0.0 bye")
    assert server.size == count * len(piece) + 3
    assert server.size > 99 * MB


@pytest.mark.slow
def test_long_replies_to_a_slow_client(process: Proxy, server: Server) -> None:
    count = 600
    with grows_less_than(process, 2 * MB), connect(("127.0.0.1", process.port)) as client:
        say_hello(client)
        client.raw(b"RSET long\r\n" * count)
        before = -1
        while before != (before := server.replies):
            time.sleep(0.3)
        assert before < count  # 34 MB of replies do not fit anywhere
        octets = 0
        while octets < count * (70 * 806 + 8):
            data = client.sock.recv(262_144)
            assert data
            octets += len(data)
            time.sleep(0.0005)
        assert server.replies == count
        client.send(b"QUIT")
        client.expect(b"221 2.0.0 bye")
