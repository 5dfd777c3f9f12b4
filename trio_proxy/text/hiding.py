"""Hides addresses in log lines (``--log-addresses``): each is replaced by its hash, or left out.

The same address has the same hash, so a person who knows the address and the key can still find a message. In
texts of replies and errors, everything that looks like an address counts as one. A Message-ID does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from typing import Any, Final, cast

__all__ = ["hashing", "hidden", "leaving_out"]

_ADDRESS: Final = re.compile(
    r"""(?:"(?:[^"\\\r\n]|\\.)*"|[^\s<>()\[\],;:"'@=]+)@[^\s<>()\[\],;:"'@]+(?<![.!?])"""
)
"""Matches everything in free text that may be an address."""
_WHOLE: Final = frozenset(("from", "to", "address", "sent_as", "sent_from", "login"))
"""Keys whose values are addresses, also without a domain."""
_IDENTIFIERS: Final = frozenset(("message_id", "level", "time", "timestamp"))
_NOBODY: Final = "<>"
_LEFT_OUT: Final = "(address)"
_DIGITS: Final = 16

Hide = Callable[[str], str]
"""Returns the replacement of an address."""


def hashing(key: bytes) -> Hide:
    """Replaces an address by the beginning of its HMAC-SHA-256 (RFC 2104). The address is put in lower case
    first, so that all spellings have the same hash."""
    import hashlib  # imported late: both load OpenSSL, and few services hash addresses
    import hmac

    def replaced(address: str) -> str:
        octets = address.lower().encode("utf-8", "surrogateescape")
        return f"#{hmac.digest(key, octets, hashlib.sha256).hex()[:_DIGITS]}"

    return replaced


def leaving_out(address: str) -> str:
    return _LEFT_OUT


def hidden(hide: Hide) -> Callable[[object, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    """A processor for structlog. It must run before all processors that convert values to text."""

    def of(key: str, value: Any) -> Any:
        if key in _IDENTIFIERS or value == _NOBODY:
            return value
        if isinstance(value, str):
            if key in _WHOLE:
                return hide(value) if value else value
            return _ADDRESS.sub(lambda found: hide(found[0]), value) if "@" in value else value
        if isinstance(value, dict):
            return {name: of(name, each) for name, each in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            found = cast("Any", value)
            return type(found)([of("", each) for each in found])  # a subclass may have its own text
        if isinstance(value, bool | int | float | None):
            return value
        return of("", repr(value))

    def processor(logger: object, method: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in values.items():
            values[key] = of(key, value)
        return values

    return processor
