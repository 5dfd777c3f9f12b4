"""SCRAM-SHA-256 against the library's server, and against servers that do it wrong."""

from __future__ import annotations

import pytest
from scramp import ScramMechanism

from trio_proxy.login.scram import ScramSha256

PASSWORD = "pencil=,\u00fc"


def server(password: str = PASSWORD, iterations: int = 4096) -> object:
    mechanism = ScramMechanism("SCRAM-SHA-256")
    info = mechanism.make_auth_info(password, iteration_count=iterations)
    return mechanism.make_server(lambda name: info if name == "a,n=n" else None)


def test_an_exchange() -> None:
    mechanism, peer = ScramSha256("a,n=n", PASSWORD), server()
    assert mechanism.initial.startswith(b"n,,n=a=2Cn=3Dn,r=")
    peer.set_client_first(mechanism.initial.decode())
    peer.set_client_final(mechanism.respond(peer.get_server_first().encode()).decode())
    assert not mechanism.complete
    assert mechanism.respond(peer.get_server_final().encode()) == b""
    assert mechanism.complete
    with pytest.raises(ValueError, match="after the end"):
        mechanism.respond(b"")


def test_a_server_that_does_not_know_the_password() -> None:
    mechanism, peer = ScramSha256("a,n=n", PASSWORD), server()
    peer.set_client_first(mechanism.initial.decode())
    mechanism.respond(peer.get_server_first().encode())
    with pytest.raises(ValueError, match="signature"):
        mechanism.respond(b"v=" + b"A" * 43 + b"=")
    assert not mechanism.complete


@pytest.mark.parametrize(
    ("challenge", "why"),
    [
        (b"", "wrong message"),
        (b"\xff", "codec can't decode"),
        (b"e=other-error", "returned an error"),
        (b"r=%b,s=QSXCR+Q6sek8bf92,i=4096", "nonce"),
        (b"r=%bx,s=QSXCR+Q6sek8bf92,i=1", "4096"),
        (b"r=%bx,s=QSXCR+Q6sek8bf92,i=200001", "more than 200,000 iterations"),
        (b"r=%bx,s=QSXCR+Q6sek8bf92,i=" + b"9" * 5000, "more than 200,000 iterations"),
    ],
)
def test_a_first_challenge_that_is_wrong(challenge: bytes, why: str) -> None:
    mechanism = ScramSha256("ann", PASSWORD)
    nonce = mechanism.initial.rpartition(b"r=")[2]
    with pytest.raises(ValueError, match=why) as caught:
        mechanism.respond(challenge % nonce if b"%" in challenge else challenge)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("ann", "a\0b"), ("a\ud800", "x")])
def test_what_scram_cannot_carry(name: str, password: str) -> None:
    with pytest.raises(ValueError, match="SCRAM cannot carry"):
        ScramSha256(name, password)


def test_nothing_shows_the_password() -> None:
    mechanism = ScramSha256("ann", "S3cret-password")
    assert "S3cret" not in repr(mechanism)
    assert b"S3cret" not in mechanism.initial
