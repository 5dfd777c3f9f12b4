"""Reads and writes what a script says of TLS: how a handshake ends, as ``<tls …>`` after the side."""

from __future__ import annotations

import re
from typing import Final

from sansio_smtp.client_info import TlsInfo

__all__ = ["read_handshake", "tls_info", "written_handshake", "written_tls"]

_FAILED: Final = re.compile(r"failed(?:: (.+))?")
_INFO: Final = re.compile(
    r"(?:(?P<version>[A-Z][A-Za-z0-9.]*) ?)?(?:cipher=(?P<cipher>[^ ]+) ?)?(?:sni=(?P<sni>[^ ]+) ?)?"
    r"(?:(?P<verified>verified) ?)?(?:subject=(?P<subject>.+))?"
)
_VERSION: Final = "TLSv1.3"
_WHY: Final = "the handshake failed"


def read_handshake(text: str) -> TlsInfo | str:
    """What ``<tls TEXT>`` says: the TLS that has begun, or why it has not. Raises ValueError."""
    if failed := _FAILED.fullmatch(text):
        return failed[1] or _WHY
    return tls_info(text)


def tls_info(text: str) -> TlsInfo:
    """``VERSION cipher=NAME sni=NAME verified subject=NAME``: each may be left out, the subject is the rest.

    Raises ValueError.
    """
    found = _INFO.fullmatch(text)
    if found is None:
        raise ValueError(
            f"not a handshake: {text!r}; write VERSION cipher=NAME sni=NAME verified subject=NAME, or "
            "failed: WHY"
        )
    return TlsInfo(
        version=found["version"] or _VERSION,
        cipher=found["cipher"] or "",
        server_name=found["sni"] or "",
        verified=found["verified"] is not None,
        subject=found["subject"],
    )


def written_handshake(end: TlsInfo | str) -> str:
    """``<tls …>`` for how a handshake has ended."""
    return f"<tls failed: {end}>" if isinstance(end, str) else f"<tls {written_tls(end)}>"


def written_tls(info: TlsInfo) -> str:
    """What `tls_info` reads."""
    words = [info.version]
    if info.cipher:
        words.append(f"cipher={info.cipher}")
    if info.server_name:
        words.append(f"sni={info.server_name}")
    if info.verified:
        words.append("verified")
    if info.subject is not None:
        words.append(f"subject={info.subject}")
    return " ".join(words)
