"""Reads addresses as people type them: ``mail.example.net:25``, ``smtps://[::1]``, ``lmtp+unix:/run/x``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Address", "AddressError"]

_PLAIN: Final = "smtp"


@attrs.frozen
class _Scheme:
    tls: bool = False
    lmtp: bool = False
    port: int | None = None
    """The default port; None: that depends on the use of the address."""


_SMTPS_PORT: Final = 465
"""The port of SMTP over TLS from the first octet (RFC 8314 §3.3)."""
_LMTP_PORT: Final = 24
"""The usual port of LMTP servers; no port is assigned to LMTP."""
_SMTP_PORT: Final = 25
_SCHEMES: Final = {
    _PLAIN: _Scheme(),
    "smtps": _Scheme(tls=True, port=_SMTPS_PORT),
    "lmtp": _Scheme(lmtp=True, port=_LMTP_PORT),
    "lmtps": _Scheme(tls=True, lmtp=True),
}
_UNIX: Final = {"unix": _Scheme()} | {f"{name}+unix": scheme for name, scheme in _SCHEMES.items()}
"""The schemes of unix sockets."""
_OTHER_SCHEMES: Final = {
    "tls": "the scheme for TLS from the first octet is smtps",
    "ssl": "the scheme for TLS from the first octet is smtps",
    "starttls": "STARTTLS belongs to smtp://; an option says if it is used",
    "submission": "write smtp://HOST:587",
    "submissions": "write smtps://HOST",
}


_EXAMPLE_PORT: Final = 2525
_EXAMPLE: Final = "mail.example.net:25"
_MAILBOX: Final = "a mailbox (it has an @) is no server"
_LOGIN: Final = "a login does not stand in the address of a server: options say it"
_SERVICES: Final = {"smtp": 25, "smtps": 465, "submission": 587, "submissions": 465, "lmtp": 24}


class AddressError(ValueError):
    """The address cannot be read; the text says what is wrong and what would be right."""


@attrs.frozen
class Address:
    """A TCP endpoint, or a unix socket if ``path`` is set. An empty host means every interface."""

    host: str = ""
    port: int = 0
    path: str | None = None
    tls: bool = False
    """True if TLS begins with the first octet (RFC 8314 §3): with ``smtps://``, or with port 465 and no
    scheme."""
    lmtp: bool = False
    """True for LMTP (RFC 2033): ``lmtp://``."""

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Address:
        """Reads an address. Raises `AddressError`. Without ``default_port`` the text must have a port, unless
        the scheme has a default: 465 for ``smtps://``, 24 for ``lmtp://``."""
        kind, colon, path = text.partition(":")
        if colon and kind.lower() in _UNIX:
            if not path:
                raise AddressError(f"{text!r} names no path; write {kind.lower()}:/run/smtp-proxy.sock")
            return cls(path=path, tls=_UNIX[kind.lower()].tls, lmtp=_UNIX[kind.lower()].lmtp)
        named, separator, rest = text.partition("://")
        scheme: _Scheme | None = None
        if not separator:
            rest = text
        elif named.lower() in _SCHEMES:
            scheme, rest = _SCHEMES[named.lower()], rest.removesuffix("/")
        else:
            why = _OTHER_SCHEMES.get(named.lower(), f"unknown scheme {named!r}")
            raise AddressError(
                f"{text!r}: {why}; use smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT, HOST:PORT or "
                "unix:PATH"
            )
        if "@" in rest:  # it may hold a password, which is not to be shown
            what = _LOGIN if separator else _MAILBOX
            raise AddressError(f"{what}; write HOST:PORT, such as {_EXAMPLE}")
        if any(char.isspace() for char in rest):
            raise AddressError(f"{text!r}: no host name holds a blank; write HOST:PORT, such as {_EXAMPLE}")
        if not separator and "/" in rest:
            is_path = rest.startswith(("/", ".", "~"))
            meant = (
                f"a unix socket is written unix:{rest}" if is_path else f"write HOST:PORT, such as {_EXAMPLE}"
            )
            raise AddressError(f"{text!r}: no host name holds a /; {meant}")
        host, written = _split(rest, text, default_port or _EXAMPLE_PORT)
        port = _port(written, text) if written is not None else _default(scheme, default_port)
        if port is None:
            raise AddressError(
                f"{text!r} has no port; write HOST:PORT, such as {rest or '127.0.0.1'}:{_EXAMPLE_PORT}"
            )
        if scheme is None:
            return cls(host, port, tls=port == _SMTPS_PORT)
        if scheme.lmtp and port == _SMTP_PORT:
            raise AddressError(f"{text!r}: port 25 is never for LMTP (RFC 2033, 5); use another, such as 24")
        return cls(host, port, tls=scheme.tls, lmtp=scheme.lmtp)

    @property
    def is_local(self) -> bool:
        """True if it is certainly on this machine: a unix socket, a loopback address, or ``localhost``. Looks
        up no name."""
        host = self.host.lower().rstrip(".")
        if self.path is not None or host in ("", "localhost") or host.endswith(".localhost"):
            return True
        return _is_loopback(host)

    @property
    def endpoint(self) -> Address:
        """The address without its protocol: two listeners cannot have the same endpoint."""
        return attrs.evolve(self, tls=False, lmtp=False)

    @property
    def where(self) -> str:
        """``HOST:PORT`` or ``unix:PATH`` without the protocol, for people; `parse` may read it as another
        address."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def below(self, folder: Path) -> Address:
        """The same address; the path of a unix socket is relative to this folder."""
        return self if self.path is None else attrs.evolve(self, path=str(folder / self.path))

    def __str__(self) -> str:
        """The address as `parse` reads it."""
        scheme = ("lmtp" if self.lmtp else _PLAIN) + ("s" if self.tls else "")
        if scheme == _PLAIN and (self.path is not None or self.port != _SMTPS_PORT):
            return self.where
        return f"{scheme}+{self.where}" if self.path is not None else f"{scheme}://{self.where}"


@lru_cache(maxsize=256)  # 6 µs for each session without it
def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _default(scheme: _Scheme | None, default_port: int | None) -> int | None:
    return default_port if scheme is None or scheme == _SCHEMES[_PLAIN] else scheme.port


def _port(written: str, text: str) -> int:
    if not (written.isascii() and written.isdecimal() and len(written) <= 5) or int(written) > 65535:
        number = _SERVICES.get(written.lower())
        hint = f"; the port of {written.lower()} is {number}" if number else ""
        raise AddressError(f"{text!r}: {written!r} is no port number (0 to 65535){hint}")
    return int(written)


def _split(rest: str, text: str, usual_port: int) -> tuple[str, str | None]:
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise AddressError(f"{text!r} cannot be read; an IPv6 address is written [::1]:2525")
        return host, tail[1:] if tail else None
    if rest.count(":") > 1:
        meant = " or ".join(_with_brackets(rest, usual_port))
        raise AddressError(f"{text!r} cannot be read; an IPv6 address needs brackets: {meant}")
    host, colon, port = rest.partition(":")
    if not colon and host.isascii() and host.isdecimal():
        raise AddressError(f"{text!r} has no host; write 127.0.0.1:{host}")
    return host, port if colon else None


def _with_brackets(text: str, usual_port: int) -> Iterator[str]:
    """What may be meant by an IPv6 address without brackets, whose last part may be a port."""
    host, _, port = text.rpartition(":")
    is_whole = _is_ipv6(text)
    if _is_ipv6(host) and port.isdecimal():
        yield f"[{host}]:{port}"
    elif not is_whole:
        yield f"[::1]:{usual_port}"
    if is_whole:
        yield f"[{text}]:{usual_port}"


def _is_ipv6(text: str) -> bool:
    try:
        return ip_address(text).version == 6
    except ValueError:
        return False
