"""The proxy logs in to Postfix, whose logins Dovecot checks."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import pytest
from interop_daemon import need
from interop_peers import PASSWORD, SERVER_NAME, Peers
from interop_postfix import SENDER
from interop_proxy import Proxy, running

pytestmark = pytest.mark.interop

CHECKED = """
from sansio_smtp.rules import Accept

def login(conn, attempt):
    if attempt.name == "ann" and attempt.password() == "sesame":
        return Accept()
"""
REDIRECTED = """
from sansio_smtp.rules import Redirect

def mail(tx, sender):
    return Redirect("127.0.0.1:{port}")
"""
MESSAGE = b"Subject: hi\r\n\r\nhello\r\n"


@attrs.frozen
class Servers:
    """The server, and a directory for the proxy."""

    peers: Peers
    root: Path

    def proxy(
        self, service: str, mode: str, *options: str, rules: str = "", password: str = PASSWORD
    ) -> AbstractContextManager[Proxy]:
        """The proxy before a service of Postfix, in a mode of login."""
        given = list(options)
        if mode == "inject":
            (self.root / "password").write_text(password + "\n")
            given += ["--upstream-user", "scanner", "--upstream-password-file", str(self.root / "password")]
        if rules:
            (self.root / "my_rules.py").write_text(rules)
            given += ["--rules", str(self.root / "my_rules.py")]
        shown = ("--transcript", "-vv", "--login", mode)
        return running(self.peers.ports[service], self.root / "proxy", *shown, *given)

    def logins(self, start: int, count: int = 1) -> list[tuple[str, str]]:
        """Mechanism and name of the logins with which Postfix has taken mail since."""
        log = self.peers.postfix.log_until("sasl_username", start)
        found = re.findall(r"sasl_method=([A-Z0-9-]+), sasl_username=(\S+)", log)
        assert len(found) == count, log
        return found


@pytest.fixture
def servers(peers: Peers, tmp_path: Path) -> Servers:
    return Servers(peers, tmp_path)


def run(*command: str, input: bytes = b"") -> str:
    """What it prints."""
    need(command[0], command[0])
    done = subprocess.run(command, check=False, input=input, capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode()


def swaks(proxy: Proxy, to: str, *options: str) -> str:
    where = ("--server", proxy.host, "--port", str(proxy.port))
    return run("swaks", *where, "--from", SENDER, "--to", to, "--show-raw-text", *options)


def check_silence(proxy: Proxy, *secrets: str) -> None:
    """Neither the log nor the transcript shows them, in any writing."""
    shown = proxy.log()
    assert "AUTH" in shown
    for secret in (PASSWORD, *secrets):
        assert secret not in shown
        assert b64encode(secret.encode()).decode() not in shown


@pytest.mark.parametrize(
    ("service", "mechanism"),
    [("login", "SCRAM-SHA-256"), ("login, PLAIN", "PLAIN"), ("login, LOGIN", "LOGIN")],
)
def test_a_device_that_cannot_log_in(servers: Servers, service: str, mechanism: str) -> None:
    """The proxy logs in for it, with what the server offers."""
    postfix, mailbox = servers.peers.postfix, servers.peers.new_mailbox()
    start = len(postfix.log())
    with servers.proxy(service, "inject") as proxy:
        said = swaks(proxy, mailbox.address)
        assert "250 2.0.0 Ok: queued" in said, said
        assert "AUTH" not in said
        check_silence(proxy)
    mailbox.message()
    assert servers.logins(start) == [(mechanism, "scanner")]


def test_a_server_that_wants_tls(servers: Servers) -> None:
    mailbox = servers.peers.new_mailbox()
    start = len(servers.peers.postfix.log())
    tls = (
        "--upstream-tls",
        "verify",
        "--upstream-ca",
        str(servers.peers.ca),
        "--upstream-tls-name",
        SERVER_NAME,
    )
    with servers.proxy("login, TLS", "inject", *tls) as proxy:
        assert "250 2.0.0 Ok: queued" in swaks(proxy, mailbox.address)
        check_silence(proxy)
    assert servers.logins(start) == [("SCRAM-SHA-256", "scanner")]


def test_a_wrong_password_of_the_proxy(servers: Servers) -> None:
    """The client did nothing wrong. The log says why, and not with which password."""
    with servers.proxy("login", "inject", password="wrong horse") as proxy:
        said = swaks(proxy, servers.peers.new_mailbox().address)
        assert "<** 451 4.7.0 login of this proxy at the upstream server has failed" in said, said
        assert "the server refuses the login" in proxy.log()
        check_silence(proxy, "wrong horse")


def test_a_client_that_a_rule_checks(servers: Servers) -> None:
    mailbox = servers.peers.new_mailbox()
    start = len(servers.peers.postfix.log())
    login = ("--auth", "LOGIN", "--auth-user", "ann", "--auth-password")
    with servers.proxy("login", "inject", rules=CHECKED) as proxy:
        assert "<** 530 5.7.0 log in first" in swaks(proxy, mailbox.address)
        assert "535 5.7.8 wrong name or password" in swaks(proxy, mailbox.address, *login, "wrong horse")
        assert "250 2.0.0 Ok: queued" in swaks(proxy, mailbox.address, *login, "sesame")
        check_silence(proxy, "sesame", "wrong horse")
    assert servers.logins(start) == [("SCRAM-SHA-256", "scanner")]


@pytest.mark.parametrize("client", ["swaks PLAIN", "swaks LOGIN", "curl", "msmtp"])
def test_a_client_that_logs_in_as_itself(servers: Servers, client: str, tmp_path: Path) -> None:
    """The server gets SCRAM-SHA-256 for what the client says with PLAIN or LOGIN."""
    mailbox = servers.peers.new_mailbox()
    start = len(servers.peers.postfix.log())
    with servers.proxy("login", "translate") as proxy:
        said = SENDERS[client](proxy, mailbox.address, PASSWORD)
        refused = SENDERS[client](proxy, mailbox.address, "wrong horse")
        check_silence(proxy, "wrong horse")
    assert servers.logins(start) == [("SCRAM-SHA-256", "bob")], said
    assert "535" in refused or "Login denied" in refused, refused
    mailbox.message()


def _swaks(mechanism: str) -> Callable[[Proxy, str, str], str]:
    def send(proxy: Proxy, to: str, password: str) -> str:
        login = ("--auth", mechanism, "--auth-user", "bob", "--auth-password", password)
        return swaks(proxy, to, *login)

    return send


def _curl(proxy: Proxy, to: str, password: str) -> str:
    url = f"smtp://{proxy.host}:{proxy.port}/me.example"
    mail = ("--mail-from", SENDER, "--mail-rcpt", to, "--upload-file", "-")
    return run("curl", "-v", "--url", url, "--user", f"bob:{password}", *mail, input=MESSAGE)


def _msmtp(proxy: Proxy, to: str, password: str) -> str:
    where = (f"--host={proxy.host}", f"--port={proxy.port}", "--tls=off", "--timeout=20")
    login = ("--auth=plain", "--user=bob", f"--passwordeval=printf %s '{password}'")
    return run("msmtp", "--debug", *where, *login, f"--from={SENDER}", to, input=MESSAGE)


SENDERS: dict[str, Callable[[Proxy, str, str], str]] = {
    "swaks PLAIN": _swaks("PLAIN"),
    "swaks LOGIN": _swaks("LOGIN"),
    "curl": _curl,
    "msmtp": _msmtp,
}


def test_a_client_that_does_not_log_in(servers: Servers) -> None:
    """The server says what it thinks of that."""
    with servers.proxy("login", "translate") as proxy:
        said = swaks(proxy, servers.peers.new_mailbox().address)
    assert "<** 554 5.7.1" in said, said


def test_another_server_after_the_login(servers: Servers) -> None:
    """The login is said again there, with what that one offers."""
    mailbox = servers.peers.new_mailbox()
    start = len(servers.peers.postfix.log())
    rules = REDIRECTED.format(port=servers.peers.ports["login, PLAIN"])
    with servers.proxy("login", "translate", rules=rules) as proxy:
        assert "250 2.0.0 Ok: queued" in SENDERS["swaks LOGIN"](proxy, mailbox.address, PASSWORD)
        check_silence(proxy)
    assert servers.logins(start) == [("PLAIN", "bob")]
    mailbox.message()


def test_check_logs_in(servers: Servers, tmp_path: Path) -> None:
    port = servers.peers.ports["login"]
    file = tmp_path / "password"
    command = (sys.executable, "-m", "trio_proxy", "check", "-l", "127.0.0.1:0", "-u", f"127.0.0.1:{port}")
    login = ("--login", "inject", "--upstream-user", "scanner", "--upstream-password-file", str(file))
    for password, status in ((PASSWORD, 0), ("wrong horse", 69)):
        file.write_text(password)
        done = subprocess.run([*command, *login], check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done
        said = done.stdout + done.stderr
        assert ("accepts scanner, with SCRAM-SHA-256" in said) == (status == 0), said
        assert ("the login of scanner fails" in said) == (status == 69), said
        assert password not in said
