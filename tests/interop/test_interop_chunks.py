"""BDAT from a real client, Exim, through the proxy: in chunks to Postfix, and after DATA where none go."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from interop_daemon import open_directory
from interop_delivery import EXIM
from interop_postfix import SENDER, Mailbox, Postfix, prepare
from interop_proxy import Proxy, running

pytestmark = pytest.mark.interop

CONF = """
primary_hostname = client.test
exim_path = {exim}
keep_environment =
exim_user = nobody
exim_group = nogroup
never_users =
spool_directory = {root}/spool
log_file_path = {root}/%slog
begin routers
send:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = out
  self = send
begin transports
out:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_chunking = *
"""
CONTENT = (
    b"Subject: chunks\n\n.leading dot\n.\n..two\n"
    + b"x" * 70
    + b"\n"
    + b"RSET\nQUIT\n" * 20_000
    + b".\nend\n"
)
"""Octets that spell commands, in more than one chunk of the proxy."""


@contextmanager
def exim(port: int) -> Iterator[Path]:
    """The directory of an Exim that sends all mail to this port of 127.0.0.1."""
    if not EXIM.exists():
        pytest.fail(f"{EXIM} is missing: .ci/run says how to unpack it", pytrace=False)
    with open_directory("exim-client") as root:
        (root / "conf").write_text(CONF.format(root=root, exim=EXIM, port=port))
        (root / "spool").mkdir()
        for path in (root, root / "spool"):
            shutil.chown(path, "nobody", "nogroup")
        yield root


def send(root: Path, recipient: str, content: bytes) -> None:
    """Sends one message, and returns when it was delivered or deferred."""
    command = [str(EXIM), "-C", str(root / "conf"), "-odf", "-oi", "-f", SENDER, recipient]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")


def delivered(mailbox: Mailbox) -> bytes:
    return mailbox.message().content.partition(b"\nSubject: ")[2]


@contextmanager
def postfix_without_chunks() -> Iterator[Postfix]:
    with open_directory("postfix-no-chunks") as root:
        server = prepare(root, main="smtpd_discard_ehlo_keywords = chunking\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def watched(upstream: int, directory: Path, *options: str) -> Iterator[Proxy]:
    with running(upstream, directory, "--transcript", *options) as proxy:
        yield proxy


def test_chunks_pass_as_chunks(postfix: Postfix, mailbox: Mailbox, tmp_path: Path) -> None:
    with watched(postfix.port, tmp_path) as proxy, exim(proxy.port) as root:
        send(root, mailbox.address, CONTENT)
        shown = proxy.log()
    assert re.search(r"BDAT \d+ LAST", shown), shown[-3000:]
    assert "DATA" not in re.findall(r"\b(?:DATA|BDAT)\b", shown), shown[-3000:]
    assert delivered(mailbox).endswith(CONTENT.partition(b"\n")[2])


def test_chunks_are_converted_for_a_server_that_takes_none(tmp_path: Path) -> None:
    with postfix_without_chunks() as postfix:
        mailbox = postfix.new_mailbox()
        with watched(postfix.port, tmp_path, "--chunking", "always") as proxy, exim(proxy.port) as root:
            send(root, mailbox.address, CONTENT)
            shown = proxy.log()
        assert re.search(r"BDAT \d+ LAST", shown), shown[-3000:]
        assert re.search(r"\bDATA\b", shown), shown[-3000:]
        assert delivered(mailbox).endswith(CONTENT.partition(b"\n")[2])


def test_without_chunks(postfix: Postfix, mailbox: Mailbox, tmp_path: Path) -> None:
    with watched(postfix.port, tmp_path, "--chunking", "never") as proxy, exim(proxy.port) as root:
        send(root, mailbox.address, CONTENT)
    assert delivered(mailbox).endswith(CONTENT.partition(b"\n")[2])


def test_a_refused_chunk_whose_octets_spell_commands(postfix: Postfix, tmp_path: Path) -> None:
    """The recipient is unknown: Postfix would obey RSET and QUIT if it saw them."""
    octets = b"RSET\r\nQUIT\r\n"
    with (
        watched(postfix.port, tmp_path) as proxy,
        closing(socket.create_connection(("127.0.0.1", proxy.port), 20)) as client,
    ):
        lines = client.makefile("rb")

        def said(data: bytes, replies: int = 1) -> list[bytes]:
            client.sendall(data)
            found: list[bytes] = []
            while len(found) < replies:
                line = lines.readline()
                assert line, found
                if line[3:4] == b" ":
                    found.append(line[:3])
            return found

        assert said(b"") == [b"220"]
        assert said(b"EHLO client.test\r\n") == [b"250"]
        group = b"MAIL FROM:<%b>\r\nRCPT TO:<unknown@interop.test>\r\n" % SENDER.encode()
        assert said(group + b"BDAT %d LAST\r\n" % len(octets) + octets, 3) == [b"250", b"550", b"554"]
        assert said(b"NOOP\r\n") == [b"250"]
        assert said(b"QUIT\r\n") == [b"221"]
