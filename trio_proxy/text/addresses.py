"""Reads addresses as people type them: ``127.0.0.1:25``, ``[::1]:25``, ``mail.example.net``, ``unix:/run/x``,
``smtp://mail.example.net:25``."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["Address", "AddressError"]

_SCHEMES_TO_COME = {
    "smtps": "TLS towards the upstream server is not built yet",
    "lmtp": "LMTP is not built yet",
    "tls": "TLS listeners are not built yet",
}


class AddressError(ValueError):
    """An address that cannot be read; the text says what is wrong and what would be right."""


@attrs.frozen
class Address:
    """A TCP endpoint, or a unix socket if ``path`` is set. An empty host means every interface."""

    host: str = ""
    port: int = 0
    path: str | None = None

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Address:
        """Reads an address. Raises `AddressError`; without ``default_port`` a port must be given."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path:
                raise AddressError(f"{text!r} names no path; write unix:/run/smtp-proxy.sock")
            return cls(path=path)
        rest = text
        if "://" in text:
            scheme, _, rest = text.partition("://")
            if scheme.lower() != "smtp":
                why = _SCHEMES_TO_COME.get(scheme.lower(), f"unknown scheme {scheme!r}")
                raise AddressError(f"{text!r}: {why}; use smtp://HOST:PORT, HOST:PORT or unix:PATH")
            rest = rest.removesuffix("/")
        host, port = _split(rest, text)
        if port is None:
            if default_port is None:
                raise AddressError(
                    f"{text!r} has no port; write HOST:PORT, such as {rest or '127.0.0.1'}:2525"
                )
            return cls(host, default_port)
        if not (port.isascii() and port.isdecimal() and len(port) <= 5) or int(port) > 65535:
            raise AddressError(f"{text!r}: {port!r} is no port number (0 to 65535)")
        return cls(host, int(port))

    def below(self, folder: Path) -> Address:
        """The same address; the path of a unix socket is relative to this folder."""
        return self if self.path is None else Address(path=str(folder / self.path))

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(rest: str, text: str) -> tuple[str, str | None]:
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise AddressError(f"{text!r} cannot be read; an IPv6 address is written [::1]:2525")
        return host, tail[1:] if tail else None
    if rest.count(":") > 1:
        raise AddressError(f"{text!r} cannot be read; an IPv6 address needs brackets: [{rest}]:2525")
    host, colon, port = rest.partition(":")
    if not colon and host.isascii() and host.isdecimal():
        raise AddressError(f"{text!r} has no host; write 127.0.0.1:{host}")
    return host, port if colon else None
