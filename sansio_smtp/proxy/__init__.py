"""The proxy: it composes a `ServerConnection` and a `ClientConnection` into one session."""

from .proxy import Proxy

__all__ = ["Proxy"]
