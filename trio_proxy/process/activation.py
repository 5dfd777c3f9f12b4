"""The listening sockets that the service manager has made: socket activation, as in sd_listen_fds(3).

A socket is used for the address of ``--listen`` to which it is bound. So the settings choose the protocol
(TLS, LMTP, route), with or without the manager. If an address has no such socket, the service binds it. A
socket without a ``--listen`` is a mistake: clients would connect and get no answer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from trio_proxy.driver.listening import GivenError
from trio_proxy.driver.streams import set_no_delay
from trio_proxy.text.addresses import Address

__all__ = ["Activated", "activated"]

_FIRST: Final = 3


def activated(environment: Mapping[str, str] | None = None) -> Activated:
    """The sockets that this process was given; none if the variables are for another process. Raises
    `GivenError` if one is not a listening socket."""
    variables = os.environ if environment is None else environment
    number = variables.get("LISTEN_FDS", "")
    if variables.get("LISTEN_PID") != str(os.getpid()) or not (number.isascii() and number.isdecimal()):
        return Activated([])
    return Activated([_socket(descriptor) for descriptor in range(_FIRST, _FIRST + int(number))])


class Activated:
    """The sockets that were not yet taken for an address."""

    def __init__(self, sockets: Iterable[socket.socket]) -> None:
        self._left = {sock: _place(sock) for sock in sockets}

    def take(self, address: Address) -> list[socket.socket]:
        """Takes the sockets that are bound to this address; maybe none. Looks up names, so it blocks. Raises
        `GivenError`."""
        places: set[Any] = _places(address) if self._left else set()
        found = [sock for sock, place in self._left.items() if place in places]
        for sock in found:
            del self._left[sock]
            if _takes_both(sock):
                raise GivenError(
                    f"cannot listen on {address}: the socket of the service manager takes IPv4 too; say "
                    "BindIPv6Only=ipv6-only in the socket unit, and add a ListenStream= for IPv4"
                )
            sock.setblocking(False)
            set_no_delay(sock)
        return found

    def check(self) -> None:
        """Called after all addresses have got their sockets. Raises `GivenError` if a socket is left."""
        if self._left:
            places = ", ".join(_text(place) for place in self._left.values())
            raise GivenError(
                f"the service manager listens on {places}, which no --listen names; add it there, or take it "
                "out of the socket unit"
            )


def _takes_both(sock: socket.socket) -> bool:
    """True if clients of IPv4 come to a socket of IPv6, with addresses that no network of the settings
    matches."""
    return sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def _socket(descriptor: int) -> socket.socket:
    with suppress(OSError):  # not a socket
        sock = socket.socket(fileno=descriptor)
        sock.set_inheritable(False)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return sock
    text = f"descriptor {descriptor} of the service manager is no socket that listens; say Accept=no"
    raise GivenError(text)


def _place(sock: socket.socket) -> Any:
    name: Any = sock.getsockname()
    return name if isinstance(name, str) else (str(name[0]), int(name[1]))


def _places(address: Address) -> set[Any]:
    """The places to which sockets for this address may be bound."""
    if address.path is not None:
        return {address.path, os.path.realpath(address.path)}
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):  # reported when the address is bound
        return set()
    return {(str(each[4][0]), each[4][1]) for each in found}


def _text(place: Any) -> str:
    return f"unix:{place}" if isinstance(place, str) else str(Address(place[0], place[1]))
