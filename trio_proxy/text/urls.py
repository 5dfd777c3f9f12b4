"""Reads URLs to which secrets are sent."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from .addresses import Address
from .units import Reads

__all__ = ["A_SECRET_URL", "SecretUrl", "secret_url"]


def secret_url(value: Any) -> str:
    """Checks a URL for secrets: it must use TLS, or name a server on this machine. Raises ValueError."""
    # Imported late: --help does not need it.
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        where = Address(parts.hostname or "", parts.port or 0)
    except ValueError:
        raise ValueError(f"expected {A_SECRET_URL.expected}") from None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and where.is_local)
    if not (where.host and is_safe and str(value).isprintable()):
        raise ValueError(f"expected {A_SECRET_URL.expected}")
    if parts.username is not None or parts.fragment:
        raise ValueError("a URL for secrets has no user and no fragment")
    return str(value)


A_SECRET_URL: Final = Reads('a URL with TLS such as "https://login.example.net/oauth2/token"', secret_url)
SecretUrl: TypeAlias = Annotated[str, A_SECRET_URL]
