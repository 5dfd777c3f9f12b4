"""TLS on both legs, with real clients and a real Postfix: what each pair of them comes to, at each level."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import attrs
import pytest
from interop_certificates import Certificates
from interop_daemon import need
from interop_peers import PASSWORD, Peers
from interop_postfix import SENDER, Mailbox
from interop_proxy import Proxy, running
from interop_senders import SENDERS, Mode, Submission, build_nodemailer, openssl_client

pytestmark = pytest.mark.interop

# The matrix

LEVELS = ("none", "may", "encrypt", "verify")
SERVERS = {
    "plain": "smtp://127.0.0.1:{plain}",
    "STARTTLS": "smtp://127.0.0.1:{starttls}",
    "implicit": "smtps://127.0.0.1:{implicit}",
    # It demands STARTTLS, and answers 454 to it.
    "absent": "smtp://127.0.0.1:{absent}",
}
CLIENTS: dict[str, tuple[str, int, tuple[str, ...] | Mode]] = {
    "plain": ("may", 0, ()),
    "STARTTLS": ("may", 0, ("--tls",)),
    "implicit": ("may", 1, ("--tls-on-connect",)),
    "stays plain": ("encrypt", 0, ()),
    "STARTTLS, openssl": ("may", 0, "starttls"),
    "implicit, openssl": ("may", 1, "implicit"),
}
"""What ``--tls`` says, the number of the listener, and what swaks is told; or the mode of openssl."""

CLEAR = "delivered in clear"
TLS = "delivered under TLS"
GREETING = "421 for a greeting"
HELLO = "421 to EHLO"
SERVERS_OWN = "530 to MAIL, the server's"
OURS = "530 to MAIL, ours"
NOT_STARTED = "not started"

EXPECTED = {
    # none, may, encrypt, verify
    "plain": (CLEAR, CLEAR, HELLO, HELLO),
    "STARTTLS": (CLEAR, TLS, TLS, TLS),
    "implicit": (NOT_STARTED, TLS, TLS, TLS),
    "absent": (SERVERS_OWN, SERVERS_OWN, HELLO, HELLO),
}
"""For a client that does what is asked of it. One that stays in plain text although TLS is demanded hears our
530 where the others are served, or hear the server's."""

LISTENERS = ("127.0.0.1:0", "smtps://127.0.0.1:0")
Key = tuple[str, str, str]

SERVER_LINE = re.compile(r"^<(?:-|~|\*\*|~\*) +(\d{3}) (.*)$", re.MULTILINE)


def expected(client: str, server: str, level: str) -> str:
    outcome = EXPECTED[server][LEVELS.index(level)]
    if client == "stays plain" and outcome in (CLEAR, TLS, SERVERS_OWN):
        return OURS
    return outcome


def proxy_options(peers: Peers, certificates: Certificates, level: str, tls: str) -> tuple[str, ...]:
    checked = ("--upstream-ca", str(peers.ca)) if level == "verify" else ()
    return ("--upstream-tls", level, *checked, "--tls", tls, *certificates.options)


@contextmanager
def many_proxies(
    peers: Peers, certificates: Certificates, root: Path, keys: list[Key]
) -> Iterator[dict[Key, Proxy]]:
    """One for each server, level and ``--tls``."""
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:

        def start(key: Key) -> Proxy:
            server, level, tls = key
            upstream = SERVERS[server].format(**peers.ports)
            options = proxy_options(peers, certificates, level, tls)
            return stack.enter_context(running(upstream, root / "-".join(key), *options, listen=LISTENERS))

        yield dict(zip(keys, pool.map(start, keys), strict=True))


@attrs.frozen
class Cell:
    proxy: Proxy
    client: str
    mailbox: Mailbox
    certificates: Certificates

    def heard(self) -> str:
        """What the client has said and heard, as swaks shows it."""
        _, listener, options = CLIENTS[self.client]
        port = self.proxy.ports[listener]
        return self._swaks(port, options) if isinstance(options, tuple) else self._openssl(port, options)

    def _swaks(self, port: int, options: tuple[str, ...]) -> str:
        command = ["swaks", "--server", f"127.0.0.1:{port}", "--helo", "client.test", "--from", SENDER]
        command += ["--to", self.mailbox.address, "--timeout", "20", *options]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    def _openssl(self, port: int, mode: Mode) -> str:
        path = f"FROM:<{SENDER}>", f"TO:<{self.mailbox.address}>"
        commands = ("EHLO client.test", f"MAIL {path[0]}", f"RCPT {path[1]}", "DATA", "Subject: hi\r\n\r\n.")
        heard = "<-  220 as its greeting\n"
        errors = self.proxy.stdout.with_name(f"{self.mailbox.maildir.name}.stderr")
        with openssl_client(mode, port, self.certificates.ca, errors, greet=False) as client:
            for command in commands:
                try:
                    reply = client.command(command.encode())
                except (EOFError, ConnectionError):
                    # Its own EHLO was answered 421, and it does not show that.
                    assert "find STARTTLS in server response" in errors.read_text()
                    return f"{heard}<** 421 to EHLO"
                heard += f" -> {command}\n<-  {reply.code} {reply.lines[-1].decode()}\n"
                if reply.code >= 400:
                    return heard
        return heard

    def outcome(self, heard: str) -> str:
        replies = SERVER_LINE.findall(heard)
        codes = [code for code, _ in replies]
        if "421" in codes:
            return {0: GREETING, 1: HELLO}[codes.index("421")]
        if "530" in codes:
            (text,) = (text for code, text in replies if code == "530")
            assert "MAIL" in heard
            return OURS if text == "5.7.0 send STARTTLS first" else SERVERS_OWN
        assert "queued as" in heard, heard
        trace = self.mailbox.message().trace
        return TLS if b"(using TLSv1." in trace else CLEAR


def test_each_client_with_each_server_at_each_level(
    peers: Peers, certificates: Certificates, tmp_path: Path
) -> None:
    need("swaks", "swaks")
    triples = [key for key in product(CLIENTS, SERVERS, LEVELS) if expected(*key) != NOT_STARTED]
    keys = {key: (key[1], key[2], CLIENTS[key[0]][0]) for key in triples}
    with many_proxies(peers, certificates, tmp_path, [*dict.fromkeys(keys.values())]) as proxies:
        cells = {key: Cell(proxies[keys[key]], key[0], peers.new_mailbox(), certificates) for key in triples}
        with ThreadPoolExecutor(4) as pool:
            heard = dict(zip(cells, pool.map(Cell.heard, cells.values()), strict=True))
        outcomes = {key: cell.outcome(heard[key]) for key, cell in cells.items()}
        logs = {key: proxy.stderr.read_text() for key, proxy in proxies.items()}
    print(matrix(outcomes))
    assert outcomes == {key: expected(*key) for key in cells}
    for (server, level, _), log in logs.items():
        refused = expected("", server, level) in (HELLO, GREETING)
        assert ("error" in log) == refused, (server, level, log)


def test_what_is_not_started(peers: Peers, certificates: Certificates, tmp_path: Path) -> None:
    """TLS from the first octet, and none of it, contradict one another."""
    key = ("implicit", "none", "may")
    with (
        pytest.raises(AssertionError, match="--upstream-tls none forbids it"),
        many_proxies(peers, certificates, tmp_path, [key]),
    ):
        pass


def matrix(outcomes: dict[tuple[str, str, str], str]) -> str:
    rows = [("client", "server", *LEVELS)]
    for client, server in product(CLIENTS, SERVERS):
        rows.append(
            (client, server, *(outcomes.get((client, server, level), NOT_STARTED) for level in LEVELS))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n" + "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


# Clients that log in


@pytest.fixture(scope="module")
def submission(
    peers: Peers, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """TLS is demanded on both legs."""
    upstream = f"smtp://127.0.0.1:{peers.ports['required']}"
    options = proxy_options(peers, certificates, "verify", "encrypt")
    directory = tmp_path_factory.mktemp("submission")
    with running(upstream, directory, *options, listen=LISTENERS) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clients")
    need("npm", "npm")
    build_nodemailer(directory)
    return directory


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
@pytest.mark.parametrize("sender", SENDERS)
def test_a_client_that_logs_in(
    peers: Peers, submission: Proxy, certificates: Certificates, clients: Path, sender: str, mode: Mode
) -> None:
    mailbox = peers.new_mailbox()
    start = len(peers.postfix.log())
    port = submission.ports[{"starttls": 0, "implicit": 1}[mode]]
    mail = Submission(
        mode, port, certificates.ca, "ann", PASSWORD, SENDER, mailbox.address, f"hi from {sender}", clients
    )
    SENDERS[sender](mail)
    message = mailbox.message()
    assert b"(using TLSv1.3" in message.trace
    assert f"Subject: hi from {sender}\n".encode() in message.content
    assert b"\n.a line that begins with a dot\n" in message.content
    assert "sasl_username=ann" in peers.postfix.log()[start:]
