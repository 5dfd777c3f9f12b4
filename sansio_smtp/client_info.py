"""`ClientInfo`: what is known of the client of a session."""

from __future__ import annotations

import attrs

__all__ = ["ClientInfo"]


@attrs.frozen(kw_only=True)
class ClientInfo:
    """What is known of a client. Immutable: `Proxy.client_info` makes a new one with what is known by
    then."""

    address: str = ""
    """The address from which it connects, such as ``"192.0.2.1:51000"``; empty if the driver does not say."""
    helo: str = ""
    """The argument of the last EHLO or HELO that was accepted; empty before."""
    login: str | None = None
    """The identity with which it has authenticated; None before, or if its mechanism does not tell."""
    tls: str | None = None
    """The version of TLS, such as ``"TLSv1.3"``; None if the connection is in plain text."""
