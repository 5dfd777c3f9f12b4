"""Certificates for tests, in files; made once for all tests of a process."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeAlias

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trio_proxy.tls.certificates import KeyPair

__all__ = [
    "authority",
    "client_context",
    "leaf",
    "made_for",
    "pair_for",
    "write_authority",
    "write_pair",
]

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def authority(name: str) -> trustme.CA:
    """A CA; another one for each name."""
    return trustme.CA(organization_name=name)


@cache
def leaf(*names: str, ca: str = "one") -> trustme.LeafCert:
    return authority(ca).issue_cert(*names)


def pair_for(folder: Path, *names: str, ca: str = "one") -> KeyPair:
    """Files with a certificate of a CA for these names."""
    return write_pair(folder / f"{ca}-{names[0].replace('*', '_')}", leaf(*names, ca=ca))


def write_pair(stem: Path, made: trustme.LeafCert) -> KeyPair:
    pair = KeyPair(stem.with_name(f"{stem.name}.crt"), stem.with_name(f"{stem.name}.key"))
    pair.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    pair.key.touch(0o600)
    pair.key.write_bytes(made.private_key_pem.bytes())
    return pair


def write_authority(folder: Path, ca: str = "one") -> Path:
    file = folder / f"{ca}-ca.pem"
    authority(ca).cert_pem.write_to_path(str(file))
    return file


def client_context(ca: str | None = "one") -> ssl.SSLContext:
    """For a client that trusts this CA, or checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        authority(ca).configure_trust(context)
    return context


def made_for(
    *names: str,
    common_name: str | None = None,
    begins: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    ends: datetime = datetime(2100, 1, 1, tzinfo=UTC),
    key: PrivateKey | None = None,
) -> tuple[bytes, bytes]:
    """A certificate that signs itself, with all that `trustme` does not do, and its key, in PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    if names:
        others = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(others, critical=False)
    pem = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    return pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
