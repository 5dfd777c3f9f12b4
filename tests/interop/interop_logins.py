"""Mail servers as readers of AUTH exchanges: aiosmtpd, Exim, and Dovecot as Postfix asks it."""

from __future__ import annotations

import re
import socket
import subprocess
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from interop_daemon import Daemon, need
from interop_delivery import EXIM
from interop_postfix import free_port
from neighbours.logins import PASSWORD, Exchange

__all__ = ["Outcome", "Reader", "aiosmtpd_reader", "dovecot_reader", "exim_reader"]


@attrs.frozen
class Outcome:
    """What a server made of an exchange."""

    name: bytes | None
    """Who has logged in; None if the server has refused it."""
    challenges: list[bytes]


class Reader(ABC):
    """A mail server that anybody may log in to with the password of the exchanges."""

    @abstractmethod
    def read(self, exchange: Exchange) -> Outcome:
        """Logs in."""


class _Lines:
    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rwb")

    def say(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def hear(self) -> bytes:
        return self._file.readline().rstrip(b"\r\n")

    def reply(self) -> bytes:
        while (line := self.hear())[3:4] == b"-":
            pass
        return line


def _smtp(lines: Any, exchange: Exchange) -> tuple[bool, list[bytes]]:
    """Speaks SMTP until the exchange is over. True if it was accepted."""
    lines.reply()
    lines.say(b"EHLO client.test\r\n")
    lines.reply()
    lines.say(exchange.command + b"\r\n")
    challenges: list[bytes] = []
    while (reply := lines.reply())[:3] == b"334":
        challenges.append(reply[4:])
        number = len(challenges) - 1
        lines.say((exchange.line(number, reply[4:]) if number < len(exchange.answers) else b"*") + b"\r\n")
    return reply[:3] == b"235", challenges


# aiosmtpd


class _Aiosmtpd(Reader):
    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.port = free_port()

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.names.append(data.login)
        return AuthResult(success=data.password == PASSWORD, handled=False)

    def read(self, exchange: Exchange) -> Outcome:
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            accepted, challenges = _smtp(_Lines(sock), exchange)
        return Outcome(self.names[-1] if accepted else None, challenges)


@contextmanager
def aiosmtpd_reader() -> Iterator[Reader]:
    reader = _Aiosmtpd()
    controller = Controller(
        object(),
        hostname="127.0.0.1",
        port=reader.port,
        ready_timeout=20,
        auth_required=False,
        auth_require_tls=False,
        authenticator=reader.authenticate,
    )
    controller.start()
    try:
        yield reader
    finally:
        controller.stop()


# Exim

_EXIM = r"""
spool_directory = {root}
log_file_path = {root}/log-%slog
keep_environment =
add_environment =
primary_hostname = mx.test
host_lookup =
auth_advertise_hosts = *
acl_smtp_mail = mail
timezone = UTC
begin acl
mail:
  deny message = <${{base64:$authenticated_id}}>
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{{password}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if eq{{$auth2}}{{{password}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = {password}
  server_set_id = $auth1
"""


class _Piped:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def hear(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip(b"\r\n")

    def reply(self) -> bytes:
        while (line := self.hear())[3:4] == b"-":
            pass
        return line


class _Exim(Reader):
    def __init__(self, config: Path) -> None:
        self._command = [str(EXIM), "-C", str(config), "-bs", "-oMa", "192.0.2.1"]

    def read(self, exchange: Exchange) -> Outcome:
        with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            lines = _Piped(process)
            accepted, challenges = _smtp(lines, exchange)
            name = None
            if accepted:
                lines.say(b"MAIL FROM:<a@client.test>\r\n")
                said = lines.reply()
                name = _unescaped(b64decode(said.partition(b"<")[2].rpartition(b">")[0]))
            lines.say(b"QUIT\r\n")
            process.communicate(timeout=10)
        return Outcome(name, challenges)


def _unescaped(name: bytes) -> bytes:
    """Exim keeps the name as its log shows it (string_printing)."""
    simple = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"v": b"\v", b"f": b"\f", b"\\": b"\\"}
    return re.sub(rb"\\([0-7]{3}|.)", lambda found: simple.get(found[1]) or bytes([int(found[1], 8)]), name)


@contextmanager
def exim_reader(root: Path) -> Iterator[Reader]:
    if not EXIM.exists():
        pytest.fail(f"{EXIM} is missing: unpack Debian's exim4-daemon-light there", pytrace=False)
    config = root / "exim.conf"
    config.write_text(_EXIM.format(root=root, password=PASSWORD.decode()))
    root.chmod(0o755)
    yield _Exim(config)


# Dovecot

_DOVECOT = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
ssl = no
protocols =
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_username_chars =
auth_failure_delay = 0
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent allow_all_users=yes
}}
service auth {{
  unix_listener reader {{
    mode = 0600
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class _Dovecot(Reader):
    """Speaks to Dovecot's authentication service as Postfix does (xsasl_dovecot_server.c)."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(20)
        self._lines = _Lines(sock)
        self._number = 0
        self._lines.say(b"VERSION\t1\t1\nCPID\t1\n")
        while self._lines.hear() != b"DONE":
            pass

    def read(self, exchange: Exchange) -> Outcome:
        self._number += 1
        lines, number = self._lines, b"%d" % self._number
        words = [b"AUTH", number, exchange.mechanism.encode(), b"service=smtp", b"secured"]
        if exchange.initial is not None:
            if b"\t" in exchange.initial:  # which Postfix takes for the end of a word
                return Outcome(None, [])
            words.append(b"resp=" + exchange.initial)
        lines.say(b"\t".join(words) + b"\n")
        challenges: list[bytes] = []
        while (answer := self._answer(number))[0] == b"CONT":
            challenges.append(answer[2])
            count = len(challenges)
            if count > len(exchange.answers) or b"\t" in exchange.answers[count - 1]:
                lines.say(b"CANCEL\t" + number + b"\n")
                return Outcome(None, challenges)
            lines.say(b"CONT\t" + number + b"\t" + exchange.line(count - 1, answer[2]) + b"\n")
        users = [word.removeprefix(b"user=") for word in answer if word.startswith(b"user=")]
        return Outcome(users[0] if answer[0] == b"OK" else None, challenges)

    def _answer(self, number: bytes) -> list[bytes]:
        """The next line about this request; there may be some about those that were cancelled."""
        while (words := self._lines.hear().split(b"\t"))[1:2] != [number]:
            assert words != [b""], "Dovecot has closed the connection"
        return words


@contextmanager
def dovecot_reader(root: Path) -> Iterator[Reader]:
    need("dovecot", "dovecot-core")
    config = root / "dovecot.conf"
    config.write_text(_DOVECOT.format(root=root, password=PASSWORD.decode()))
    daemon = Daemon(["dovecot", "-F", "-c", str(config)], root / "output", root / "run" / "reader")
    daemon.start()
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(root / "run" / "reader"))
            yield _Dovecot(sock)
    finally:
        daemon.stop()
