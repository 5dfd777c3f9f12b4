"""Makes a certificate for development. Only a person who knows its fingerprint can trust it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .certificates import KeyPair

__all__ = ["self_signed"]

_VALID: Final = timedelta(days=30)
_CLOCKS_DIFFER: Final = timedelta(hours=1)


@contextmanager
def self_signed(names: Sequence[str]) -> Generator[KeyPair]:
    """A new key, and a self-signed certificate for these host names and IP addresses, valid for 30 days. Only
    this user can read the files, which are removed at the end of the context."""
    if not names:
        raise ValueError("at least one name is needed")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, names)
    with tempfile.TemporaryDirectory(prefix="smtp-proxy-") as folder:
        pair = KeyPair(Path(folder, "cert.pem"), Path(folder, "key.pem"))
        _write(pair.certificate, certificate.public_bytes(Encoding.PEM))
        _write(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield pair


def _certificate(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(file: Path, octets: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(octets)
