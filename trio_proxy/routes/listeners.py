"""Finds the listener that accepted a connection, by its name in the settings."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

from trio_proxy.driver.streams import SocketStream
from trio_proxy.text.addresses import Address

__all__ = ["Listeners"]

_EVERYWHERE: Final = ("0.0.0.0", "::")


class Listeners:
    """The listeners of the service, by their sockets, with the addresses that the settings give them."""

    def __init__(self, listeners: Mapping[socket.socket, Address]) -> None:
        self._names = {_place(sock): str(address) for sock, address in listeners.items()}

    def name_of(self, client: SocketStream) -> str:
        """The address of the listener that took this connection; empty if it is none of these."""
        place = _place(client.sock)
        if isinstance(place, str):
            return self._names.get(place, "")
        names = (self._names.get((host, place[1])) for host in (place[0], *_EVERYWHERE))
        return next(filter(None, names), "")


def _place(sock: socket.socket) -> str | tuple[str, int]:
    """The local address of a listening socket or of a connection."""
    name: Any = sock.getsockname()
    return name if isinstance(name, str) else (str(name[0]), int(name[1]))
