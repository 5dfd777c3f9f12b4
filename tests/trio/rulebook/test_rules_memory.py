"""The memory of the executable does not depend on the size of a message that rules look at while it streams.

What must be kept whole is kept up to a limit, and refused above it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Proxy, connect, proxy, say_hello, submit, upstream
from drivers import Peer
from growth import BUFFER, MB, Server, grows_less_than
from pairs import DEEP

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LINE = b"The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\r\n"
PIECE = LINE * 12_500
SIZE = (100 if DEEP else 24) * MB
"""Far more than the buffers of the kernel, and than what the process may grow by."""
COUNT = SIZE // len(PIECE)
SMALL = b"Subject: small\r\n\r\n" + LINE * 100

LINES = """
def body_line(tx, line):
    assert line.endswith(b"\\r\\n")
"""
EDITED_LINES = """
def headers(tx, headers):
    headers.add("X-Scanned-By", "smtp-proxy")

def body_line(tx, line):
    return line.replace(b"fox", b"FOX")
"""
AWAITED_PIECES = """
import trio

async def body(tx, chunk):
    await trio.lowlevel.checkpoint()
    tx.data["octets"] = tx.data.get("octets", 0) + len(chunk)
    return chunk.replace(b"fox", b"FOX")
"""
THREADED_PIECES = """
import zlib
from sansio_smtp.rules import threaded

@threaded
def body(tx, chunk):
    tx.data["crc"] = zlib.crc32(chunk, tx.data.get("crc", 0))
"""
WHOLE = """
def message(tx, msg):
    msg.headers.add("X-Octets", str(len(msg.body)))
"""


@contextmanager
def with_rules(tmp_path: Path, rules: str, server: Server, *arguments: str) -> Iterator[Proxy]:
    """A proxy that has passed small messages already: all is imported and allocated that ever will be."""
    (tmp_path / "rules.py").write_text(rules)
    listen = ("-l", "127.0.0.1:0", "--rules", "rules.py", *arguments)
    try:
        with (
            upstream(server, BUFFER) as mx,
            proxy(tmp_path, *listen, "-u", f"127.0.0.1:{mx.port}") as process,
        ):
            with connect(("127.0.0.1", process.port)) as client:
                say_hello(client)
                for _ in range(3):
                    assert submit(client, SMALL) == b"250 2.0.0 kept"
                say_quit(client)
            yield process
    finally:
        server.reads_on.set()


def say_quit(client: Peer) -> None:
    client.send(b"QUIT")
    client.expect(b"221 2.0.0 bye")


def begin(client: Peer) -> None:
    client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
    client.expect(b"250 ...", b"250 ...", b"354 ...")
    client.raw(b"Subject: large\r\n\r\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [LINES, EDITED_LINES, AWAITED_PIECES, THREADED_PIECES],
    ids=["lines", "edited", "async", "threaded"],
)
def test_a_large_message_streams_through_rules(tmp_path: Path, rules: str) -> None:
    """A large message to a server that at first does not read, and then reads slowly."""
    server = Server()
    with (
        with_rules(tmp_path, rules, server) as process,
        grows_less_than(process, 2 * MB),
        connect(("127.0.0.1", process.port)) as client,
    ):
        say_hello(client)
        begin(client)
        sent = client.send_what_fits(PIECE * 30, 0.3)
        assert sent < 20 * MB  # it has come to a halt: the kernel's buffers, and no more
        server.reads_on.set()
        client.raw(memoryview(PIECE)[sent % len(PIECE) :])
        for _ in range(COUNT - sent // len(PIECE) - 1):
            client.raw(PIECE)
        client.raw(b".\r\n")
        client.expect(b"250 2.0.0 kept")
        say_quit(client)
    assert server.size >= COUNT * len(PIECE) + 3
    assert server.size > SIZE - MB


def test_a_message_that_is_too_large_to_be_held(tmp_path: Path) -> None:
    """A rule wants it whole. It is refused, what follows of it is dropped, and the session goes on."""
    server = Server()
    server.reads_on.set()
    with (
        with_rules(tmp_path, WHOLE, server, "--max-held", "1M") as process,
        connect(("127.0.0.1", process.port)) as client,
    ):
        say_hello(client)
        with grows_less_than(process, 6 * MB):  # of which 1 MB is held, and its copies
            for _ in range(3):
                begin(client)
                for _ in range(COUNT):
                    client.raw(PIECE)
                client.raw(b".\r\n")
                client.expect(b"552 5.3.4 ...")
        server.size = 0
        assert submit(client, SMALL) == b"250 2.0.0 kept"
        assert server.size > len(SMALL)
        say_quit(client)
