"""The server's end of a TLS connection that remembers the name that the client has asked for (SNI).

OpenSSL tells the name only to `ssl.SSLContext.sni_callback`.
"""

from __future__ import annotations

import ssl

__all__ = ["NamedTls"]


class NamedTls(ssl.SSLObject):
    """The class of connections of a context whose ``sslobject_class`` it is."""

    name = ""
    """The name, in lower case and without a dot at its end; empty if the client has asked for none."""

    def ask_for(self, name: str) -> None:
        """The client asks for this name."""
        self.name = name
