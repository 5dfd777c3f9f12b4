"""For test_drivers_modes.py: dialogues through a proxy process, and everything that its two peers see. Client
and server are scripted, and run in the test's own thread, so that a dialogue always has the same outcome: the
octets that each of them got, and how its connection ended.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final, Literal

import attrs

__all__ = ["CLOSED", "Act", "Outcome", "Server", "Way", "played"]

SECONDS: Final = 30.0
"""The seconds after which a dialogue fails."""
_GREETING: Final = b"220 mx.example ESMTP\r\n"

Way = Literal["fin", "rst"]
"""How a peer ends its connection."""
CLOSED: Final = "closed"
"""A connection that has ended as TCP ends one."""
RESET: Final = "reset"
BY_US: Final = "reset by the peer that plays"


@attrs.frozen
class Act:
    """A step of the client, when it has got so many replies, and the server so many octets."""

    data: bytes = b""
    end: Way | None = None
    """How it ends its connection after that."""
    replies: int = 0
    arrived: int = 0
    """Octets at the server, of all connections."""
    connections: int = 0
    """To the server."""


@attrs.frozen
class Server:
    """The behaviour of the server. It answers each line as soon as it comes."""

    answers: dict[bytes, bytes] = attrs.field(factory=dict[bytes, bytes])
    """Verb → all that it sends in reply; ``b"."`` is end-of-data, ``b""`` the greeting."""
    ends: dict[bytes, Way] = attrs.field(factory=dict[bytes, Way])
    """Verb → how it ends the connection after the reply."""
    pipelining: bool = True
    cut: bool = False
    """True: it sends one octet at a time."""


@attrs.define
class Outcome:
    """The octets and ends that the peers have seen."""

    client: bytes = b""
    client_end: str = ""
    servers: list[tuple[bytes, str]] = attrs.field(factory=list[tuple[bytes, str]])
    """The octets and the end of each connection."""


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = bytearray()
        self.end = ""
        self.outgoing = bytearray()
        self.ended_by_us: Way | None = None
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def over(self) -> bool:
        return bool(self.end)

    def read(self) -> bytes:
        try:
            data = self.sock.recv(65_536)
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            self._over(RESET)
            return b""
        if not data:
            self._over(CLOSED)
        self.got += data
        return data

    def write(self, *, octets: int = 1 << 20) -> None:
        while self.outgoing and not self.over:
            try:
                sent = self.sock.send(self.outgoing[:octets])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self.outgoing.clear()
                return
            del self.outgoing[:sent]
        if self.ended_by_us == "fin" and not self.over:
            self.ended_by_us = None
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:  # it is reset
                return
        elif self.ended_by_us == "rst" and not self.over:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._over(BY_US)

    def _over(self, end: str) -> None:
        self.end = end
        self.sock.close()


class _Serving(_Connection):
    def __init__(self, sock: socket.socket, server: Server) -> None:
        super().__init__(sock)
        self.server = server
        self.read_up_to = 0
        self.in_content = False
        self.answer(b"", _GREETING)

    def read(self) -> bytes:
        data = super().read()
        self._lines()
        return data

    def _lines(self) -> None:
        while (end := self.got.find(b"\r\n", self.read_up_to)) >= 0:
            line = bytes(self.got[self.read_up_to : end])
            self.read_up_to = end + 2
            if self.in_content:
                if line == b".":
                    self.in_content = False
                    self.answer(b".", b"250 2.0.0 kept\r\n")
                continue
            verb = line.partition(b" ")[0].upper()
            usual = b"250 2.0.0 ok\r\n"
            if verb == b"EHLO":
                usual = b"250-mx.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
                if not self.server.pipelining:
                    usual = b"250-mx.example\r\n250 8BITMIME\r\n"
            elif verb == b"DATA":
                usual = b"354 go on\r\n"
            elif verb == b"QUIT":
                usual = b"221 2.0.0 bye\r\n"
            self.answer(verb, usual)
            if verb == b"QUIT" and verb not in self.server.answers:
                self.ended_by_us = "fin"

    def answer(self, verb: bytes, usual: bytes) -> None:
        reply = self.server.answers.get(verb, usual)
        self.outgoing += reply
        if verb == b"DATA":
            self.in_content = reply.startswith(b"354")
        if verb in self.server.ends and self.ended_by_us is None:
            self.ended_by_us = self.server.ends[verb]


def played(
    port: int,
    listener: socket.socket,
    acts: Iterable[Act],
    server: Server | None = None,
    *,
    between: Callable[[], None] = lambda: None,
) -> Outcome:
    """Plays a dialogue through the proxy that listens on ``port`` and uses ``listener`` as its server. Ends
    when all connections have ended. Raises AssertionError if that takes too long."""
    server = server or Server()
    waiting = list(acts)
    until = time.monotonic() + SECONDS
    listener.setblocking(False)
    servers: list[_Serving] = []
    with ExitStack() as stack:
        client = _Connection(stack.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS)))
        while not client.over or not all(each.over for each in servers):
            assert time.monotonic() < until, _stuck(client, servers, waiting)
            going: list[_Connection] = [each for each in (client, *servers) if not each.over]
            writing = [each.sock for each in going if each.outgoing]
            select.select([listener, *(each.sock for each in going)], writing, [], 0.05)
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                pass
            else:
                servers.append(_Serving(stack.enter_context(sock), server))
            for each in servers:
                if not each.over:
                    each.read()
                if not each.over:
                    each.write(octets=1 if server.cut else 1 << 20)
            if not client.over:
                client.read()
            while waiting and not client.over and _due(waiting[0], client, servers):
                act = waiting.pop(0)
                client.outgoing += act.data
                client.ended_by_us = act.end
                client.write()
                between()
            if not client.over:
                client.write()
    got = b"" if client.end == BY_US else bytes(client.got)
    return Outcome(got, client.end, [_seen(each) for each in servers])


def _seen(server: _Serving) -> tuple[bytes, str]:
    """The outcome of a connection, without details that may vary: how much comes before the test's peer
    resets the connection, how much of a dropped message comes, and if octets are read that the server sends
    while its connection is closed (if not, TCP answers with a reset)."""
    if server.end == BY_US:
        return b"", BY_US
    content = server.got.find(b"DATA\r\n")
    if server.end == RESET and server.in_content and content >= 0:
        return bytes(server.got[: content + 6]), RESET
    return bytes(server.got), CLOSED if server.server.cut else server.end


def _due(act: Act, client: _Connection, servers: list[_Serving]) -> bool:
    if client.outgoing:
        return False
    lines = bytes(client.got).split(b"\r\n")[:-1]
    replies = sum(line[3:4] != b"-" for line in lines)
    arrived = sum(len(each.got) for each in servers)
    return replies >= act.replies and arrived >= act.arrived and len(servers) >= act.connections


def _stuck(client: _Connection, servers: list[_Serving], waiting: list[Act]) -> str:
    seen = [bytes(each.got[-300:]) for each in servers]
    return f"the client got {bytes(client.got)!r} {client.end}, the servers {seen}; yet to come: {waiting}"
