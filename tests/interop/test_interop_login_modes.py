"""The proxy logs in to Postfix, whose logins Dovecot checks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from interop_daemon import need
from interop_peers import PASSWORD, Peers
from interop_postfix import SENDER
from interop_proxy import Proxy, running

pytestmark = pytest.mark.interop

RULES = """
from sansio_smtp.rules import Accept, Redirect

def login(conn, attempt):
    if attempt.name == "ann" and attempt.password() == "sesame":
        return Accept()
"""
OVER_THERE = """
from sansio_smtp.rules import Redirect

def mail(tx, sender):
    return Redirect("127.0.0.1:{port}")
"""


@attrs.frozen
class Behind:
    """What a test needs: the server, and a directory for the proxy."""

    peers: Peers
    root: Path

    def start(self, service: str, *options: str, password: str = PASSWORD) -> Iterator[Proxy]:
        file = self.root / "password"
        file.write_text(password + "\n")
        given = ["--upstream-user", "scanner", "--upstream-password-file", str(file)]
        inject = [*given] if "inject" in options else []
        shown = ["--transcript", "-vv", "--login", *options, *inject]
        return running(self.peers.ports[service], self.root / "proxy", *shown)  # type: ignore[return-value]


@pytest.fixture
def behind(peers: Peers, tmp_path: Path) -> Behind:
    return Behind(peers, tmp_path)


def swaks(proxy: Proxy, to: str, *options: str) -> str:
    need("swaks", "swaks")
    command = ["swaks", "--server", proxy.host, "--port", str(proxy.port), "--from", SENDER, "--to", to]
    return run(*command, *options)


def run(*command: str) -> str:
    """What it prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def logins(log: str) -> list[tuple[str, str]]:
    """Mechanism and name of the logins with which Postfix has taken mail."""
    return re.findall(r"sasl_method=([A-Z0-9-]+), sasl_username=(\S+)", log)


def check_silence(proxy: Proxy, *secrets: str) -> None:
    """Neither the log nor the transcript shows them."""
    shown = proxy.log()
    assert "AUTH" in shown
    for secret in (PASSWORD, *secrets):
        assert secret not in shown


def test_a_device_that_cannot_log_in(behind: Behind) -> None:
    """The proxy logs in for it, with the best mechanism that the server offers."""
    postfix, mailbox = behind.peers.postfix, behind.peers.new_mailbox()
    start = len(postfix.log())
    with behind.start("plain", "inject") as proxy:
        said = swaks(proxy, mailbox.address)
        assert "<~  250 2.0.0 Ok: queued" in said.replace("<- ", "<~ "), said
        check_silence(proxy)
    mailbox.message()
    assert logins(postfix.log_until("sasl_username", start)) == [("SCRAM-SHA-256", "scanner")]
