"""The certificate that a client sees: by name, asked for its own, and after the files have changed."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
from certificates import authority, client_context, pair_for, write_authority
from handshakes import shake_hands

from trio_proxy.tls.certificates import CertificateError, ProblemKind
from trio_proxy.tls.info import info_of
from trio_proxy.tls.server_side import ServerTls


def seen(tls: ServerTls, name: str | None) -> str | None:
    """The first name of the certificate that a client gets who asks for this one."""
    unchecked = client_context(None)
    client, _ = shake_hands(unchecked, tls.context, name)
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return next(c.names[0] for c in tls.certificates if ssl.PEM_cert_to_DER_cert(pem_of(tls, c)) == der)


def pem_of(tls: ServerTls, certificate: object) -> str:
    place = tls.certificates.index(certificate)  # type: ignore[arg-type]
    text = tls.pairs[place].certificate.read_text()
    return text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"


def test_sni_with_three_names(tmp_path: Path) -> None:
    tls = ServerTls.load(
        [
            pair_for(tmp_path, "first.example"),
            pair_for(tmp_path, "mx.example", "also.example"),
            pair_for(tmp_path, "*.net.example"),
            pair_for(tmp_path, "mx.example", "unseen.example", ca="two"),
        ]
    )
    assert [seen(tls, name) for name in ("mx.example", "MX.EXAMPLE", "also.example")] == ["mx.example"] * 3
    assert [seen(tls, name) for name in ("a.net.example", "b.net.example")] == ["*.net.example"] * 2
    assert [seen(tls, name) for name in (None, "first.example", "other.example", "net.example")] == [
        "first.example"
    ] * 4
    assert seen(tls, "a.b.net.example") == "first.example"
    client, _ = shake_hands(client_context("one"), tls.context, "mx.example")
    assert client.version() == "TLSv1.3", "of two certificates for one name the first is shown"


@pytest.mark.parametrize("names", [["mx.example"], ["mx.example", "other.example"]])
def test_the_name_that_was_asked_for(tmp_path: Path, names: list[str]) -> None:
    """With a certificate for it, without one, and with only one certificate."""
    tls = ServerTls.load([pair_for(tmp_path, name) for name in names])
    for name in ("mx.example", "other.example", "MX.third.example", None):
        context = client_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, server = shake_hands(context, tls.context, name)
        assert info_of(server).server_name == (name or "").lower()


def test_tls_1_2_is_the_oldest_and_nobody_renegotiates(tmp_path: Path) -> None:
    context = ServerTls.load([pair_for(tmp_path, "mx.example")]).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_makes_the_next_handshake_short(tmp_path: Path, version: ssl.TLSVersion) -> None:
    pairs = [pair_for(tmp_path, "mx.example"), pair_for(tmp_path, "other.example")]
    tls = ServerTls.load(pairs, write_authority(tmp_path, "clients"))
    context = client_context()
    context.maximum_version = version
    authority("clients").issue_cert("ann@me.example", common_name="Ann").configure_cert(context)
    client, server = shake_hands(context, tls.context, "other.example")
    server.write(b"220")
    client.read(3)  # after which the tickets of TLS 1.3 have been read too
    assert client.session is not None
    assert client.session.has_ticket
    client, server = shake_hands(context, tls.context, "other.example", client.session)
    assert client.session_reused
    assert info_of(server).server_name == "other.example"
    assert info_of(server).verified, "what the certificate of the client has shown is remembered"
    tls.reload()
    client, server = shake_hands(context, tls.context, "other.example", client.session)
    assert not client.session_reused, "what was in force then is not in force now"


# Clients' certificates


def with_client_ca(folder: Path) -> ServerTls:
    return ServerTls.load([pair_for(folder, "mx.example")], write_authority(folder, "clients"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_may_show_a_certificate(tmp_path: Path, version: ssl.TLSVersion) -> None:
    tls, context = with_client_ca(tmp_path), client_context()
    context.maximum_version = version
    _, server = shake_hands(context, tls.context, "mx.example")
    info = info_of(server)
    assert (info.verified, info.subject) == (False, None)
    assert info.version == version.name.replace("_", ".").replace("v1.", "v1.")
    authority("clients").issue_cert("ann@me.example", common_name="Ann").configure_cert(context)
    client, server = shake_hands(context, tls.context, "mx.example")
    info = info_of(server)
    assert info.verified
    assert info.subject is not None
    assert "CN=Ann" in info.subject
    assert info.cipher
    assert info_of(client).verified


@pytest.mark.parametrize("ca", ["one", "clients"])
def test_a_certificate_that_does_not_verify_fails(tmp_path: Path, ca: str) -> None:
    tls, context = with_client_ca(tmp_path), client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the client hears of it in its handshake
    made = authority(ca).issue_cert("ann@me.example")
    made.configure_cert(context)
    if ca == "clients":
        shake_hands(context, tls.context, "mx.example")
        return
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, tls.context, "mx.example")


def test_without_a_ca_no_certificate_is_asked_for(tmp_path: Path) -> None:
    context = client_context()
    authority("clients").issue_cert("ann@me.example").configure_cert(context)
    _, server = shake_hands(context, ServerTls.load([pair_for(tmp_path, "mx.example")]).context, "mx.example")
    assert info_of(server).subject is None


# Files that change


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    good = pair_for(tmp_path, "mx.example")
    with pytest.raises(CertificateError) as raised:
        ServerTls.load([good, good], tmp_path / "ca.pem")
    assert [problem.file.name for problem in raised.value.problems] == ["ca.pem"]
    (tmp_path / "ca.pem").write_text("no CA")
    good.key.write_text("no key")
    with pytest.raises(CertificateError) as raised:
        ServerTls.load([good, pair_for(tmp_path, "b.example")], tmp_path / "ca.pem")
    assert sorted(problem.kind.name for problem in raised.value.problems) == ["NO_PEM", "NO_PEM"]
    with pytest.raises(ValueError, match="at least one pair"):
        ServerTls.load([])


def test_renewed_files_count_for_new_handshakes(tmp_path: Path) -> None:
    old, new = pair_for(tmp_path, "mx.example"), pair_for(tmp_path, "mx.example", "new.example", ca="two")
    tls = ServerTls.load([old, pair_for(tmp_path, "b.example")], write_authority(tmp_path, "clients"))
    assert [file.name for file in tls.files] == [
        "one-mx.example.crt", "one-mx.example.key", "one-b.example.crt", "one-b.example.key",
        "clients-ca.pem",
    ]  # fmt: skip
    before = tls.context
    shutil.copy(new.certificate, old.certificate)
    (problem,) = tls.reload()
    assert problem.kind is ProblemKind.MISMATCH, "half of it has been written"
    assert tls.context is before
    shake_hands(client_context("one"), tls.context, "mx.example")
    shutil.copy(new.key, old.key)
    assert tls.reload() == []
    shake_hands(client_context("two"), tls.context, "new.example")
    shake_hands(client_context("two"), before, "mx.example")  # a handshake that had begun
    assert tls.certificates[0].names == ("mx.example", "new.example")


def test_a_bad_pair_keeps_no_other_from_being_renewed(tmp_path: Path) -> None:
    pairs = [pair_for(tmp_path, name) for name in ("a.example", "b.example", "c.example")]
    tls = ServerTls.load(pairs)
    pairs[0].key.unlink()
    renewed = pair_for(tmp_path, "c.example", "new.example", ca="two")
    shutil.copy(renewed.certificate, pairs[2].certificate)
    shutil.copy(renewed.key, pairs[2].key)
    assert [problem.file for problem in tls.reload()] == [pairs[0].key]
    assert [c.names for c in tls.certificates] == [
        ("a.example",),
        ("b.example",),
        ("c.example", "new.example"),
    ]
    shake_hands(client_context("two"), tls.context, "new.example")
    shake_hands(client_context("one"), tls.context, "a.example")


def test_a_bad_ca_changes_nothing(tmp_path: Path) -> None:
    tls = with_client_ca(tmp_path)
    before = tls.context
    assert tls.client_ca is not None
    tls.client_ca.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert [str(problem) for problem in tls.reload()] == [
        f"{tls.client_ca}: a certificate in it is damaged; copy the file again"
    ]
    assert tls.context is before
