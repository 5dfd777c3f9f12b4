"""All targets by their names."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from .target import Target

__all__ = ["NAMES", "target"]

_PLACES: Final = {
    "content": "mail:CONTENT",
    "drawn": "drawn:DRAWN",
    "headers": "mail:HEADERS",
    "mime": "mail:MIME",
    "proxy-header": "readers:PROXY_HEADER",
    "xclient": "readers:XCLIENT_LINE",
    "delivery": "delivery:DELIVERY",
    "server-end": "ends:SERVER_END",
    "client-end": "ends:CLIENT_END",
    "proxy-octets": "proxies:OCTETS",
    "proxy-operations": "proxies:OPERATIONS",
}
NAMES: Final = tuple(_PLACES)


def target(name: str) -> Target:
    """The target of that name. It is imported now, so that the fuzzer can watch what it imports."""
    module, _, attribute = _PLACES[name].partition(":")
    found: Target = getattr(import_module(f".{module}", __package__), attribute)
    return found
