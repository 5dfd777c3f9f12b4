"""A real clamd of our own, whose only signature is that of the EICAR test file: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from interop_daemon import Daemon, need
from interop_postfix import free_port

# In pieces, so that no scanner takes this file for the thing itself.
EICAR = b"".join([rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-ANTIVIRUS", b"-TEST-FILE!$H+H*"])
NAME = "Own.Test.Eicar"
LIMIT = 1_000_000

CONF = """
Foreground yes
LocalSocket {directory}/clamd.sock
TCPSocket {port}
TCPAddr 127.0.0.1
DatabaseDirectory {directory}/db
TemporaryDirectory {directory}
StreamMaxLength {limit}
MaxThreads 4
"""


@attrs.define
class ClamAV:
    socket: Path
    port: int
    daemon: Daemon


@contextmanager
def running_clamd(directory: Path) -> Iterator[ClamAV]:
    need("clamd", "clamav-daemon")
    port = free_port()
    (directory / "db").mkdir()
    # name, any kind of file, at any place, octets
    (directory / "db" / "own.ndb").write_text(f"{NAME}:0:*:{EICAR.hex()}\n")
    config = directory / "clamd.conf"
    config.write_text(CONF.format(directory=directory, port=port, limit=LIMIT))
    daemon = Daemon(["clamd", "-c", str(config)], directory / "clamd.log", ("127.0.0.1", port))
    daemon.start()
    try:
        yield ClamAV(directory / "clamd.sock", port, daemon)
    finally:
        daemon.stop()
