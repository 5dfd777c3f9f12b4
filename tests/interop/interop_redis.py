"""A real Redis of our own: on one loopback port, in one directory, stopped and started again at will."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from interop_daemon import Daemon, need
from interop_postfix import free_port

CONF = """
bind 127.0.0.1
daemonize no
save ""
appendonly no
"""


@attrs.define
class Redis:
    port: int
    daemon: Daemon

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.daemon.start()

    def stop(self) -> None:
        """At once, as if the machine had failed: nothing is saved, and scripts are forgotten."""
        self.daemon.kill()

    def command(self, *words: str) -> bytes:
        """What the server answers, as it comes over the wire (RESP2). For short answers."""
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall((f"*{len(words)}\r\n" + "".join(parts)).encode())
            return connection.recv(4096)


@contextmanager
def running_redis(directory: Path, configuration: str = CONF) -> Iterator[Redis]:
    """The port and the directory are added to the configuration."""
    need("redis-server", "redis-server")
    port = free_port()
    config = directory / "redis.conf"
    config.write_text(f"{configuration}\nport {port}\ndir {directory}\n")
    daemon = Daemon(["redis-server", str(config)], directory / "redis.log", ("127.0.0.1", port))
    redis = Redis(port, daemon)
    redis.start()
    try:
        yield redis
    finally:
        daemon.kill()
