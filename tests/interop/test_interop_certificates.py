"""Certificates in the running program, renewed under load and demanded by a server; and renegotiation."""

from __future__ import annotations

import random
import signal
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trustme
from interop_daemon import Daemon, need
from interop_postfix import free_port
from interop_proxy import Proxy, running

pytestmark = pytest.mark.interop

NAME = "mail.example.com"
CONNECTIONS = 2_000
LISTENERS = ("127.0.0.1:0", "smtps://127.0.0.1:0")


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that takes everything."""
    need("smtp-sink", "postfix")
    port = free_port()
    log = tmp_path_factory.mktemp("sink") / "log"
    daemon = Daemon(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "256"], log, ("127.0.0.1", port))
    daemon.start()
    yield port
    daemon.kill()


@attrs.define
class Files:
    """A certificate and its key, renewed as `cp` does it: one file, then the other, and neither at once."""

    folder: Path
    ca: trustme.CA = attrs.field(factory=trustme.CA)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.folder / "cert.pem"), "--tls-key", str(self.folder / "key.pem"))

    def renew(self) -> None:
        issued = self.ca.issue_cert(NAME)
        (self.folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        (self.folder / "key.pem").write_bytes(issued.private_key_pem.bytes())

    @property
    def context(self) -> ssl.SSLContext:
        """Of a client that trusts nobody else."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


def connect(proxy: Proxy, context: ssl.SSLContext, *, implicit: bool) -> int:
    """A short session in TLS. Returns the serial number of the certificate that was shown."""
    with socket.create_connection((proxy.host, proxy.ports[implicit]), timeout=30) as plain:
        if not implicit:
            assert reply(plain) == b"220"
            assert command(plain, b"EHLO client.test") == b"250"
            assert command(plain, b"STARTTLS") == b"220"
        with context.wrap_socket(plain, server_hostname=NAME) as secure:
            if implicit:
                assert reply(secure) == b"220"
            assert command(secure, b"EHLO client.test") == b"250"
            assert command(secure, b"QUIT") == b"221"
            shown = secure.getpeercert()
            assert shown is not None
            return int(str(shown["serialNumber"]), 16)


def command(sock: socket.socket, line: bytes) -> bytes:
    sock.sendall(line + b"\r\n")
    return reply(sock)


def reply(sock: socket.socket) -> bytes:
    octets = b""
    while not (octets.endswith(b"\r\n") and octets.splitlines()[-1][3:4] != b"-"):
        more = sock.recv(4096)
        assert more, f"the connection ended after {octets!r}"
        octets += more
    return octets[:3]


@contextmanager
def renewed_all_the_time(files: Files, proxy: Proxy) -> Iterator[None]:
    """Every other time the program is told so, else it has to notice."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(random.uniform(0.05, 0.5)):
            files.renew()
            if random.random() < 0.5:
                proxy.process.send_signal(signal.SIGHUP)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_certificates_are_renewed_and_no_connection_fails(sink: int, tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.renew()
    with running(sink, tmp_path / "proxy", *files.options, listen=LISTENERS) as proxy:
        context = files.context
        with renewed_all_the_time(files, proxy), ThreadPoolExecutor(8) as pool:
            serials = Counter(
                pool.map(lambda number: connect(proxy, context, implicit=number % 2 > 0), range(CONNECTIONS))
            )
        log = proxy.log()
    assert serials.total() == CONNECTIONS
    reloads = log.count("certificates reloaded")
    print(f"{CONNECTIONS} connections, {len(serials)} certificates, {reloads} reloads")
    assert len(serials) > 5
    assert "internal error" not in log
    assert "handshake failed" not in log


class Client:
    """``openssl s_client``, which can ask for what no library can."""

    def __init__(self, proxy: Proxy, version: str) -> None:
        command = ["openssl", "s_client", version, "-connect", f"127.0.0.1:{proxy.ports[1]}", "-crlf"]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, **output)
        self._timer = threading.Timer(20, self._process.kill)
        self._timer.start()

    def says(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def until(self, words: bytes) -> bytes:
        """All that it prints up to a line with these words, or all."""
        assert self._process.stdout is not None
        printed = b""
        for line in self._process.stdout:
            printed += line
            if words in line:
                break
        return printed

    def close(self) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()


@contextmanager
def openssl(proxy: Proxy, version: str) -> Iterator[Client]:
    client = Client(proxy, version)
    try:
        assert b"220 " in client.until(b"220 ")
        yield client
    finally:
        client.close()


def test_renegotiation_is_refused_and_new_keys_are_not(sink: int, tmp_path: Path) -> None:
    """TLS 1.2 has renegotiation (``R``), TLS 1.3 new keys in its place (``K``)."""
    need("openssl", "openssl")
    files = Files(tmp_path)
    files.renew()
    with running(sink, tmp_path / "proxy", *files.options, listen=LISTENERS) as proxy:
        with openssl(proxy, "-tls1_2") as client:
            client.says(b"R\n")
            printed = client.until(b"no renegotiation")
            assert b"RENEGOTIATING" in printed
            assert b"no renegotiation" in printed, printed
        with openssl(proxy, "-tls1_3") as client:
            client.says(b"K\n")
            assert b"KEYUPDATE" in client.until(b"KEYUPDATE")
            client.says(b"NOOP\n")
            assert b"250" in client.until(b"250 ")
        connect(proxy, files.context, implicit=True)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_that_demands_a_certificate(tmp_path: Path, version: str) -> None:
    """In TLS 1.3 the server says so only after the handshake, as its client sees it."""
    need("openssl", "openssl")
    files = Files(tmp_path)
    files.renew()
    issued = files.ca.issue_cert("client.example.com")
    issued.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "client.crt"))
    files.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    port = free_port()
    server = ["openssl", "s_server", version, "-accept", str(port), "-Verify", "1", "-verify_return_error"]
    server += ["-CAfile", str(tmp_path / "ca.pem"), "-cert", str(tmp_path / "cert.pem")]
    server += ["-key", str(tmp_path / "key.pem"), "-quiet", "-rev"]
    daemon = Daemon(server, tmp_path / "s_server", ("127.0.0.1", port))
    daemon.start()
    upstream = f"smtps://127.0.0.1:{port}"
    checked = ("--upstream-ca", str(tmp_path / "ca.pem"), "--upstream-tls-name", NAME)
    shown = ("--upstream-cert", str(tmp_path / "client.crt"), "--upstream-key", str(tmp_path / "client.key"))
    try:
        with running(upstream, tmp_path / "without", *checked) as proxy:
            with socket.create_connection((proxy.host, proxy.port), timeout=30) as client:
                assert reply(client) == b"421"
            assert "demands a certificate" in proxy.log()
        with running(upstream, tmp_path / "with", *checked, *shown, "--timeout", "greeting=1") as proxy:
            with socket.create_connection((proxy.host, proxy.port), timeout=30) as client:
                assert reply(client) == b"421", "this server knows TLS and no SMTP"
            assert "TLS" not in proxy.stderr.read_text()
            assert "waiting_for=greeting" in proxy.log()
    finally:
        daemon.kill()
