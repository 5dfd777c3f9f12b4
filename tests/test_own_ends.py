"""The server and the client of docs/how-to/own-server-and-client.md: TLS, and what peers do wrong."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from pages import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "own-server-and-client.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for block in blocks(PAGE, "python"):
            if "serve_forever" in block:  # what follows is run by test_docs
                break
            exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server and of the client."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("mx.example").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@contextlib.contextmanager
def serving(handler: Any) -> Iterator[Any]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield listening.server_address
        finally:
            listening.shutdown()
            thread.join(20)


def test_a_message_with_tls_and_login(page: Any, contexts: Any, capsys: Any) -> None:
    class Handler(page["Handler"]):  # type: ignore[misc]
        timeout, context = 20, contexts[0]

    with serving(Handler) as address:
        mailer = page["Mailer"](address, contexts[1])
        assert "STARTTLS" not in mailer.smtp.keywords
        assert mailer.smtp.keywords["AUTH"] == "PLAIN"
        mailer.log_in("ann", "sesame")
        refused = mailer.send("ann@me.example", ["bob@mx.example", "eve@mx.example"], b"Subject: x\n\n.\n")
        mailer.quit()
    assert refused == {}
    assert (
        "ann: ann@me.example -> bob@mx.example eve@mx.example\nSubject: x\n\n.\n" in capsys.readouterr().out
    )


@pytest.fixture
def printer(page: Any) -> Any:
    printer = page["MailPrinter"]("may")
    printer.greeting()
    return printer


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        ("AUTH PLAIN AGFubgBzZXNhbWU=", [538]),
        ("RCPT garbage", [503]),
        ("MAIL garbage", [501]),
        ("MAIL FROM:<a@me.example>|MAIL FROM:<a@me.example>", [250, 503]),
        ("MAIL FROM:<>|RCPT TO:<>|DATA", [250, 501, 503]),
        ("BDAT 4 LAST|hi|NOOP", [502, 250]),
        ("GET / HTTP/1.1", [500]),
        ("what|AUTH|HELO me|QUIT", [500, 538, 250, 221]),
    ],
)
def test_what_a_client_does_wrong(printer: Any, lines: str, codes: list[int]) -> None:
    replies = printer.receive(lines.replace("|", "\r\n").encode() + b"\r\n")
    assert [int(reply[:3]) for reply in replies.splitlines()] == codes


def test_an_address_that_servers_read_in_different_ways(printer: Any) -> None:
    replies = printer.receive(b"MAIL FROM:<>\r\nRCPT TO:<\xff@mx.example>\r\n").splitlines()
    assert replies[1] == b"501 5.1.3 no address, or one that servers read in different ways"


def test_a_message_that_is_too_large(printer: Any, capsys: Any) -> None:
    printer.receive(b"MAIL FROM:<a@me.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert printer.receive(b"x" * 1_000_001 + b"\r\n.\r\n")[:4] == b"552 "
    printer.receive(b"MAIL FROM:<a@me.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert capsys.readouterr().out == ""
    assert printer.receive(b"small\r\n.\r\n") == b"250 2.0.0 printed\r\n"


def test_a_message_that_would_be_too_large(printer: Any) -> None:
    for size, code in (("1000001", b"552"), ("9" * 9999, b"552"), ("many", b"250")):
        printer.receive(b"RSET\r\n")
        reply = printer.receive(f"MAIL FROM:<a@me.example> SIZE={size}\r\n".encode())
        assert reply[:3] == code


def test_a_message_with_commands_to_the_terminal(printer: Any, capsys: Any) -> None:
    printer.receive(b"MAIL FROM:<a@me.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    printer.receive(b"\x1b]0;x\x07\r\n.\r\n")
    assert capsys.readouterr().out == "nobody: a@me.example -> b@mx.example\n]0;x\n\n"


def test_octets_before_the_handshake(page: Any, contexts: Any, capsys: Any) -> None:
    """The client gets the replies up to then, and the connection is closed; nothing fails."""

    class Handler(page["Handler"]):  # type: ignore[misc]
        timeout, context = 20, contexts[0]

    with serving(Handler) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(b"STARTTLS\r\nEHLO me\r\n")
        assert b"".join(iter(lambda: client.recv(4096), b"")).splitlines() == [
            b"220 mx.example ESMTP",
            b"220 2.0.0 go ahead",
        ]
    said = capsys.readouterr()
    assert said.out == "closing: octets after STARTTLS, before the TLS handshake: b'EHLO me\\r\\n'\n"
    assert said.err == ""


def test_a_client_that_does_not_trust_the_certificate(page: Any, contexts: Any, capsys: Any) -> None:
    class Handler(page["Handler"]):  # type: ignore[misc]
        timeout, context = 20, contexts[0]

    with serving(Handler) as address, pytest.raises(ssl.SSLCertVerificationError):
        page["Mailer"](address, ssl.create_default_context())
    said = capsys.readouterr()
    assert said.out.startswith("closing: ")
    assert said.err == ""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AUTH LOGIN", 504),
        ("AUTH PLAIN AGFubgBzZXNhbWU=", 235),
        ("AUTH PLAIN AGFubgB4", 535),
        ("AUTH PLAIN|AGFubgBzZXNhbWU=", 235),
        ("AUTH PLAIN|*", 501),
        ("auth plain AGFubgBzZXNhbWU=", 235),
    ],
)
def test_logins(page: Any, line: str, code: int) -> None:
    printer = page["MailPrinter"]()
    printer.greeting()
    first, *more = line.split("|")
    reply = printer.receive(first.encode() + b"\r\n")
    for each in more:
        assert reply == b"334 \r\n"
        reply = printer.receive(each.encode() + b"\r\n")
    assert int(reply[:3]) == code
    assert (b"AUTH PLAIN" in printer.receive(b"EHLO me\r\n")) is (code != 235)
    assert (printer.receive(b"AUTH PLAIN\r\n")[:3] == b"503") is (code == 235)
