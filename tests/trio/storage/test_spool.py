"""Messages that are too large to be held in memory for a rule: refused, or through a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from commands import connect, proxy, say_hello, submit, upstream
from drivers import Peer
from growth import MB, grows_less_than

from trio_proxy.storage.spool import FileSpool

LINE = b"The quick brown fox jumps over the lazy dog, and the dog does not mind at all.\r\n"
RULES = """
def message(tx, msg):
    msg.headers.add("X-Size", str(msg.size))
"""


class Keeps:
    """A server that keeps nothing but the beginning and the size of each message."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.sizes: list[int] = []

    def __call__(self, peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        while True:
            line = peer.line()
            if line[:4] == b"DATA":
                peer.send(b"354 go on")
                self.take(peer)
                peer.send(b"250 2.0.0 kept")
            elif line[:4] == b"QUIT":
                peer.send(b"221 2.0.0 bye")
                return
            else:
                peer.send(b"250 2.0.0 ok")

    def take(self, peer: Peer) -> None:
        data = bytes(peer.buffer)
        peer.buffer.clear()
        head, size, tail = data[:200], len(data), data[-5:]
        while tail != b"\r\n.\r\n":
            data = peer.sock.recv(262_144)
            assert data
            size += len(data)
            head = (head + data)[:200]
            tail = (tail + data)[-5:]
        self.heads.append(head)
        self.sizes.append(size - 3)


def test_the_file_of_a_spool(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path / "made" / "here")
    spool.write(b"one ")
    spool.write(b"two")
    assert spool.read(2, 3) == b"e t"
    view = spool.view()
    assert bytes(view) == b"one two"
    assert os.listdir(tmp_path / "made" / "here") == [], "it has no name"
    spool.close()
    spool.close()
    assert bytes(view[:3]) == b"one", "one who still looks at it may"


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        FileSpool(tmp_path / "file" / "spool")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_100_mb_through_a_spool(tmp_path: Path) -> None:
    """A rule adds a header field to a message of 100 MB, which was on disk meanwhile."""
    (tmp_path / "rules.py").write_text(RULES)
    server = Keeps()
    rules, spool = str(tmp_path / "rules.py"), str(tmp_path / "spool")
    arguments = ("--rules", rules, "--max-held", "1M", "--spool", spool)
    with (
        upstream(server) as mx,
        proxy(tmp_path, "-l", "127.0.0.1:0", "-u", f"127.0.0.1:{mx.port}", *arguments) as process,
        connect(("127.0.0.1", process.port)) as client,
    ):
        say_hello(client)
        assert submit(client, b"Subject: x\r\n\r\n" + LINE * 20_000) == b"250 2.0.0 kept"  # 1.6 MB: a spool
        with grows_less_than(process, 4 * MB):  # of which 1 MB is held, and copied once
            client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
            client.expect(b"250 ...", b"250 ...", b"354 ...")
            client.raw(b"Subject: large\r\n\r\n")
            for _ in range(100):
                client.raw(LINE * 12_500)
            client.raw(b".\r\n")
            client.expect(b"250 2.0.0 kept")
        assert submit(client, b"Subject: after\r\n\r\nx\r\n") == b"250 2.0.0 kept"
        client.send(b"QUIT")
        client.expect(b"221 2.0.0 bye")
    size = len(b"Subject: large\r\n\r\n") + 100 * 12_500 * len(LINE)
    assert server.heads[1].startswith(b"Subject: large\r\nX-Size: %d\r\n\r\nThe quick" % size)
    assert server.sizes[1] == size + len(b"X-Size: %d\r\n" % size)
    assert server.heads[2] == b"Subject: after\r\nX-Size: 21\r\n\r\nx\r\n.\r\n"


def test_without_a_spool_it_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    server = Keeps()
    arguments = ("--rules", str(tmp_path / "rules.py"), "--max-held", "1M")
    with (
        upstream(server) as mx,
        proxy(tmp_path, "-l", "127.0.0.1:0", "-u", f"127.0.0.1:{mx.port}", *arguments) as process,
        connect(("127.0.0.1", process.port)) as client,
    ):
        say_hello(client)
        refusal = submit(client, b"Subject: large\r\n\r\n" + LINE * 20_000)
        assert refusal == b"552 5.3.4 message is larger than 1000000 octets, which is all that is held"
        assert submit(client, b"Subject: after\r\n\r\nx\r\n") == b"250 2.0.0 kept"
        client.send(b"QUIT")
        client.expect(b"221 2.0.0 bye")
    assert len(server.heads) == 1
