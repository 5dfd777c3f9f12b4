"""Who the client really is: what Postfix logs of clients that reach it through the proxy, by PROXY headers,
XCLIENT and XFORWARD, in and out."""

from __future__ import annotations

import re
import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from interop_daemon import open_directory
from interop_haproxy import running_haproxy
from interop_peers import Peers, service
from interop_postfix import SENDER, Mailbox, free_port, prepare
from interop_proxy import Proxy, running
from interop_wire import RawClient, as_kept

pytestmark = pytest.mark.interop

CLIENT = "127.0.0.9"
"""Where clients are: Postfix and the proxy trust 127.0.0.1 alone."""
TOLD = "192.0.2.7"
"""Where a trusted peer says that the client is."""
LOGGED = re.compile(r": (?:NOQUEUE|\w+): client=(.*)$", re.MULTILINE)
TEXT = b"Subject: hi\r\n\r\nhello\r\n"


def send(port: int, mailbox: Mailbox, content: bytes = TEXT, *, source: str = CLIENT) -> None:
    with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=30, source_address=(source, 0)) as client:
        client.sendmail(SENDER, mailbox.address, content)


def logged(peers: Peers, start: int) -> str:
    """As whose the first message after `start` is logged."""
    log = peers.postfix.log_until(": client=", start)
    log = peers.postfix.log_until("\n", start + log.index(": client=")) and peers.postfix.log()[start:]
    found = LOGGED.search(log)
    assert found, log
    return found[1]


# Out


@pytest.mark.parametrize(
    ("how", "server", "expected"),
    [
        ("none", "plain", "unknown[127.0.0.1]"),
        ("xclient", "xclient", f"unknown[{CLIENT}]"),
        ("xforward", "xforward", f"unknown[127.0.0.1], orig_client=unknown[{CLIENT}]"),
        ("proxy", "header", f"unknown[{CLIENT}]"),
        ("proxy2", "header", f"unknown[{CLIENT}]"),
        ("auto", "everything", f"unknown[{CLIENT}]"),
        ("auto", "xforward", f"unknown[127.0.0.1], orig_client=unknown[{CLIENT}]"),
        ("auto", "plain", "unknown[127.0.0.1]"),
    ],
)
def test_postfix_logs_the_client(peers: Peers, tmp_path: Path, how: str, server: str, expected: str) -> None:
    mailbox = peers.new_mailbox()
    start = len(peers.postfix.log())
    with running(peers.ports[server], tmp_path, "--send-client", how) as proxy:
        send(proxy.port, mailbox)
    assert logged(peers, start) == expected
    trace = mailbox.message().trace
    assert b"Received: from client.example (unknown [" in trace
    address = expected.partition("[")[2].partition("]")[0]
    assert f"(unknown [{address}])".encode() in trace


@pytest.mark.parametrize(("how", "line"), [("xclient", b"EHLO x"), ("xforward", b"MAIL FROM:<>")])
def test_a_server_that_does_not_take_it(peers: Peers, tmp_path: Path, how: str, line: bytes) -> None:
    """It would take the proxy for the client. XFORWARD is of mail transactions, so it is missed at MAIL."""
    with running(peers.ports["plain"], tmp_path, "--send-client", how) as proxy:
        with RawClient(proxy.port, greet=how == "xforward") as client:
            assert client.command(line).code == 421
            assert client.replies_until_closed() == []
        (said,) = proxy.stderr.read_text().splitlines()
    assert "error" in said
    assert how.upper() in said


# In


@pytest.fixture(scope="module")
def chain(peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that believes 127.0.0.1, and tells Postfix."""
    directory = tmp_path_factory.mktemp("chain")
    (directory / "who.py").write_text(WHO)
    options = ("--accept-xclient", "127.0.0.1", "--accept-xforward", "127.0.0.1", "--send-client", "xclient")
    with running(
        peers.ports["everything"], directory, *options, "-v", "--rules", str(directory / "who.py")
    ) as proxy:
        yield proxy


WHO = """
from sansio_smtp.rules import Reject


def helo(conn, name):
    if name.startswith("who"):
        return Reject(550, f"5.7.1 {conn.ip} {conn.port} {conn.helo} {conn.login} {conn.proxy_ip}")


def mail(tx, sender):
    if sender.local == "who":
        return helo(tx.conn, "who")
"""


def test_xclient_comes_through(peers: Peers, chain: Proxy) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    with RawClient(chain.port) as client:
        assert b"XCLIENT" in client.keywords
        client.command(f"XCLIENT ADDR={TOLD} NAME=c+2Eexample PORT=4711 LOGIN=ann".encode(), 220)
        client.command(b"EHLO other.example", 250)
        client.envelope(SENDER, mailbox.address)
        client.command(b"Subject: hi\r\n\r\nhello\r\n.", 250)
        client.quit()
    assert logged(peers, start).startswith(f"c.example[{TOLD}]")
    assert f"from other.example (c.example [{TOLD}])".encode() in mailbox.message().trace


def test_rules_see_the_client_of_xclient(chain: Proxy) -> None:
    with RawClient(chain.port) as client:
        client.command(f"XCLIENT ADDR={TOLD} PORT=4711 HELO=it.example LOGIN=ann".encode(), 220)
        assert client.command(b"EHLO who").text == f"5.7.1 {TOLD} 4711 it.example ann 127.0.0.1".encode()


def test_rules_see_the_client_of_xforward_for_one_transaction(chain: Proxy) -> None:
    with RawClient(chain.port) as client:
        client.command(f"XFORWARD ADDR={TOLD} PORT=4711 HELO=it.example".encode(), 250)
        told = client.command(b"MAIL FROM:<who@x>", 550).text
        assert told == f"5.7.1 {TOLD} 4711 it.example None 127.0.0.1".encode()
        client.command(b"RSET", 250)
        told = client.command(b"MAIL FROM:<who@x>", 550).text.split()
        assert (told[1], told[3]) == (b"127.0.0.1", b"client.test")


def test_strangers_do_not_name_the_client(peers: Peers, chain: Proxy) -> None:
    """Neither one from elsewhere, nor one that a trusted peer has named."""
    mailbox, start, before = peers.new_mailbox(), len(peers.postfix.log()), chain.log()
    with RawClient(chain.port, source=CLIENT) as client:
        assert not client.keywords & {b"XCLIENT", b"XFORWARD"}
        assert client.command(b"XCLIENT ADDR=" + TOLD.encode()).code in range(500, 560)
        assert client.command(b"XFORWARD ADDR=" + TOLD.encode()).code in range(500, 560)
        client.envelope(SENDER, mailbox.address)
        client.command(b"Subject: hi\r\n\r\nhello\r\n.", 250)
    assert logged(peers, start) == f"unknown[{CLIENT}]"
    said = chain.log().removeprefix(before)
    assert "XCLIENT" in said
    assert "XFORWARD" in said
    assert CLIENT in said
    with RawClient(chain.port) as client:
        client.command(f"XCLIENT ADDR={TOLD}".encode(), 220)
        again = client.command(b"EHLO client.example", 250)
        assert not any(line.startswith((b"XCLIENT", b"XFORWARD")) for line in again.lines)
        assert client.command(b"XCLIENT ADDR=192.0.2.8").code in range(500, 560)


def test_forged_lines_in_a_message_are_text(peers: Peers, chain: Proxy) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    lines = (f"PROXY TCP4 {TOLD} 192.0.2.1 4711 25", f"XCLIENT ADDR={TOLD}", f"XFORWARD ADDR={TOLD}")
    header = f"X-Original-Client: {TOLD}\r\nReceived: from x (unknown [{TOLD}])\r\n"
    content = "\r\n".join(["Subject: hi", header, *lines, ""]).encode()
    send(chain.port, mailbox, content)
    assert mailbox.message().content == as_kept(content)
    assert logged(peers, start) == f"unknown[{CLIENT}]"
    assert f"client=unknown[{TOLD}]" not in peers.postfix.log()[start:]


def test_xforward_goes_on(peers: Peers, tmp_path: Path) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    options = ("--accept-xforward", "127.0.0.1", "--send-client", "xforward")
    with running(peers.ports["xforward"], tmp_path, *options) as proxy, RawClient(proxy.port) as client:
        assert b"XFORWARD" in client.keywords
        client.command(f"XFORWARD ADDR={TOLD} NAME=c.example PORT=4711 HELO=it.example".encode(), 250)
        client.command(b"XFORWARD PROTO=ESMTP SOURCE=REMOTE", 250)
        client.envelope(SENDER, mailbox.address)
        client.command(b"Subject: hi\r\n\r\nhello\r\n.", 250)
        client.quit()
    assert f"orig_client=c.example[{TOLD}]" in logged(peers, start)


# The PROXY protocol

HAPROXY = """
global
    maxconn 64
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    {option}
listen smtp
    bind 127.0.0.1:{port}
    server proxy 127.0.0.1:{proxy_port} {send} check inter 50ms fall 1 rise 5
"""


def wait_for_greeting(port: int) -> None:
    give_up = time.monotonic() + 15
    while True:
        with suppress(EOFError, ConnectionResetError), RawClient(port, greet=False) as client:
            client.quit()
            return
        assert time.monotonic() < give_up, "HAProxy sends nobody to the proxy"


@pytest.mark.parametrize("check", ["", "option smtpchk EHLO haproxy.test"], ids=["connection", "SMTP"])
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front(peers: Peers, tmp_path: Path, version: str, check: str) -> None:
    """HAProxy takes the proxy for down at first, and sends nobody before five checks have gone well. What it
    checks leaves no trace in the log."""
    mailbox, front, back = peers.new_mailbox(), free_port(), free_port()
    configuration = HAPROXY.format(port=front, proxy_port=back, send=version, option=check)
    options = ("--accept-proxy", "127.0.0.1", "--send-client", "xclient", "-v")
    start = len(peers.postfix.log())
    with (
        running_haproxy(tmp_path, configuration, front),
        running(peers.ports["xclient"], tmp_path, *options, listen=[f"127.0.0.1:{back}"]) as proxy,
    ):
        wait_for_greeting(front)
        send(front, mailbox)
        said = proxy.stderr.read_text().splitlines()
    assert logged(peers, start) == f"unknown[{CLIENT}]"
    assert mailbox.message().content == as_kept(TEXT)
    assert all("message" in line for line in said), said


@pytest.fixture(scope="module")
def believer(peers: Peers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that wants a PROXY header of 127.0.0.1, and sends one."""
    options = ("--accept-proxy", "127.0.0.1", "--send-client", "proxy2", "--timeout", "proxy-header=2")
    with running(peers.ports["header"], tmp_path_factory.mktemp("believer"), *options) as proxy:
        yield proxy


HEADER = f"PROXY TCP4 {TOLD} 192.0.2.1 4711 25\r\n".encode()


def test_a_header_goes_through(peers: Peers, believer: Proxy) -> None:
    mailbox, start = peers.new_mailbox(), len(peers.postfix.log())
    with RawClient(believer.port, first=HEADER) as client:
        client.envelope(SENDER, mailbox.address)
        client.command(b"Subject: hi\r\n\r\nhello\r\n.", 250)
        client.quit()
    assert logged(peers, start) == f"unknown[{TOLD}]"


def test_a_header_of_a_stranger_is_refused(believer: Proxy) -> None:
    before = believer.log()
    with RawClient(believer.port, source=CLIENT, greet=False) as client:
        client.send(HEADER)
        assert client.reply().code in range(400, 560)
    said = believer.log().removeprefix(before)
    assert "warning" in said
    assert CLIENT in said


@pytest.mark.parametrize(
    "first", [b"EHLO client.example\r\n", b"PROXY TCP4 x y\r\n", b"\r\n\r\n\0"], ids=repr
)
def test_a_trusted_peer_without_a_good_header_is_not_served(
    peers: Peers, believer: Proxy, first: bytes
) -> None:
    start, before = len(peers.postfix.log()), believer.log()
    with socket.create_connection(("127.0.0.1", believer.port), 20) as sock:
        sock.sendall(first)
        sock.settimeout(20)
        with suppress(ConnectionResetError):
            assert sock.recv(100)[:1] in (b"", b"4", b"5")
    assert ": connect from" not in peers.postfix.log()[start:]
    assert believer.log().removeprefix(before).count("\n") == 1


# Between two Postfix

NO_KEYS = """
from sansio_smtp.rules import Reject


def headers(tx, headers):
    if headers.get("X-Key"):
        return Reject(550, "5.7.1 Keys do not go by mail")
"""


def test_as_a_filter_between_two_postfix(peers: Peers, tmp_path: Path) -> None:
    """The outer one takes mail from clients and hands each message on before it answers."""
    (tmp_path / "no_keys.py").write_text(NO_KEYS)
    mailbox = peers.new_mailbox()
    options = ("--accept-xforward", "127.0.0.1", "--send-client", "xforward")
    with (
        running(
            peers.ports["xforward"], tmp_path, *options, "--rules", str(tmp_path / "no_keys.py")
        ) as proxy,
        open_directory("outer") as root,
    ):
        port = free_port()
        outer = service(port, {"smtpd_proxy_filter": f"127.0.0.1:{proxy.port}"})
        postfix = prepare(root, services=outer, port=port)
        postfix.start()
        try:
            start = len(peers.postfix.log())
            with pytest.raises(smtplib.SMTPDataError) as refused:
                send(port, mailbox, b"X-Key: 1\r\n" + TEXT)
            assert refused.value.smtp_code == 550
            assert refused.value.smtp_error == b"5.7.1 Keys do not go by mail"
            assert "queue active" not in peers.postfix.log()[start:]
            send(port, mailbox)
        finally:
            postfix.stop()
    log = peers.postfix.log()[start:]
    assert f"orig_client=unknown[{CLIENT}]" in log
    content = mailbox.message().content
    assert content.startswith(b"Received: from client.example (unknown [127.0.0.9])")
    assert content.endswith(as_kept(TEXT))
