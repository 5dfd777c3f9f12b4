"""Certificates for tests, in files; made once for all tests of a process."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import trustme

from trio_proxy.tls.certificates import KeyPair

__all__ = ["authority", "client_context", "pair_for", "write_pair"]


@cache
def authority(name: str = "one") -> trustme.CA:
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
