"""The certificate of a service that keeps mail: it is put where applications find it, and the log says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import structlog

from trio_proxy.storage.disk import Disk

if TYPE_CHECKING:
    from trio_proxy.tls.server_side import ServerTls

__all__ = ["CERTIFICATE_MADE", "Published", "certificate_line"]

log = structlog.stdlib.get_logger("smtp_proxy.capture")

CERTIFICATE_MADE: Final = "certificate made"
_FILE: Final = "certificate.pem"


@attrs.define(eq=False)
class Published:
    """The certificate that applications find in this directory. It holds no secret."""

    directory: Path
    _octets: bytes = attrs.field(default=b"", init=False)

    def publish(self, tls: ServerTls) -> None:
        """Writes the certificate, and logs what it is."""
        (pair,) = tls.pairs
        self._octets = pair.certificate.read_bytes()
        _tell(tls, _write(self._octets, self.directory / _FILE))

    @property
    def exists(self) -> bool:
        """True if there is one, also that of an earlier start."""
        return (self.directory / _FILE).exists()

    def restore(self) -> None:
        """Writes it again if the directory was removed."""
        if self._octets and not self.exists:
            _write(self._octets, self.directory / _FILE)


def _write(octets: bytes, file: Path) -> str:
    """Returns the path; empty if the disk is full: the certificate can be used, and nobody can trust it."""
    disk = Disk()
    disk.remove(file)
    try:
        disk.make_directory(file.parent)
        with disk.create(file) as out:
            out.write(octets)
    except OSError:
        return ""
    return str(file)


def _tell(tls: ServerTls, written: str) -> None:
    (certificate,) = tls.certificates
    tell = getattr(log, "tell", log.info)  # tests configure structlog as they like
    tell(
        CERTIFICATE_MADE,
        names=list(certificate.names),
        until=f"{certificate.not_after:%Y-%m-%d}",
        fingerprint=certificate.fingerprint,
        file=written,
    )


def certificate_line(values: Mapping[str, Any]) -> str:
    """The same for people, in several lines."""
    lines = [
        f"certificate made for {', '.join(values['names'])}; until {values['until']}",
        f"  fingerprint SHA-256 {values['fingerprint']}",
    ]
    if values["file"]:
        lines.append(f"  an application trusts it with {values['file']} as its file of CAs")
    return "\n".join(lines)
