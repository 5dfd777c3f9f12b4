"""Reads certificates and private keys; for bad files it says what is wrong and what to do.

Importing it imports `cryptography`, which takes a tenth of a second: import it only where TLS is used.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from trio_proxy.text.missing import REMEDY, no_file

__all__ = [
    "Certificate",
    "CertificateError",
    "KeyPair",
    "Problem",
    "ProblemKind",
    "load_authorities",
    "load_into",
    "load_pair",
    "load_pairs",
    "subject_of",
    "validity_problems",
    "wildcard_for",
]

_SECONDS_A_DAY: Final = 86_400
_FAST_BITS: Final = 2048
_NOT_ALLOWED: Final = "permission denied; let the user that this program runs as read it"


@attrs.frozen
class KeyPair:
    """The files of a certificate with its chain and of its private key, in PEM. They may be one file."""

    certificate: Path
    key: Path


class ProblemKind(Enum):
    """What is wrong with a file."""

    UNREADABLE = "unreadable"
    NO_PEM = "no PEM"
    MISMATCH = "mismatch"
    """The key does not belong to the certificate."""
    PASSPHRASE = "passphrase"
    """The key is encrypted."""
    UNUSABLE = "unusable"
    """OpenSSL refuses it, for example because the key is too short."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"


@attrs.frozen
class Problem:
    """What is wrong with one file."""

    kind: ProblemKind
    file: Path
    text: str
    """The text for people: names the file, and says what is wrong and what to do."""

    def __str__(self) -> str:
        return self.text


class CertificateError(Exception):
    """Files that cannot be used; the text says why and what to do, one line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@attrs.frozen
class Certificate:
    """The content of a certificate."""

    subject: str
    """Its subject, as RFC 4514 writes it."""
    issuer: str
    names: tuple[str, ...]
    """Its DNS names and IP addresses, in lower case; its common name if it has none of them (RFC 6125
    §6.4.4)."""
    not_before: datetime
    """The first moment at which it is valid; UTC."""
    not_after: datetime
    """The last moment at which it is valid; UTC."""
    fingerprint: str
    """SHA-256 of the whole certificate, such as ``"AB:01:..."``."""
    is_slow: bool
    """True if it takes long to sign with its key: RSA with more than 2048 bits."""

    @classmethod
    def from_der(cls, octets: bytes) -> Certificate:
        """Reads a certificate in DER, as from a TLS connection. Raises ValueError."""
        return _read(x509.load_der_x509_certificate(octets))

    @classmethod
    def from_pem(cls, octets: bytes) -> Certificate:
        """Reads the first certificate of a file in PEM. Raises ValueError."""
        return _read(x509.load_pem_x509_certificate(octets))

    @property
    def is_self_signed(self) -> bool:
        """True if it names itself as its issuer."""
        return self.subject == self.issuer

    def covers(self, name: str) -> bool:
        """Returns True if it is for this name; ``*`` matches the whole first label."""
        name = name.lower().rstrip(".")
        return name in self.names or wildcard_for(name) in self.names

    def days_left(self, now: datetime) -> int:
        """Whole days for which it is still valid; negative if it has expired."""
        return math.floor((self.not_after - now).total_seconds() / _SECONDS_A_DAY)

    def expired(self, now: datetime) -> bool:
        """Returns True if it has expired."""
        return now > self.not_after


def wildcard_for(name: str) -> str | None:
    """The only wildcard name that covers this name too; None for a name of one label."""
    _, dot, parent = name.partition(".")
    return f"*.{parent}" if dot and parent else None


def load_pairs(pairs: Sequence[KeyPair]) -> tuple[Certificate, ...]:
    """Reads all pairs, and checks that OpenSSL can use each. Raises `CertificateError` with all mistakes in
    them; an expired certificate is not an error (see `validity_problems`)."""
    found: list[Certificate] = []
    problems: list[Problem] = []
    for pair in pairs:
        try:
            found.append(load_pair(pair))
        except CertificateError as error:
            problems += error.problems
    if problems:
        raise CertificateError(problems)
    return tuple(found)


def load_pair(pair: KeyPair) -> Certificate:
    """Reads one pair: see `load_pairs`."""
    certificate = _load_certificate(pair.certificate)
    key = _load_public_key(pair.key)
    problems = [found for found in (certificate, key) if isinstance(found, Problem)]
    if isinstance(certificate, Problem) or isinstance(key, Problem):
        raise CertificateError(problems)
    own, chain = certificate
    if key != _public_octets(own):
        raise CertificateError([_mismatch(pair, key, chain)])
    load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair)
    return _read(own)


def load_into(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Makes a context use a pair that `load_pair` has checked. Raises `CertificateError` if OpenSSL refuses
    it."""
    try:
        context.load_cert_chain(pair.certificate, pair.key, password="")  # never ask for one at the terminal
    except (ssl.SSLError, OSError) as error:
        why = _refusal(getattr(error, "reason", None) or str(error))
        text = f"{pair.certificate}: OpenSSL refuses it: {why}"
        raise CertificateError([Problem(ProblemKind.UNUSABLE, pair.certificate, text)]) from error


def validity_problems(pair: KeyPair, certificate: Certificate, now: datetime) -> list[Problem]:
    """Problems if a certificate has expired or is not valid yet."""
    file = pair.certificate
    if certificate.expired(now):
        text = f"{file}: the certificate has expired on {_day(certificate.not_after)}; renew it"
        return [Problem(ProblemKind.EXPIRED, file, text)]
    if now < certificate.not_before:
        begins = _day(certificate.not_before)
        text = f"{file}: the certificate is valid only from {begins} on; set the clock, or wait"
        return [Problem(ProblemKind.NOT_YET_VALID, file, text)]
    return []


def load_authorities(context: ssl.SSLContext, file: Path) -> None:
    """Makes a context trust the CAs in a file in PEM. Raises `CertificateError`."""
    octets = _octets(file)
    if isinstance(octets, Problem):
        raise CertificateError([octets])
    try:
        context.load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError) as error:
        raise CertificateError([_no_certificate(file, octets)]) from error


def subject_of(der: bytes) -> str | None:
    """The subject of a peer's certificate as RFC 4514 writes it; None if it cannot be read. Octets that are
    not printable are escaped, so that a peer's name cannot break a log line."""
    try:
        return _name(x509.load_der_x509_certificate(der).subject)
    except Exception:  # a peer may have put anything in it; OpenSSL decides what to refuse
        return None


# Files


def _octets(file: Path) -> bytes | Problem:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return Problem(ProblemKind.UNREADABLE, file, f"{file}: {no_file(file)}{REMEDY}")
    except PermissionError:
        why = _NOT_ALLOWED
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = f"{getattr(error, 'strerror', None) or error}; correct the path"
    return Problem(ProblemKind.UNREADABLE, file, f"{file}: cannot be read: {why}")


def _load_certificate(file: Path) -> tuple[x509.Certificate, list[x509.Certificate]] | Problem:
    """The certificate and the rest of its chain."""
    octets = _octets(file)
    if isinstance(octets, Problem):
        return octets
    try:
        own, *chain = x509.load_pem_x509_certificates(octets)
        _read(own)
    except ValueError:
        return _no_certificate(file, octets)
    return own, chain


def _no_certificate(file: Path, octets: bytes) -> Problem:
    if b"PRIVATE KEY-----" in octets:
        why = "it holds a private key and no certificate; the two files may have been exchanged"
    elif _is_der_certificate(octets):
        why = f"it is in DER, not in PEM; write openssl x509 -inform der -in {file} -out {file}.pem"
    elif b"-----BEGIN CERTIFICATE-----" in octets:
        why = "a certificate in it is damaged; copy the file again"
    else:
        why = "it holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"
    return Problem(ProblemKind.NO_PEM, file, f"{file}: {why}")


def _is_der_certificate(octets: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(octets)
    except ValueError:
        return False
    return True


def _load_public_key(file: Path) -> bytes | Problem:
    """The public half of a private key."""
    octets = _octets(file)
    if isinstance(octets, Problem):
        return octets
    kind = ProblemKind.NO_PEM
    try:
        key = load_pem_private_key(octets, password=None)
    except TypeError:  # the key needs a password
        kind = ProblemKind.PASSPHRASE
        why = (
            "the key has a passphrase, and the service cannot ask for it; remove it with "
            f"openssl pkey -in {file} -out {file}.plain"
        )
    except UnsupportedAlgorithm:
        kind, why = ProblemKind.UNUSABLE, "a key of this kind cannot be used; make an EC or RSA key"
    except ValueError:
        why = _no_key(file, octets)
    else:
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Problem(kind, file, f"{file}: {why}")


def _no_key(file: Path, octets: bytes) -> str:
    if b"PRIVATE KEY-----" in octets:
        return "the private key in it is damaged; copy the file again"
    if b"-----BEGIN CERTIFICATE-----" in octets:
        return "it holds a certificate and no private key; the two files may have been exchanged"
    try:
        load_der_private_key(octets, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "it holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----"
    return f"it is in DER, not in PEM; write openssl pkey -inform der -in {file} -out {file}.pem"


def _mismatch(pair: KeyPair, key: bytes, chain: list[x509.Certificate]) -> Problem:
    if any(key == _public_octets(other) for other in chain):
        why = f"the certificate of the key is not the first in {pair.certificate}; put it there"
    else:
        why = (
            f"the key does not belong to the certificate in {pair.certificate}; give the key it was made with"
        )
    return Problem(ProblemKind.MISMATCH, pair.key, f"{pair.key}: {why}")


def _refusal(reason: str) -> str:
    why = reason.replace("_", " ").lower()
    if reason.endswith("TOO_SMALL"):
        return f"{why}; make a new key of 256 bits (EC) or 2048 bits (RSA)"
    if reason.endswith("TOO_WEAK"):
        return f"{why}; have the certificate signed with SHA-256"
    return why


# Content of certificates


def _read(found: x509.Certificate) -> Certificate:
    """Raises ValueError."""
    try:
        return Certificate(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            names=_names(found),
            not_before=found.not_valid_before_utc,
            not_after=found.not_valid_after_utc,
            fingerprint=found.fingerprint(SHA256()).hex(":").upper(),
            is_slow=_is_slow(found),
        )
    except (
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ValueError(str(error)) from error


def _is_slow(found: x509.Certificate) -> bool:
    key = found.public_key()
    return isinstance(key, rsa.RSAPublicKey) and key.key_size > _FAST_BITS


def _names(found: x509.Certificate) -> tuple[str, ...]:
    try:
        others = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    hosts = (name.lower().rstrip(".") for name in others.get_values_for_type(x509.DNSName))
    addresses = map(str, others.get_values_for_type(x509.IPAddress))
    return (*hosts, *addresses)


def _public_octets(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(name: x509.Name) -> str:
    text = name.rfc4514_string()
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return "".join(f"\\{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
