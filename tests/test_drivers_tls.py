"""The drivers speak TLS with either side, through the same core: real handshakes, on sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
import trustme
from drivers import KINDS, Driver, Peer, Upstream, upstream

__all__ = ["upstream"]  # a fixture

CA = trustme.CA()
TEXT = b"Subject: hi\r\n\r\n..one\r\n"


def for_a_client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def for_a_server(name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module", params=KINDS)
def driver(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    place = tmp_path_factory.mktemp("tls")
    made = CA.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(place / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))
    CA.cert_pem.write_to_path(str(place / "ca.pem"))
    options = ["--tls-cert", f"{place / 'cert.pem'}", "--tls-key", f"{place / 'key.pem'}"]
    options += ["--upstream-tls", "verify", "--upstream-ca", f"{place / 'ca.pem'}"]
    process = Driver(request.param, upstream.port, place, options=options)
    try:
        yield process
        process.check()
    finally:
        process.stop()


def encrypt(peer: Peer, context: ssl.SSLContext, *, server_side: bool) -> None:
    """Makes the TLS handshake; the peer continues with TLS. An end without close_notify is an error."""
    assert not peer.buffer, "octets in plain text"
    name = None if server_side else "127.0.0.1"
    peer.sock = context.wrap_socket(
        peer.sock, server_side=server_side, server_hostname=name, suppress_ragged_eofs=False
    )


def offers_tls(peer: Peer) -> None:
    """A server, up to the handshake."""
    peer.send(b"220 mx.example ESMTP")
    peer.expect(b"EHLO me.example")
    peer.send(b"250-mx.example", b"250 STARTTLS")
    peer.expect_alone(b"STARTTLS")
    peer.send(b"220 go")


def encrypts(peer: Peer) -> None:
    offers_tls(peer)
    encrypt(peer, for_a_server("127.0.0.1"), server_side=True)
    peer.expect(b"EHLO me.example")
    peer.send(b"250-mx.example", b"250 PIPELINING")


def takes_a_message(peer: Peer) -> None:
    encrypts(peer)
    peer.expect(b"EHLO me.example")  # after the client's handshake
    peer.send(b"250-mx.example", b"250 PIPELINING")
    peer.expect(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
    peer.send(b"250 ok", b"250 ok", b"354 go")
    assert peer.message() == TEXT
    peer.send(b"250 kept")
    peer.expect(b"QUIT")
    peer.send(b"221 bye")


def hello(client: Peer) -> list[bytes]:
    client.send(b"EHLO me.example")
    return client.reply()


def begins(client: Peer) -> None:
    """A client, up to the handshake."""
    client.expect(b"220 ...")
    assert b"250 STARTTLS" in hello(client)
    client.send(b"STARTTLS")
    client.expect(b"220 ...")


def test_a_message_under_tls_on_both_legs(driver: Driver, upstream: Upstream) -> None:
    with upstream.plays(takes_a_message), driver.client() as client:
        begins(client)
        encrypt(client, for_a_client(), server_side=False)
        assert not any(b"STARTTLS" in line for line in hello(client))
        client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
        client.expect(b"250 ok", b"250 ok", b"354 go")
        client.raw(TEXT + b".\r\n")
        client.expect(b"250 kept")
        client.send(b"QUIT")
        client.expect(b"221 bye")
        assert client.rest() == b""


def test_a_command_in_the_packet_of_starttls(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        encrypts(peer)
        assert peer.rest() == b""

    with upstream.plays(script), driver.client() as client:
        client.expect(b"220 ...")
        hello(client)
        client.send(b"STARTTLS", b"RSET")
        client.expect(b"503 5.5.1 octets after STARTTLS...")
        assert client.rest() == b""


def test_a_reply_in_the_packet_of_220(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"220 mx.example ESMTP")
        peer.expect(b"EHLO me.example")
        peer.send(b"250-mx.example", b"250 STARTTLS")
        peer.expect_alone(b"STARTTLS")
        peer.send(b"220 go", b"250 injected")
        assert b"EHLO" not in peer.rest()

    with upstream.plays(script), driver.client() as client:
        client.expect(b"220 ...")
        assert hello(client)[0].startswith(b"421 4.3.0")


def test_a_handshake_with_garbage(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        encrypts(peer)
        assert peer.rest() == b""

    with upstream.plays(script), driver.client() as client:
        begins(client)
        client.send(b"MAIL FROM:<a@me.example>")
        assert b"250" not in client.rest()


def test_a_certificate_of_another_name(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        offers_tls(peer)
        with pytest.raises(ssl.SSLError):
            encrypt(peer, for_a_server("mx.example"), server_side=True)

    with upstream.plays(script), driver.client() as client:
        client.expect(b"220 ...")
        assert hello(client)[0].startswith(b"421 4.7.5")


def test_an_end_without_close_notify_is_no_end_of_data(driver: Driver, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        encrypts(peer)
        peer.expect(b"EHLO me.example")
        peer.send(b"250 mx.example")
        for line, reply in ((b"MAIL...", b"250 ok"), (b"RCPT...", b"250 ok"), (b"DATA", b"354 go")):
            peer.expect(line)
            peer.send(reply)
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            peer.message()

    with upstream.plays(script), driver.client() as client:
        begins(client)
        encrypt(client, for_a_client(), server_side=False)
        hello(client)
        client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
        client.expect(b"250 ok", b"250 ok", b"354 go")
        client.raw(TEXT)
        client.half_close()
        client.sock.close()
