"""The certificate of a service that keeps mail: it is put where applications find it, and the log says so."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from trio_proxy.storage.disk import Disk

if TYPE_CHECKING:
    from trio_proxy.tls.server_side import ServerTls

__all__ = ["CERTIFICATE_MADE", "certificate_line", "publish_certificate"]

log = structlog.stdlib.get_logger("smtp_proxy.capture")

CERTIFICATE_MADE: Final = "certificate made"
_FILE: Final = "certificate.pem"


def publish_certificate(tls: ServerTls, directory: Path) -> None:
    """Writes the certificate to a file in this directory, and logs what it is. It holds no secret. Raises
    nothing."""
    (certificate,), (pair,) = tls.certificates, tls.pairs
    file = directory / _FILE
    disk = Disk()
    disk.remove(file)
    written = ""
    with suppress(OSError):  # a full disk: it can be used, and nobody can trust it
        with disk.create(file) as out:
            out.write(pair.certificate.read_bytes())
        written = str(file)
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
