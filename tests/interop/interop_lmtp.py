"""Dovecot as an LMTP server (RFC 2033), one mailbox of which is full."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from interop_daemon import Daemon, need, open_directory
from interop_postfix import free_port

__all__ = ["FULL", "Dovecot", "LmtpClient", "running_dovecot_lmtp"]

FULL = "full@lmtp.test"
"""A recipient that is accepted, and whose mailbox takes no message."""

_CONF = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = lmtp
ssl = no
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
postmaster_address = postmaster@lmtp.test
auth_mechanisms = plain
mail_location = maildir:{root}/mail/%n
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 100
first_valid_gid = 100
mail_plugins = quota
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {root}/users
}}
plugin {{
  quota = maildir:User quota
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {root}/lmtp.sock {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@attrs.frozen
class Dovecot:
    """Its users are ann, bob and carol; and `FULL`."""

    root: Path
    port: int

    @property
    def socket(self) -> Path:
        return self.root / "lmtp.sock"

    def messages(self, name: str) -> list[bytes]:
        """What was delivered to a user."""
        new = self.root / "mail" / name / "new"
        return [path.read_bytes() for path in new.iterdir()] if new.is_dir() else []


@contextmanager
def running_dovecot_lmtp(more: str = "") -> Iterator[Dovecot]:
    """``more``: further lines of its configuration."""
    need("dovecot", "dovecot-core")
    lmtp = Path("/usr/lib/dovecot/lmtp")
    assert lmtp.exists(), f"{lmtp} is missing: install Debian's dovecot-lmtpd"
    with open_directory("lmtp") as root:
        server = Dovecot(root, free_port())
        (root / "mail").mkdir()
        shutil.chown(root / "mail", 65534, 65534)
        (root / "dovecot.conf").write_text(_CONF.format(root=root, port=server.port) + more)
        users = [f"{name}@lmtp.test::65534:65534::{root}::" for name in ("ann", "bob", "carol")]
        users.append(f"{FULL}::65534:65534::{root}::userdb_quota_rule=*:bytes=10")
        (root / "users").write_text("".join(f"{line}\n" for line in users))
        command = ["dovecot", "-F", "-c", str(root / "dovecot.conf")]
        daemon = Daemon(command, root / "output", ("127.0.0.1", server.port))
        try:
            daemon.start()
            yield server
        except BaseException:
            if (root / "log").exists():
                print((root / "log").read_text("utf-8", "replace")[-3000:])
            raise
        finally:
            daemon.stop()


class LmtpClient:
    """Says lines, and reads replies: as many as there are to come."""

    def __init__(self, address: tuple[str, int] | Path) -> None:
        if isinstance(address, Path):
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(30)
            self._sock.connect(str(address))
        else:
            self._sock = socket.create_connection(address, 30)
        self._file = self._sock.makefile("rwb")
        self.greeting = self.reply()

    def __enter__(self) -> LmtpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._sock.close()

    def say(self, line: str) -> str:
        """Says a line, and returns the reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def send(self, octets: bytes) -> None:
        self._file.write(octets)
        self._file.flush()

    def reply(self) -> str:
        lines = [self._file.readline().decode().rstrip("\r\n")]
        while lines[-1][3:4] == "-":
            lines.append(self._file.readline().decode().rstrip("\r\n"))
        return "\n".join(lines)

    def replies(self, count: int) -> list[str]:
        return [self.reply() for _ in range(count)]
