"""`MeteredSocket`: a socket that counts the octets that go through it.

Octets are counted here because all reads and writes end here: those of pumps and the reactor, with and
without TLS. Without metrics, the usual sockets are used.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import attrs

from trio_proxy.driver.streams import SocketStream

__all__ = ["MeteredSocket", "Octets"]


@attrs.define(eq=False)
class Octets:
    """The octets that have gone through all sockets of one side."""

    received: int = 0
    sent: int = 0

    def counted(self, stream: Callable[[socket.socket], SocketStream]) -> Callable[[Any], SocketStream]:
        """Makes streams as ``stream`` does, over sockets whose octets are counted here."""
        return lambda sock: stream(MeteredSocket(sock, self))

    def came(self, size: int) -> None:
        self.received += size

    def left(self, size: int) -> None:
        self.sent += size


class MeteredSocket(socket.socket):
    """A connected non-blocking socket."""

    __slots__ = ("_octets",)

    def __init__(self, sock: socket.socket, octets: Octets) -> None:
        """Takes the place of ``sock``, which cannot be used from then on."""
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self._octets = octets

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(bufsize, flags)
        if not flags:  # with MSG_PEEK the octets are not taken
            self._octets.came(len(data))
        return data

    def send(self, data: Any, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        self._octets.left(sent)
        return sent
