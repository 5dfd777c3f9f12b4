"""What TLS is to a server: its level, its name, and which certificates are right for it."""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import authority, made_for, pair_for, write_authority
from handshakes import shake_hands

from sansio_smtp import UpstreamTls
from trio_proxy.text.addresses import Address
from trio_proxy.tls.certificates import CertificateError, KeyPair
from trio_proxy.tls.info import info_of
from trio_proxy.tls.reasons import reason
from trio_proxy.tls.server_side import ServerTls
from trio_proxy.tls.upstream import Leg, UpstreamSecurity

NONE, MAY, ENCRYPT, VERIFY = UpstreamTls.NONE, UpstreamTls.MAY, UpstreamTls.ENCRYPT, UpstreamTls.VERIFY
FAR = Address("mx.example", 25)
FAR_TLS = Address("mx.example", 465, tls=True)
NEAR = Address("127.0.0.1", 25)
NEAR_TLS = Address("::1", 465, tls=True)
UNIX, UNIX_TLS = Address(path="/run/mx"), Address(path="/run/mx", tls=True)


@pytest.mark.parametrize(
    ("chosen", "levels"),
    [
        (None, [MAY, VERIFY, NONE, VERIFY, NONE, VERIFY]),
        (NONE, [NONE, VERIFY, NONE, VERIFY, NONE, VERIFY]),
        (MAY, [MAY] * 6),
        (ENCRYPT, [ENCRYPT] * 6),
        (VERIFY, [VERIFY] * 6),
    ],
)
def test_the_level_of_a_server(chosen: UpstreamTls | None, levels: list[UpstreamTls]) -> None:
    security = UpstreamSecurity.load(chosen)
    addresses = (FAR, FAR_TLS, NEAR, NEAR_TLS, UNIX, UNIX_TLS)
    assert [security.level_of(address) for address in addresses] == levels
    assert [security.leg(address).implicit for address in addresses] == [False, True] * 3


def test_the_name_of_a_server() -> None:
    security = UpstreamSecurity.load(MAY)
    assert [security.leg(address).server_name for address in (FAR, NEAR, UNIX)] == [
        "mx.example", "127.0.0.1", None,
    ]  # fmt: skip
    odd = (Address("mx.example.", 25), Address("fe80::1%eth0", 25), Address("", 25))
    assert [security.leg(address).server_name for address in odd] == ["mx.example", "fe80::1", None]
    named = UpstreamSecurity.load(MAY, name="right.example")
    assert [named.leg(address).server_name for address in (FAR, UNIX)] == ["right.example"] * 2
    assert named.leg(FAR, usual=False).server_name == "mx.example", "that of a rule has its own"


def shake(leg: Leg, server: ServerTls) -> ssl.SSLObject:
    return shake_hands(leg.context, server.context, leg.server_name)[0]


def refusal(leg: Leg, server: ServerTls) -> str:
    with pytest.raises(ssl.SSLError) as raised:
        shake(leg, server)
    return reason(raised.value, leg.server_name)


def served(folder: Path, *names: str, **how: datetime) -> ServerTls:
    pem, key = made_for(*names, **how)  # type: ignore[arg-type]
    pair = KeyPair(folder / "served.crt", folder / "served.key")
    pair.certificate.write_bytes(pem)
    pair.key.write_bytes(key)
    return ServerTls.load([pair])


def test_certificates_of_servers(tmp_path: Path) -> None:
    security = UpstreamSecurity.load(None, write_authority(tmp_path))
    leg = security.leg(FAR_TLS)
    good = ServerTls.load([pair_for(tmp_path, "mx.example", "127.0.0.1")])
    info = info_of(shake(leg, good))
    assert info.verified
    assert info.subject is not None
    assert info.version == "TLSv1.3"
    assert info_of(shake(security.leg(Address("127.0.0.1", 465, tls=True)), good)).verified
    wrong = ServerTls.load([pair_for(tmp_path, "other.example", "192.0.2.1")])
    assert refusal(leg, wrong) == "the certificate is not for mx.example"
    by_address = security.leg(Address("192.0.2.2", 465, tls=True))
    assert refusal(by_address, wrong) == "the certificate is not for 192.0.2.2"
    unknown = ServerTls.load([pair_for(tmp_path, "mx.example", ca="two")])
    assert refusal(leg, unknown) == "the CA that has signed the certificate is not known here"
    assert refusal(leg, served(tmp_path, "mx.example")) == "the certificate is self-signed"
    assert "is not known here" in refusal(UpstreamSecurity.load(VERIFY).leg(FAR), good), "the system's CAs"


def test_a_certificate_out_of_its_time(tmp_path: Path) -> None:
    old = served(tmp_path, "mx.example", ends=datetime(2026, 1, 2, tzinfo=UTC))
    (tmp_path / "old.pem").write_bytes(old.pairs[0].certificate.read_bytes())
    leg = UpstreamSecurity.load(VERIFY, tmp_path / "old.pem").leg(FAR)
    assert refusal(leg, old) == "the certificate has expired"
    early = served(tmp_path, "mx.example", begins=datetime(2099, 1, 1, tzinfo=UTC))
    (tmp_path / "old.pem").write_bytes(early.pairs[0].certificate.read_bytes())
    leg = UpstreamSecurity.load(VERIFY, tmp_path / "old.pem").leg(FAR)
    assert refusal(leg, early) == "the certificate is not valid yet"


def test_may_and_encrypt_check_nothing_and_say_so(tmp_path: Path) -> None:
    for level in (MAY, ENCRYPT):
        info = info_of(shake(UpstreamSecurity.load(level).leg(FAR), served(tmp_path, "other.example")))
        assert (info.verified, info.subject) == (False, "")


def test_a_certificate_of_our_own_is_for_the_usual_server(tmp_path: Path) -> None:
    pair = pair_for(tmp_path, "we.example", ca="clients")
    server = ServerTls.load([pair_for(tmp_path, "mx.example")], write_authority(tmp_path, "clients"))
    for level in (ENCRYPT, VERIFY):
        security = UpstreamSecurity.load(level, write_authority(tmp_path), pair=pair)
        for usual in (True, False):
            leg = security.leg(FAR, usual=usual)
            _, end = shake_hands(leg.context, server.context, leg.server_name)
            assert (end.getpeercert() is not None) is usual
    assert security.files == (security.ca, pair.certificate, pair.key)


def test_a_server_that_demands_a_certificate(tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority("one").issue_cert("mx.example").configure_cert(server)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.verify_mode = ssl.CERT_REQUIRED
    leg = UpstreamSecurity.load(ENCRYPT).leg(FAR)
    with pytest.raises(ssl.SSLError) as raised:
        shake_hands(leg.context, server, leg.server_name)
    assert reason(raised.value) == "the peer has shown no certificate"


# Files


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    pair = KeyPair(tmp_path / "c", tmp_path / "k")
    with pytest.raises(CertificateError) as raised:
        UpstreamSecurity.load(VERIFY, tmp_path / "ca.pem", pair=pair)
    assert sorted(problem.file.name for problem in raised.value.problems) == ["c", "ca.pem", "k"]


def test_the_cas_of_the_system_are_read_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[ssl.SSLContext] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self: read.append(self))  # noqa: PLW0108 - a list's method takes no self
    security = UpstreamSecurity.load()
    security.leg(FAR)
    assert not read
    assert security.leg(FAR_TLS).context is security.leg(FAR_TLS, usual=False).context
    assert len(read) == 1
    assert security.reload() == []
    assert len(read) == 2
    assert security.files == ()


def test_files_are_read_again_all_or_none(tmp_path: Path) -> None:
    ca = write_authority(tmp_path)
    pair = pair_for(tmp_path, "we.example")
    security = UpstreamSecurity.load(VERIFY, ca, pair=pair)
    server = ServerTls.load([pair_for(tmp_path, "mx.example", ca="two")])
    assert "not known here" in refusal(security.leg(FAR), server)
    shutil.copy(write_authority(tmp_path, "two"), ca)
    key = pair.key.read_bytes()
    pair.key.write_text("")
    assert [problem.file for problem in security.reload()] == [pair.key]
    assert "not known here" in refusal(security.leg(FAR), server)
    pair.key.write_bytes(key)
    assert security.reload() == []
    assert info_of(shake(security.leg(FAR), server)).verified
