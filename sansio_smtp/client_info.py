"""Who the client of a dialogue is, as far as it is known."""

from __future__ import annotations

import attrs

__all__ = ["ClientInfo"]


@attrs.frozen(kw_only=True)
class ClientInfo:
    """What is known of a client. A value: `Proxy.client_info` gives a new one when more is known."""

    address: str = ""
    """Where it connects from, as in ``"192.0.2.1:51000"``; empty if the driver did not say."""
    helo: str = ""
    """The argument of the EHLO or HELO that was accepted last; empty before."""
    login: str | None = None
    """The identity with which it has authenticated, as far as its mechanism tells."""
    tls: str | None = None
    """The version of TLS that it uses, such as ``"TLSv1.3"``; None in plain text."""
