"""HAProxy in front of the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop_daemon import Daemon, need

__all__ = ["running_haproxy"]


@contextmanager
def running_haproxy(directory: Path, configuration: str, port: int) -> Iterator[Daemon]:
    """`port` is one on which it listens. In the end it must still live."""
    need("haproxy", "haproxy")
    file = directory / "haproxy.cfg"
    file.write_text(configuration)
    daemon = Daemon(["haproxy", "-db", "-f", str(file)], directory / "haproxy.log", ("127.0.0.1", port))
    # It is up when it takes a connection, which is then gone before the greeting, as those of port scanners
    # are: the proxy must take that too.
    daemon.start()
    try:
        yield daemon
        assert daemon.lives, daemon.output()
    finally:
        daemon.stop(10)
