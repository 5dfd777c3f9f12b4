"""The two ends composed: one dialogue between a client and a server, kept in step."""

from .proxy import Proxy

__all__ = ["Proxy"]
