"""The executable speaks TLS: the certificates that its clients see, and those that replace them."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from certificates import authority, client_context, pair_for, write_pair
from commands import Proxy, connect, proxy
from drivers import Peer

from trio_proxy.tls.certificates import KeyPair


def flags(pair: KeyPair) -> tuple[str, ...]:
    return ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))


def secure(peer: Peer, name: str, ca: str | None = "one") -> str:
    """Makes it a client under TLS. The first name in the certificate that it sees."""
    peer.sock = client_context(ca).wrap_socket(peer.sock, server_hostname=name)
    shown = peer.sock.getpeercert()
    return str(shown["subjectAltName"][0][1]) if shown else ""


def starttls(running: Proxy, name: str) -> str:
    """The name in the certificate that a client sees after STARTTLS."""
    with connect(("127.0.0.1", running.port)) as client:
        client.reply()
        client.send(b"EHLO me.example")
        assert any(line[4:] == b"STARTTLS" for line in client.reply())
        client.send(b"STARTTLS")
        client.expect(b"220 2.0.0 begin TLS now")
        seen = secure(client, name)
        client.send(b"EHLO me.example")
        assert not any(line[4:] == b"STARTTLS" for line in client.reply())
        client.send(b"QUIT")
        client.expect(b"221 ...")
        return seen


def test_certificates_are_chosen_by_name_and_read_again_at_sighup(tmp_path: Path) -> None:
    one, two = pair_for(tmp_path, "one.example"), pair_for(tmp_path, "*.two.example", "three.example")
    with proxy(tmp_path, "-l", "127.0.0.1:0", *flags(one), *flags(two)) as running:
        assert starttls(running, "a.two.example") == "*.two.example"
        assert starttls(running, "one.example") == "one.example"
        write_pair(one.certificate.with_suffix(""), authority("one").issue_cert("new.example", "one.example"))
        running.signal(signal.SIGHUP)
        running.wait_for("certificates reloaded")
        assert starttls(running, "one.example") == "new.example"
        one.key.write_bytes(two.key.read_bytes())
        running.signal(signal.SIGHUP)
        running.wait_for("the key does not belong to the certificate")
        assert starttls(running, "one.example") == "new.example"


def test_tls_from_the_first_octet(tmp_path: Path) -> None:
    pair = pair_for(tmp_path, "mx.example")
    arguments = ("-l", "smtps://127.0.0.1:0", "-l", "127.0.0.1:0", "--tls", "encrypt", *flags(pair))
    with proxy(tmp_path, *arguments) as running:
        secure_port = int(running.addresses[0].removeprefix("smtps://127.0.0.1:"))
        with connect(("127.0.0.1", secure_port)) as client:
            assert secure(client, "mx.example") == "mx.example"
            client.expect(b"220 ...")
            client.send(b"QUIT")
            client.expect(b"221 ...")
        with connect(("127.0.0.1", running.port)) as client:
            client.expect(b"220 ...")
            client.send(b"MAIL FROM:<>", b"QUIT")
            client.expect(b"530 5.7.0 ...", b"221 ...")


def test_an_expired_certificate_is_used_with_a_warning(tmp_path: Path) -> None:
    """A restart does not become an outage."""
    ended = datetime.now(UTC) - timedelta(days=1)
    leaf = authority("one").issue_cert("mx.example", not_before=ended - timedelta(days=1), not_after=ended)
    pair = write_pair(tmp_path / "old", leaf)
    with proxy(tmp_path, "-l", "smtps://127.0.0.1:0", *flags(pair)) as running:
        running.wait_for(r"\[warning .*old\.crt: the certificate has expired on ")
        with connect(("127.0.0.1", int(running.addresses[0].rpartition(":")[2]))) as client:
            assert secure(client, "mx.example", ca=None) == ""
            client.expect(b"220 ...")
            assert client.sock.version() == "TLSv1.3"
