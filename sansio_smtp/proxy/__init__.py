"""The proxy: it combines a `ServerConnection` and a `ClientConnection` in one session."""

from .proxy import Proxy

__all__ = ["Proxy"]
