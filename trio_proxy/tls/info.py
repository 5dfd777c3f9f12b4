"""Describes the result of a handshake as a value of the core."""

from __future__ import annotations

import ssl

from sansio_smtp import TlsInfo

__all__ = ["info_of"]


def info_of(tls: ssl.SSLObject) -> TlsInfo:
    """The TLS of a connection, after its handshake."""
    cipher = tls.cipher()
    shown = tls.getpeercert(binary_form=True)
    subject = None
    if shown is not None:
        # Imported late: cryptography takes a tenth of a second, and many connections never need it.
        from .certificates import subject_of

        subject = subject_of(shown)
    return TlsInfo(
        server_name=getattr(tls, "name", ""),  # of a `NamedTls`
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        # A wrong certificate would have failed the handshake.
        verified=shown is not None and tls.context.verify_mode is not ssl.CERT_NONE,
        subject=subject,
    )
