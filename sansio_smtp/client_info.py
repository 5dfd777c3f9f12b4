"""Values that describe the client of a session, and the TLS of a connection."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

import attrs

from .arguments import wrong_type

__all__ = ["ClientInfo", "Forwarded", "TlsInfo"]


@attrs.frozen(kw_only=True)
class TlsInfo:
    """The TLS of one connection, after its handshake."""

    version: str
    """The version, such as ``"TLSv1.3"``."""
    cipher: str = ""
    """The cipher suite, such as ``"TLS_AES_256_GCM_SHA384"``."""
    verified: bool = False
    """True if the peer's certificate was verified: its chain and, for a server, its name."""
    subject: str | None = None
    """The subject of the peer's certificate as RFC 4514 writes it, such as ``"CN=mx.example.net"``; None if
    the peer sent none."""
    server_name: str = ""
    """The server name that the client has asked for (SNI, RFC 6066 §3), in lower case; empty if it asked for
    none, and for TLS with a server."""


@attrs.frozen(kw_only=True)
class Forwarded:
    """The client of a mail transaction, as a relay in front of this proxy has named it with XFORWARD. Values
    that the relay does not know are empty or None."""

    ip: str = ""
    port: int | None = None
    name: str = ""
    protocol: str = ""
    helo: str = ""
    ident: str = ""
    """The name of the message in the log of that relay."""
    source: str = ""
    """``"LOCAL"`` or ``"REMOTE"``: where the message came from."""

    @property
    def address(self) -> str:
        """The client's address as text for people."""
        return address_text(self.ip, self.port)


@attrs.frozen(kw_only=True)
class ClientInfo:
    """The known facts about a client. Immutable: `Proxy.client_info` makes a new object with the facts of
    that moment.

    The client is the peer of the connection, unless a proxy in between has named another client: in a PROXY
    header, which the driver reads, or with XCLIENT.
    """

    address: str = ""
    """Its address for people, such as ``"192.0.2.1:51000"`` or ``"unix"``; empty if the driver does not give
    it."""
    ip: str = attrs.field(default=attrs.Factory(lambda self: _ip_of(self.address), takes_self=True))
    """Its IP address, such as ``"192.0.2.1"`` or ``"2001:db8::1"``; by default from `address`. Empty if it is
    not known, and for a unix socket."""
    port: int | None = attrs.field(
        default=attrs.Factory(lambda self: _port_of(self.address), takes_self=True)
    )
    """Its port; by default from `address`. None if it is not known."""
    unix: bool = attrs.field(default=attrs.Factory(lambda self: self.address == "unix", takes_self=True))
    """True if it has connected to a unix socket; by default if `address` is ``"unix"``."""
    name: str = ""
    """Its host name, if a proxy has given it."""
    protocol: str = ""
    """``"SMTP"`` or ``"ESMTP"``, if a proxy has given it."""
    local_ip: str = ""
    """The IP address to which it has connected; empty if it is not known."""
    local_port: int | None = None
    """The port to which it has connected."""
    listener: str = ""
    """The listener that accepted its connection, as named by the driver; may be empty."""
    proxy_ip: str = ""
    """The address of the peer, if that is a proxy that has named the client; else empty."""
    proxy_tlvs: tuple[tuple[int, bytes], ...] = ()
    """The TLVs of a PROXY header of version 2: type and value of each."""
    helo: str = ""
    """The argument of the last accepted EHLO or HELO, or the name from XCLIENT; empty before."""
    login: str | None = None
    """The name with which it has authenticated, prepared for comparing (RFC 4013, case-folded); None before,
    or if the name is unknown."""
    login_given: str | None = None
    """The same name as the client spelled it, for people; it may hold invisible characters."""
    login_unknown: bool = False
    """True if it has authenticated with an unknown name: its mechanism does not show the name, or servers may
    read different names. Code that depends on the name must then refuse."""
    tls: TlsInfo | None = None
    """The TLS of its connection; None if that is in plain text."""
    forwarded: Forwarded | None = None
    """The client of this mail transaction, if a relay has named it with XFORWARD."""

    @property
    def authenticated(self) -> bool:
        """True if its credentials were accepted."""
        return self.login is not None or self.login_unknown

    @property
    def is_local(self) -> bool:
        """True if it is on this machine: on a unix socket or a loopback address."""
        return _is_loopback(self.ip) if self.ip else self.unix


def address_text(ip: str, port: int | None) -> str:
    """An address for people; ``"unknown"`` if there is none."""
    if not ip:
        return "unknown"
    host = f"[{ip}]" if ":" in ip else ip
    return host if port is None else f"{host}:{port}"


@lru_cache(maxsize=1_024)  # saves 5 µs for each session of a known client
def _is_loopback(ip: str) -> bool:
    try:
        found = ip_address(ip)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _ip_of(address: str) -> str:
    if not isinstance(address, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type("address is a str", address, 'such as "192.0.2.1:51000", or "unix"')
    return address.rpartition(":")[0].strip("[]")


def _port_of(address: str) -> int | None:
    port = address.rpartition(":")[2]
    return int(port) if port.isascii() and port.isdecimal() else None
