"""Certificates and keys in files: what is read, and what is said of files that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import leaf, made_for, pair_for
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from each import each

from trio_proxy.tls.certificates import (
    Certificate,
    CertificateError,
    KeyPair,
    ProblemKind,
    load_pair,
    load_pairs,
    subject_of,
    validity_problems,
)


def problem_of(pair: KeyPair) -> tuple[ProblemKind, str]:
    """The one problem of a pair; its text without the folder."""
    with pytest.raises(CertificateError) as raised:
        load_pair(pair)
    (problem,) = raised.value.problems
    assert str(problem).startswith(f"{problem.file}: ")
    assert str(raised.value) == str(problem)
    return problem.kind, str(problem).replace(f"{pair.certificate.parent}/", "")


def test_a_good_pair(tmp_path: Path) -> None:
    pair = pair_for(tmp_path, "MX.Example", "*.net.example", "192.0.2.1", "2001:db8::1")
    (certificate,) = load_pairs([pair])
    assert certificate.names == ("mx.example", "*.net.example", "192.0.2.1", "2001:db8::1")
    assert "O=one" in certificate.issuer
    assert not certificate.is_self_signed
    assert len(certificate.fingerprint) == 95
    assert Certificate.from_pem(pair.certificate.read_bytes()) == certificate
    assert certificate.not_before < datetime.now(UTC) < certificate.not_after


def test_certificate_and_key_may_be_one_file(tmp_path: Path) -> None:
    pair = pair_for(tmp_path, "mx.example")
    both = tmp_path / "both.pem"
    both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    assert load_pair(KeyPair(both, both)).names == ("mx.example",)


@each(
    ("name", "is_covered"),
    [
        ("mx.example", True),
        ("MX.example.", True),
        ("a.net.example", True),
        ("a.b.net.example", False),
        ("net.example", False),
        (".net.example", True),  # no name that any host has
        ("example", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("", False),
    ],
)
def test_the_names_that_a_certificate_covers(name: str, is_covered: bool) -> None:
    blob = leaf("mx.example", "*.net.example", "192.0.2.1").cert_chain_pems[0].bytes()
    assert Certificate.from_pem(blob).covers(name) is is_covered


def test_a_common_name_counts_only_without_other_names() -> None:
    assert Certificate.from_pem(made_for(common_name="Old.example")[0]).names == ("old.example",)
    assert Certificate.from_pem(made_for("new.example", common_name="old.example")[0]).names == (
        "new.example",
    )


def test_the_time_of_validity(tmp_path: Path) -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    pem, _ = made_for("mx.example", begins=now - timedelta(days=1), ends=now + timedelta(days=13, hours=1))
    pair, certificate = KeyPair(Path("c"), Path("k")), Certificate.from_pem(pem)
    assert certificate.days_left(now) == 13
    assert not certificate.expired(now)
    assert validity_problems(pair, certificate, now) == []
    (late,) = validity_problems(pair, certificate, now + timedelta(days=20))
    assert str(late) == "c: the certificate has expired on 2026-12-11; renew it"
    assert late.kind is ProblemKind.EXPIRED
    assert certificate.days_left(now + timedelta(days=20)) == -7
    (early,) = validity_problems(pair, certificate, now - timedelta(days=2))
    assert str(early) == "c: the certificate is valid only from 2026-11-27 on; set the clock, or wait"
    assert early.kind is ProblemKind.NOT_YET_VALID


def test_an_expired_certificate_can_be_loaded(tmp_path: Path) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    pem, key = made_for("mx.example", begins=past, ends=past + timedelta(days=1))
    (tmp_path / "c").write_bytes(pem)
    (tmp_path / "k").write_bytes(key)
    assert load_pair(KeyPair(tmp_path / "c", tmp_path / "k")).expired(datetime.now(UTC))


@pytest.mark.parametrize(("bits", "is_slow"), [(2048, False), (3072, True)])
def test_a_key_that_takes_long(bits: int, is_slow: bool) -> None:
    pem, _ = made_for("mx.example", key=rsa.generate_private_key(65537, bits))
    assert Certificate.from_pem(pem).is_slow is is_slow


# What is wrong with files


def test_all_that_is_wrong_with_all_pairs_is_said_at_once(tmp_path: Path) -> None:
    good = pair_for(tmp_path, "mx.example")
    missing = KeyPair(tmp_path / "c", tmp_path / "k")
    with pytest.raises(CertificateError) as raised:
        load_pairs([missing, good, KeyPair(good.certificate, tmp_path / "other")])
    assert [problem.file.name for problem in raised.value.problems] == ["c", "k", "other"]
    assert str(raised.value).splitlines()[0] == (
        f"{tmp_path}/c: cannot be read: there is no such file; correct the path"
    )


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = pair_for(tmp_path, "mx.example")
    assert problem_of(KeyPair(good.certificate, tmp_path)) == (
        ProblemKind.UNREADABLE,
        f"{tmp_path}: cannot be read: Is a directory; correct the path",
    )
    assert problem_of(KeyPair(Path("a\0b"), good.key))[0] is ProblemKind.UNREADABLE

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    with pytest.raises(CertificateError, match="permission denied; let the user that this program runs as"):
        load_pair(good)


CERTIFICATE_TEXTS = {
    "empty": "c: it holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
    "key": "c: it holds a private key and no certificate; the two files may have been exchanged",
    "der": "c: it is in DER, not in PEM; write openssl x509 -inform der -in c -out c.pem",
    "damaged": "c: a certificate in it is damaged; copy the file again",
    "cut": "c: a certificate in it is damaged; copy the file again",
}
KEY_TEXTS = {
    "empty": "k: it holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----",
    "certificate": "k: it holds a certificate and no private key; the two files may have been exchanged",
    "der": "k: it is in DER, not in PEM; write openssl pkey -inform der -in k -out k.pem",
    "damaged": "k: the private key in it is damaged; copy the file again",
}


@pytest.mark.parametrize("what", CERTIFICATE_TEXTS)
def test_files_without_a_certificate(tmp_path: Path, what: str) -> None:
    good = pair_for(tmp_path, "mx.example")
    pem = good.certificate.read_bytes()
    octets = {
        "empty": b"",
        "key": good.key.read_bytes(),
        "der": x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER),
        "damaged": pem.replace(b"M", b"N", 1),
        "cut": pem[: len(pem) // 4],
    }
    (tmp_path / "c").write_bytes(octets[what])
    kind, text = problem_of(KeyPair(tmp_path / "c", good.key))
    assert (kind, text.replace(str(tmp_path) + "/", "")) == (ProblemKind.NO_PEM, CERTIFICATE_TEXTS[what])


@pytest.mark.parametrize("what", KEY_TEXTS)
def test_files_without_a_key(tmp_path: Path, what: str) -> None:
    good = pair_for(tmp_path, "mx.example")
    pem = good.key.read_bytes()
    key = load_pem_private_key(pem, None)
    octets = {
        "empty": b"",
        "certificate": good.certificate.read_bytes(),
        "der": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "damaged": pem.replace(b"M", b"N", 1),
    }
    (tmp_path / "k").write_bytes(octets[what])
    assert problem_of(KeyPair(good.certificate, tmp_path / "k")) == (ProblemKind.NO_PEM, KEY_TEXTS[what])


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_passphrase(tmp_path: Path, form: PrivateFormat) -> None:
    good = pair_for(tmp_path, "mx.example")
    key = load_pem_private_key(good.key.read_bytes(), None)
    (tmp_path / "k").write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
    assert problem_of(KeyPair(good.certificate, tmp_path / "k")) == (
        ProblemKind.PASSPHRASE,
        "k: the key has a passphrase, and the service cannot ask for it; remove it with "
        "openssl pkey -in k -out k.plain",
    )


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    good, other = pair_for(tmp_path, "mx.example"), pair_for(tmp_path, "other.example")
    kind, text = problem_of(KeyPair(good.certificate, other.key))
    assert kind is ProblemKind.MISMATCH
    assert text == (
        f"{other.key.name}: the key does not belong to the certificate in {good.certificate.name}; "
        "give the key it was made with"
    )
    chain = tmp_path / "chain"
    chain.write_bytes(good.certificate.read_bytes() + other.certificate.read_bytes())
    assert "is not the first in chain; put it there" in problem_of(KeyPair(chain, other.key))[1]


def test_a_key_that_openssl_refuses(tmp_path: Path) -> None:
    pem, key = made_for("mx.example", key=rsa.generate_private_key(65537, 1024))
    (tmp_path / "c").write_bytes(pem)
    (tmp_path / "k").write_bytes(key)
    assert problem_of(KeyPair(tmp_path / "c", tmp_path / "k")) == (
        ProblemKind.UNUSABLE,
        "c: OpenSSL refuses it: ee key too small; make a new key of 256 bits (EC) or 2048 bits (RSA)",
    )


# Peers' certificates


def test_a_subject_breaks_no_line() -> None:
    pem, _ = made_for("mx.example", common_name="a\r\nb,c\u202e\u00e9")
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert subject_of(der) == "CN=a\\0D\\0Ab\\,c\\E2\\80\\AE\u00e9"
    assert Certificate.from_der(der).subject == subject_of(der)


@pytest.mark.parametrize("octets", [b"", b"no certificate", b"\x30\x03\x02\x01\x00"])
def test_a_certificate_that_cannot_be_read_has_no_subject(octets: bytes) -> None:
    assert subject_of(octets) is None
    with pytest.raises(ValueError, match="error parsing asn1 value"):
        Certificate.from_der(octets)
