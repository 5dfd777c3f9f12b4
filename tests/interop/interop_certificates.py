"""Certificates for the peers and for the proxy, from an authority that only the test trusts."""

from __future__ import annotations

from pathlib import Path

import attrs
import trustme

__all__ = ["PROXY_NAME", "Authority", "Certificates"]

PROXY_NAME = "mail.example.com"


class Authority:
    def __init__(self, file: Path) -> None:
        """`file` will hold the certificate of the authority, for those who are to trust it."""
        self.file = file
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(file))
        file.chmod(0o644)

    def issue(self, file: Path, *names: str) -> Path:
        """A certificate for these names, preceded by its key, in one file. The first is also its CN."""
        issued = self._ca.issue_cert(*names, common_name=names[0])
        issued.private_key_and_cert_chain_pem.write_to_path(str(file))
        file.chmod(0o600)
        return file


@attrs.frozen
class Certificates:
    """What the proxy shows to clients, and what clients trust."""

    ca: Path
    certificate: Path
    """For `PROXY_NAME`, localhost and 127.0.0.1."""
    key: Path
    both: Path
    """The key, and the certificate."""

    @classmethod
    def made(cls, directory: Path) -> Certificates:
        authority = Authority(directory / "ca.pem")
        both = authority.issue(directory / "both.pem", PROXY_NAME, "localhost", "127.0.0.1")
        key, certificate = directory / "key.pem", directory / "cert.pem"
        text = both.read_text()
        start = text.index("-----BEGIN CERTIFICATE-----")
        key.write_text(text[:start])
        key.chmod(0o600)
        certificate.write_text(text[start:])
        return cls(authority.file, certificate, key, both)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))
