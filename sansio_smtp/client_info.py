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
    """The name with which it has authenticated, prepared for comparing (RFC 4013, case-folded); None before,
    or if it is unknown."""
    login_given: str | None = None
    """The same name as the client spelled it, for people; it may hold characters that nobody sees."""
    login_unknown: bool = False
    """True if it has authenticated and nobody knows as whom: its mechanism does not tell, or servers may read
    different names. What depends on the name refuses then."""
    tls: str | None = None
    """The version of TLS, such as ``"TLSv1.3"``; None if the connection is in plain text."""

    @property
    def authenticated(self) -> bool:
        """True if its credentials were accepted."""
        return self.login is not None or self.login_unknown
