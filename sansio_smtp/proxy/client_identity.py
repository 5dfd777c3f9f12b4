"""Converts between `ClientInfo` and the attributes of XCLIENT and XFORWARD. The peer of the client's
connection is its *identity* until a trusted proxy names another client: before the dialogue in a PROXY
header, which the driver reads, or in the dialogue with XCLIENT. XFORWARD names the client of one mail
transaction, and changes no rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

import attrs

from sansio_smtp.client_info import ClientInfo, Forwarded, address_text
from sansio_smtp.wire.commands import Command

__all__ = ["forwarded", "renamed", "xclient_values", "xforward_values"]


def renamed(client: ClientInfo, said: Mapping[str, str]) -> ClientInfo:
    """The client as XCLIENT has named it. Values that XCLIENT does not give stay; values that it calls
    unavailable become empty. The TLS is still that of the connection."""
    changes: dict[str, Any] = {"proxy_ip": client.proxy_ip or client.ip, "proxy_tlvs": (), "unix": False}
    if "ADDR" in said:
        changes |= {"ip": said["ADDR"], "port": None, "name": ""}
    if "PORT" in said:
        changes["port"] = _port(said["PORT"])
    if "DESTADDR" in said:
        changes |= {"local_ip": said["DESTADDR"], "local_port": None}
    if "DESTPORT" in said:
        changes["local_port"] = _port(said["DESTPORT"])
    changes |= {field: said[name] for name, field in _TEXTS.items() if name in said}
    if "ADDR" not in said:
        changes["unix"] = client.unix
    named = attrs.evolve(client, **changes)
    if named.unix:
        return named
    return attrs.evolve(named, address=address_text(named.ip, named.port))


def forwarded(before: Forwarded | None, said: Mapping[str, str]) -> Forwarded:
    """The client of a mail transaction as XFORWARD has named it, added to the values of earlier XFORWARD
    lines."""
    changes: dict[str, Any] = {field: said[name] for name, field in _FORWARDED.items() if name in said}
    if "PORT" in said:
        changes["port"] = _port(said["PORT"])
    return attrs.evolve(before or Forwarded(), **changes)


def xclient_values(client: ClientInfo, command: Command) -> dict[str, str]:
    """The values of XCLIENT for this client, which is about to send ``command``."""
    return {
        "NAME": client.name,
        "ADDR": _address(client.ip),
        "PORT": _port_text(client.port),
        "PROTO": client.protocol or ("SMTP" if command.verb == b"HELO" else "ESMTP"),
        "HELO": _helo(command) or client.helo,
        "LOGIN": client.login_given or "",
        "DESTADDR": _address(client.local_ip),
        "DESTPORT": _port_text(client.local_port),
    }


def xforward_values(client: ClientInfo, hello: Command | None) -> dict[str, str]:
    """The values of XFORWARD for this client. ``hello`` is its EHLO or HELO. If a relay has named a client
    with XFORWARD, only the relay's values are used, because nothing else is known about that client."""
    known = client.forwarded
    if known is None:
        protocol = client.protocol or ("ESMTP" if hello is not None and hello.verb == b"EHLO" else "SMTP")
        known = Forwarded(
            ip=_address(client.ip), port=client.port, name=client.name, protocol=protocol, helo=client.helo
        )
    return {
        "NAME": known.name,
        "ADDR": known.ip,
        "PORT": _port_text(known.port),
        "PROTO": known.protocol,
        "HELO": known.helo,
        "IDENT": known.ident,
        "SOURCE": known.source or "REMOTE",
    }


def _helo(command: Command) -> str:
    if command.verb not in (b"EHLO", b"HELO"):
        return ""
    return command.argument.decode("utf-8", "backslashreplace").strip()


def _port(text: str) -> int | None:
    return int(text) if text else None


def _port_text(port: int | None) -> str:
    return "" if port is None else str(port)


def _address(ip: str) -> str:
    """An IP address without its zone, which has a meaning on one machine only; empty if it is not an IP
    address."""
    try:
        return str(ip_address(ip.partition("%")[0]))
    except ValueError:
        return ""


_TEXTS: Final = {"NAME": "name", "PROTO": "protocol", "HELO": "helo"}
_FORWARDED: Final = {
    "NAME": "name",
    "ADDR": "ip",
    "PROTO": "protocol",
    "HELO": "helo",
    "IDENT": "ident",
    "SOURCE": "source",
}
