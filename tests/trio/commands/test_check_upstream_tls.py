"""``smtp-proxy check`` and TLS to the upstream server: a real handshake at the level of the service."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import authority, write_authority
from checks import Capture, Said, checked
from click.testing import CliRunner
from commands import upstream
from drivers import Peer, Script

from trio_proxy.commands.cli import cli
from trio_proxy.text.addresses import Address

CA = "ca.pem"
Step = Callable[[Peer], None]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_authority(Path()).rename(CA)


def context(*names: str, ca: str = "one", days: float = 400.5) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    leaf = authority(ca).issue_cert(
        *names, not_before=now - timedelta(days=1000), not_after=now + timedelta(days=days)
    )
    leaf.configure_cert(made)
    return made


def handshake(peer: Peer, server: ssl.SSLContext) -> None:
    peer.sock = server.wrap_socket(peer.sock, server_side=True)


def says(*offers: bytes) -> Step:
    """Answers EHLO with these keywords."""

    def script(peer: Peer) -> None:
        assert peer.line().startswith(b"EHLO ")
        lines = [b"mx.example", *offers]
        peer.send(*(b"250-" + line for line in lines[:-1]), b"250 " + lines[-1])

    return script


def server(*steps: Step) -> Script:
    """A server that greets, takes these steps, and says goodbye. If the client goes, it ends."""

    def script(peer: Peer) -> None:
        with suppress(EOFError, OSError):
            peer.send(b"220 mx.example")
            for step in steps:
                step(peer)
            assert peer.line() == b"QUIT"
            peer.send(b"221 bye")

    return script


def answers(reply: bytes) -> Step:
    def step(peer: Peer) -> None:
        assert peer.line() == b"STARTTLS"
        peer.send(reply)

    return step


def starttls(tls: ssl.SSLContext, *offers: bytes) -> Script:
    """Offers STARTTLS, and something else under TLS."""
    return server(
        says(b"STARTTLS", b"SIZE 1"), answers(b"220 go"), lambda peer: handshake(peer, tls), says(*offers)
    )


def implicit(tls: ssl.SSLContext) -> Script:
    def script(peer: Peer) -> None:
        with suppress(EOFError, OSError):
            handshake(peer, tls)
            server(says(b"SIZE 3"))(peer)

    return script


def reached(capsys: Capture, script: Script, *, tls: bool = False, **options: Any) -> Said:
    with upstream(script) as peer:
        address = Address("127.0.0.1", peer.port, tls=tls)
        said = checked(capsys, upstream=address, **options)

        def known(lines: list[str]) -> list[str]:
            return [line.replace(str(address), "HOST") for line in lines]

        return Said(said.status, known(said.out), known(said.err))


VERIFY: dict[str, Any] = {"upstream_tls": "verify", "upstream_ca": Path(CA)}


def test_a_server_that_is_verified(capsys: Capture) -> None:
    tls = context("mx.example", "127.0.0.1")
    said = reached(capsys, starttls(tls, b"SIZE 2"), **VERIFY)
    assert (said.status, said.err) == (0, [])
    assert said.out[0] == "  upstream    HOST: 220 mx.example; SIZE 2"
    assert said.out[1].startswith(
        "  TLS         TLSv1.3, TLS_AES_256_GCM_SHA384; the certificate is right for 127"
    )
    assert said.out[2].startswith("  certificate mx.example, 127.0.0.1; until ")
    assert said.out[2].endswith("(in 400 days)")
    assert said.out[3].startswith("  chain       OU=Testing cert #")
    assert reached(capsys, implicit(tls), tls=True, upstream_ca=Path(CA)).out[0] == (
        "  upstream    HOST: 220 mx.example; SIZE 3"
    )


def test_another_name_can_be_asked_for(capsys: Capture) -> None:
    script = starttls(context("mx.example"), b"SIZE 2")
    said = reached(capsys, script, **VERIFY, upstream_tls_name="mx.example")
    assert said.status == 0
    assert "right for mx.example" in said.out[1]


@pytest.mark.parametrize("level", ["may", "encrypt"])
def test_a_certificate_that_is_not_checked(capsys: Capture, level: str) -> None:
    said = reached(capsys, starttls(context("other.example", ca="two"), b"X"), upstream_tls=level)
    assert said.status == 0
    assert said.out[1].endswith(f"the certificate is not checked at --upstream-tls {level}")
    assert said.err == [
        "warning: the certificate of HOST is not for 127.0.0.1; at --upstream-tls verify it would be refused"
    ]


@pytest.mark.parametrize(
    ("names", "more", "why"),
    [
        (["127.0.0.1"], {"ca": "two"}, "known here"),
        (["mx.example"], {}, "the certificate is not for 127.0.0.1"),
        (["127.0.0.1"], {"days": -1.0}, "expired"),
    ],
)
@pytest.mark.parametrize("is_implicit", [False, True])
def test_a_certificate_that_is_wrong(
    capsys: Capture, names: list[str], more: dict[str, Any], why: str, is_implicit: bool
) -> None:
    tls = context(*names, **more)
    said = reached(capsys, implicit(tls) if is_implicit else starttls(tls), tls=is_implicit, **VERIFY)
    assert (said.status, said.out) == (69, [])
    (line,) = said.err
    assert line.startswith("upstream HOST: the TLS handshake has failed: ")
    assert why in line
    assert "; clients would get 421. If it is right, name its authority with --upstream-ca" in line


def test_what_contradicts_itself_is_not_tried() -> None:
    """The handshake would be one at another level, and a remedy for its failure would lead astray."""
    given = [
        "check",
        "--listen",
        "127.0.0.1:0",
        "--upstream-tls",
        "none",
        "--upstream",
        "smtps://127.0.0.1:1",
    ]
    result = CliRunner().invoke(cli, given)
    assert [line for line in result.stderr.splitlines() if "smtps://" in line] == [
        "--upstream smtps://127.0.0.1:1 begins with TLS, and --upstream-tls none forbids it: leave out "
        "--upstream-tls, or write smtp:// for plain text"
    ]


def test_one_that_ends_soon(capsys: Capture) -> None:
    said = reached(capsys, starttls(context("127.0.0.1", days=3.5), b"X"), **VERIFY)
    assert said.status == 0
    assert said.err[0].startswith("warning: the certificate of HOST expires in 3 days, on ")


def test_one_that_has_ended_and_is_not_checked(capsys: Capture) -> None:
    said = reached(capsys, starttls(context("127.0.0.1", days=-3.5), b"X"), upstream_tls="encrypt")
    assert said.status == 0
    assert said.err[0].startswith("warning: the certificate of HOST has expired on ")


@pytest.mark.parametrize(
    ("steps", "may", "encrypt"),
    [
        (
            [says(b"SIZE 2")],
            "none, mail goes in plain text: it offers no STARTTLS",
            "offers no STARTTLS, which --upstream-tls encrypt demands; clients would get 421",
        ),
        (
            [says(b"STARTTLS"), answers(b"454 4.7.0 not now")],
            "none, mail goes in plain text: it answers STARTTLS with 454 4.7.0 not now",
            "answers STARTTLS with 454 4.7.0 not now; clients would get 421",
        ),
    ],
)
def test_a_server_without_tls(capsys: Capture, steps: list[Step], may: str, encrypt: str) -> None:
    said = reached(capsys, server(*steps), upstream_tls="may")
    assert (said.status, said.out[1], said.err) == (0, f"  TLS         {may}", [])
    said = reached(capsys, server(*steps), upstream_tls="encrypt")
    assert said == Said(69, [], [f"upstream HOST: {encrypt}"])


def test_a_port_that_speaks_no_tls(capsys: Capture) -> None:
    said = reached(capsys, server(says(b"SIZE 2")), tls=True, upstream_tls="may")
    assert said.status == 69
    assert said.err[0].startswith("upstream HOST: the TLS handshake has failed: ")


# Who the client is


@pytest.mark.parametrize(
    ("send_client", "offer", "status", "complaint"),
    [
        ("xclient", b"XCLIENT NAME ADDR", 0, ""),
        ("xforward", b"XFORWARD NAME ADDR", 0, ""),
        ("auto", b"XFORWARD NAME ADDR", 0, ""),
        ("none", b"SIZE 1", 0, ""),
        (
            "xclient",
            b"XFORWARD NAME ADDR",
            69,
            "offers no XCLIENT, which --send-client xclient needs; clients",
        ),
        ("xforward", b"XCLIENT NAME ADDR", 69, "offers no XFORWARD, which --send-client xforward needs"),
        ("auto", b"SIZE 1", 0, "offers no XCLIENT and no XFORWARD, so it is not told who the client is"),
    ],
)
def test_what_the_server_is_told(
    capsys: Capture, send_client: str, offer: bytes, status: int, complaint: str
) -> None:
    said = reached(capsys, server(says(offer)), send_client=send_client)
    assert said.status == status
    assert bool(said.err) == bool(complaint)
    assert complaint in "".join(said.err)


@pytest.mark.parametrize("send_client", ["proxy", "proxy2"])
def test_a_server_that_takes_a_proxy_header_for_a_command(capsys: Capture, send_client: str) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 mx", b"500 5.5.2 bad syntax")
        peer.rest()

    said = reached(capsys, script, send_client=send_client)
    assert said.status == 69
    assert f"does it expect a PROXY header, as --send-client {send_client} says" in said.err[0]


@pytest.mark.parametrize("is_implicit", [False, True])
@pytest.mark.parametrize(
    ("send_client", "begins", "length"),
    [("proxy", b"PROXY TCP4 127.0.0.1 127.0.0.1 ", 0), ("proxy2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11", 28)],
)
def test_a_server_that_expects_a_proxy_header(
    capsys: Capture, send_client: str, begins: bytes, length: int, is_implicit: bool
) -> None:
    """It comes before all else, TLS included."""
    headers: list[bytes] = []
    tls = context("127.0.0.1")

    def script(peer: Peer) -> None:
        header = b""
        while len(header) < length if length else not header.endswith(b"\r\n"):
            header += peer.sock.recv(1)
        headers.append(header)
        (implicit(tls) if is_implicit else server(says(b"SIZE 3")))(peer)

    trusted = Path(CA) if is_implicit else None
    said = reached(capsys, script, tls=is_implicit, send_client=send_client, upstream_ca=trusted)
    assert (said.status, said.err) == (0, [])
    assert headers[0].startswith(begins)
