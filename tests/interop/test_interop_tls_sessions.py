"""What must not pass from before TLS to after it, and TLS together with who the client is; Postfix tells."""

from __future__ import annotations

import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_certificates import Certificates
from interop_delivery import running_exim
from interop_haproxy import running_haproxy
from interop_peers import PASSWORD, Peers
from interop_postfix import SENDER, free_port
from interop_proxy import Proxy, running
from interop_wire import RawClient

pytestmark = pytest.mark.interop

CLIENT = "127.0.0.9"
TOLD = "192.0.2.7"
LOGIN = b"AUTH PLAIN " + b64encode(f"\0ann\0{PASSWORD}".encode())
LISTENERS = ("127.0.0.1:0", "smtps://127.0.0.1:0")
TEXT = b"Subject: hi\r\n\r\nhello\r\n."


@pytest.fixture(scope="module")
def trusted(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca))


@pytest.fixture(scope="module")
def proxy(
    peers: Peers, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """TLS is possible on both legs; Postfix takes logins in plain text too, and is told the client."""
    upstream = f"smtp://127.0.0.1:{peers.ports['everything']}"
    options = (*certificates.options, "--upstream-tls", "verify", "--upstream-ca", str(peers.ca))
    options += ("--send-client", "xclient")
    with running(upstream, tmp_path_factory.mktemp("tls"), *options, listen=LISTENERS) as proxy:
        yield proxy


def test_a_login_in_plain_text_does_not_count_under_tls(
    peers: Peers, proxy: Proxy, trusted: ssl.SSLContext
) -> None:
    """Nothing undoes a login at a server: it gets a new connection, and is told there who the client is."""
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    with RawClient(proxy.port, source=CLIENT) as client:
        client.command(LOGIN, 235)
        client.start_tls(trusted)
        client.envelope(SENDER, mailbox.address)
        client.command(TEXT, 250)
        client.quit()
    log = peers.postfix.log_until("queue active", start)
    assert log.count("connect from unknown[127.0.0.1]") == 2
    assert f"client=unknown[{CLIENT}]\n" in log  # and no login
    assert "sasl_username" not in log


def test_a_mail_transaction_in_plain_text_is_gone_under_tls(
    peers: Peers, proxy: Proxy, trusted: ssl.SSLContext
) -> None:
    mailbox = peers.new_mailbox()
    with RawClient(proxy.port) as client:
        client.command(b"MAIL FROM:<%b>" % SENDER.encode(), 250)
        client.start_tls(trusted)
        client.command(b"RCPT TO:<%b>" % mailbox.address.encode(), 503)


@pytest.mark.parametrize("rest", [b"EHLO injected.test\r\n", b"NOOP\r\n", b"\x16\x03\x01"], ids=repr)
def test_octets_after_starttls_end_the_session(peers: Peers, proxy: Proxy, rest: bytes) -> None:
    start = len(peers.postfix.log())
    with RawClient(proxy.port) as client:
        client.send(b"STARTTLS\r\n" + rest)
        codes = [reply.code for reply in client.replies_until_closed()]
    assert codes in ([503], [220, 503])
    assert "injected.test" not in peers.postfix.log()[start:]


def test_a_cut_is_no_end_of_a_message(peers: Peers, proxy: Proxy, trusted: ssl.SSLContext) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    with RawClient(proxy.port) as client:
        client.start_tls(trusted)
        client.envelope(SENDER, mailbox.address)
        client.send(b"Subject: half\r\n\r\nhalf\r\n.\r")
        client.cut()
    peers.postfix.log_until("lost connection after DATA", start)
    assert mailbox.messages() == []


def test_a_proxy_header_comes_before_tls(
    peers: Peers, certificates: Certificates, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    """HAProxy passes TLS from the first octet on, after its header. Postfix gets a header before TLS too."""
    mailbox, front, start = peers.new_mailbox(), free_port(), len(peers.postfix.log())
    upstream = f"smtps://127.0.0.1:{peers.ports['header, implicit']}"
    options = (*certificates.options, "--accept-proxy", "127.0.0.1", "--send-client", "proxy2")
    options += ("--upstream-ca", str(peers.ca))
    with running(upstream, tmp_path, *options, listen=LISTENERS) as proxy:
        haproxy = f"""
listen smtps
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    bind 127.0.0.1:{front}
    server proxy 127.0.0.1:{proxy.ports[1]} send-proxy-v2
"""
        with running_haproxy(tmp_path, haproxy, front):
            sock = socket.create_connection(("127.0.0.1", front), 20, (CLIENT, 0))
            with RawClient(trusted.wrap_socket(sock, server_hostname="localhost")) as client:
                client.envelope(SENDER, mailbox.address)
                client.command(TEXT, 250)
                client.quit()
    assert f"client=unknown[{CLIENT}]" in peers.postfix.log_until("queue active", start)
    assert b"(using TLSv1.3" in mailbox.message().trace


def test_a_refusal_after_xclient_takes_the_place_of_the_greeting(peers: Peers, tmp_path: Path) -> None:
    rule = tmp_path / "rule.py"
    rule.write_text(
        "from sansio_smtp.rules import Reject\n\n\ndef connect(conn):\n"
        f'    if conn.ip == "{TOLD}":\n        return Reject(554, "5.7.1 not you")\n'
    )
    options = ("--accept-xclient", "127.0.0.1", "--rules", str(rule))
    with running(peers.ports["plain"], tmp_path, *options) as proxy, RawClient(proxy.port) as client:
        assert client.command(f"XCLIENT ADDR={TOLD}".encode(), 554).text == b"5.7.1 not you"


def test_a_client_elsewhere_is_not_offered_auth_in_plain_text(
    peers: Peers, certificates: Certificates, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    """It counts where the client is, not where the balancer is. Under TLS it may log in."""
    header = f"PROXY TCP4 {TOLD} 192.0.2.1 4711 25\r\n".encode()
    options = (*certificates.options, "--accept-proxy", "127.0.0.1")
    with (
        running(peers.ports["plain"], tmp_path, *options) as proxy,
        RawClient(proxy.port, first=header) as client,
    ):
        assert b"AUTH" not in client.keywords
        client.command(LOGIN, 538)
        client.start_tls(trusted)
        assert b"AUTH" in client.keywords
        client.command(LOGIN, 235)


def test_plain_text_after_a_failed_handshake_is_not_served(peers: Peers, proxy: Proxy) -> None:
    start = len(peers.postfix.log())
    with RawClient(proxy.port) as client:
        client.command(b"STARTTLS", 220)
        client.send(b"EHLO again.test\r\n")
        with pytest.raises((EOFError, AssertionError, ConnectionResetError)):
            client.reply()
    assert "again.test" not in peers.postfix.log()[start:]
    with smtplib.SMTP("127.0.0.1", proxy.port, timeout=20) as another:
        assert another.noop()[0] == 250


def test_a_server_with_another_tls_library(certificates: Certificates, tmp_path: Path) -> None:
    """Exim has GnuTLS, and Postfix and the proxy have OpenSSL."""
    with running_exim(certificates.both) as exim:
        for upstream in (f"smtp://localhost:{exim.port}", f"smtps://localhost:{exim.tls_port}"):
            options = ("--upstream-tls", "verify", "--upstream-ca", str(certificates.ca))
            with running(upstream, tmp_path, *options) as proxy, RawClient(proxy.port) as client:
                client.envelope(SENDER, "ann@example.com")
                client.command(TEXT, 250)
                client.quit()
        assert exim.log.read_text().count("with [TLS1.3]") == 2
