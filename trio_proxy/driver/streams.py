"""Byte streams for Trio: non-blocking sockets, with a small interface that a TLS stream also implements.

`trio.SocketStream` checks more than is needed here and costs about twice as much for each message. These
streams try the system call first, and wait only when the kernel says so.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Final, Protocol

import attrs
import trio

from sansio_smtp import Side
from trio_proxy.text.addresses import Address

__all__ = [
    "NOWHERE",
    "SEGMENT",
    "USUAL",
    "Connecting",
    "Reader",
    "SocketStream",
    "Stream",
    "connect",
    "connect_now",
    "set_no_delay",
]

USUAL = 65_536
"""The octets of one read until a read is full. Python allocates the whole buffer, and frees what it does not
need. Buffers of 128 KiB fragment the memory of the C library, which grew by 0.8 MiB in 200,000 messages. This
size does not."""
SEGMENT = 131_072
"""The octets of one read after a full one. Smaller reads need more calls, larger ones do not fit the
processor's cache. 10 MiB cost 1.7 times as much as with HAProxy, and 2.0 times with reads of 64 KiB."""
_EAGER_READS = 8
_NON_BLOCKING: Final = getattr(socket, "SOCK_NONBLOCK", 0)
"""Makes a new socket non-blocking, which saves a system call. 0 if the system cannot do that."""


class Reader(Protocol):
    """Gets the input of a session's connections, without a task of its own. Its methods raise nothing."""

    def take(self, side: Side, data: bytes) -> bool:
        """Takes some octets, or none at the end of input. Returns True if more may be given at once;
        otherwise nothing is given before the next `Stream.hand_over`."""
        ...

    def lose(self, side: Side, error: OSError) -> None:
        """A read has found that the connection is lost."""

    def gone(self, side: Side) -> None:
        """The connection was lost while it was not read. There may still be octets to read."""

    def writable(self, side: Side) -> None:
        """There is room to write: see `Stream.when_writable`."""


class Stream(Protocol):
    """A connection, as a session uses it."""

    def hand_over(self, reader: Reader, side: Side) -> bool:
        """Gives all further input to this reader, as long as it accepts it. Returns False if the stream
        cannot do that, and a task has to call `receive`."""
        ...

    def when_writable(self) -> bool:
        """After `send_now` has not sent everything: tells the reader once, when more can be sent. Returns
        False if the stream cannot do that, and a task has to call `send_some`."""
        ...

    async def receive(self) -> bytes:
        """Some octets; empty at the end. Raises OSError if the connection is lost, and
        trio.ClosedResourceError if this side has closed it, or after `interrupt`."""
        ...

    def interrupt(self) -> None:
        """Reserves further input for another reader. A task that is waiting in `receive` gets none of it, but
        gets trio.ClosedResourceError as soon as there is input. Raises nothing."""

    def send_now(self, data: bytes | memoryview) -> int:
        """Sends what can be sent without waiting, and returns the number of octets, maybe 0. The rest must be
        sent next. Raises OSError."""
        ...

    async def send_some(self, data: memoryview) -> int:
        """Sends at least one octet of ``data`` and returns the number, like `send_now`. Raises OSError."""
        ...

    def is_lost(self) -> bool:
        """Returns True if the peer has reset the connection, or closed it in both directions; False if it has
        only ended its sending, or octets of it are still to be read. Raises nothing."""
        ...

    def finish_sending(self) -> None:
        """Tells the peer that nothing more will come. Raises nothing."""

    def close(self) -> None:
        """Closes the connection. Raises nothing."""

    def abort(self) -> None:
        """Closes so that the peer sees a reset, not an end. Raises nothing."""


@attrs.define(eq=False)
class SocketStream:
    """A `Stream` over a connected non-blocking socket."""

    sock: socket.socket
    _most: int = attrs.field(default=USUAL, init=False)
    """The most octets of the next read."""
    _eager: int = attrs.field(default=0, init=False)
    _interrupts: int = attrs.field(default=0, init=False)

    def hand_over(self, reader: Reader, side: Side) -> bool:
        return False

    def when_writable(self) -> bool:
        return False

    async def receive(self) -> bytes:
        if self._eager > 0:
            # The last read filled the buffer: there is probably more. Limited, because a read that does not
            # wait gives no other task its turn.
            self._eager -= 1
            try:
                data = self.sock.recv(SEGMENT)
            except BlockingIOError:
                self._eager = 0
            else:
                if len(data) < SEGMENT:
                    self._eager, self._most = 0, USUAL
                return data
        interrupts = self._interrupts
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            if interrupts != self._interrupts:
                raise trio.ClosedResourceError("another task reads this connection now")
            most = self._most
            try:
                data = self.sock.recv(most)
            except BlockingIOError:  # pragma: no cover - a readiness that was not true
                continue
            self._eager, self._most = (0, USUAL) if len(data) < most else (_EAGER_READS, SEGMENT)
            return data

    def interrupt(self) -> None:
        self._interrupts += 1

    def send_now(self, data: bytes | memoryview) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    async def send_some(self, data: memoryview) -> int:
        while not (sent := self.send_now(data)):
            await trio.lowlevel.wait_writable(self.sock)
        return sent

    def is_lost(self) -> bool:
        if self.sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.sock, 0)  # with 0 it reports errors and hang-ups, but no end of input
        return bool(poll.poll(0))

    async def receive_some(self, most: int, end: bytes = b"") -> bytes:
        """At most ``most`` octets, and none after the first ``end``: the rest is for the next reader. Empty
        at the end of input. Raises OSError if the connection is lost."""
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                data = self.sock.recv(most, socket.MSG_PEEK)
            except BlockingIOError:  # pragma: no cover - a readiness that was not true
                continue
            wanted = data.find(end) + len(end) if end and end in data else len(data)
            return self.sock.recv(wanted) if wanted else b""

    def finish_sending(self) -> None:
        with suppress(OSError):  # the peer has gone already
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()

    def abort(self) -> None:
        if self.sock.fileno() >= 0 and self.sock.family != socket.AF_UNIX:
            # Linger on, zero seconds: the kernel drops what is unsent and sends RST.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class _Nowhere:
    """Used while there is no connection."""

    def hand_over(self, reader: Reader, side: Side) -> bool:
        return False

    def when_writable(self) -> bool:
        return False

    async def receive(self) -> bytes:
        return b""

    def interrupt(self) -> None: ...

    def send_now(self, data: bytes | memoryview) -> int:
        return len(data)

    async def send_some(self, data: memoryview) -> int:
        return len(data)

    def is_lost(self) -> bool:
        return False

    def finish_sending(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


NOWHERE: Final[Stream] = _Nowhere()


async def connect(
    address: Address, stream: Callable[[socket.socket], SocketStream] = SocketStream
) -> SocketStream:
    """Connects to the address, and tries in turn the addresses that its name resolves to. ``stream`` makes
    its stream. Raises OSError."""
    return stream(await _connected(address))


def connect_now(
    address: Address, stream: Callable[[socket.socket], SocketStream] = SocketStream
) -> SocketStream | Connecting | None:
    """The same without waiting: returns a connection, or one that is being made. None for a name, because
    resolving takes time. Raises OSError."""
    if address.path is not None:
        place: tuple[int, object] | None = socket.AF_UNIX, address.path
    else:
        place = _literal(address.host, address.port) if address.host else None
    if place is None:
        return None
    sock, connected = _begin_to_connect(*place)
    return stream(sock) if connected else Connecting(sock, stream)


@attrs.frozen(eq=False)
class Connecting:
    """A connection that is being made. Await `connected` or call `close`."""

    _sock: socket.socket
    _stream: Callable[[socket.socket], SocketStream]

    async def connected(self) -> SocketStream:
        """Raises OSError if the connection cannot be made."""
        return self._stream(await _until_connected(self._sock))

    def close(self) -> None:
        self._sock.close()


async def _connected(address: Address) -> socket.socket:
    if address.path is not None:
        return await _connect(socket.AF_UNIX, address.path)
    if address.host and (literal := _literal(address.host, address.port)):
        return await _connect(*literal)
    error: OSError | None = None
    try:
        found = await trio.socket.getaddrinfo(
            address.host or "localhost", address.port, type=socket.SOCK_STREAM
        )
    except UnicodeError as failure:  # two dots in a row, a label that is too long
        raise OSError(f"{address.host!r} is no host name") from failure
    for family, _, _, _, where in found:
        try:
            return await _connect(family, where)
        except OSError as failure:
            error = error or failure
    raise error or OSError(f"{address.host} has no address")


@lru_cache(maxsize=256)  # a connection costs 9 µs with getaddrinfo, 0.1 without
def _literal(host: str, port: int) -> tuple[int, object] | None:
    """The family and the place of an IP address; None for a name, and for an address with a zone."""
    places: tuple[tuple[int, object], ...] = (
        (socket.AF_INET, (host, port)),
        (socket.AF_INET6, (host, port, 0, 0)),
    )
    for family, where in places:
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return family, where
    return None


async def _connect(family: int, where: object) -> socket.socket:
    sock, connected = _begin_to_connect(family, where)
    return sock if connected else await _until_connected(sock)


def _begin_to_connect(family: int, where: object) -> tuple[socket.socket, bool]:
    """A socket, and True if it is already connected. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM | _NON_BLOCKING)
    try:
        if not _NON_BLOCKING:
            sock.setblocking(False)
        if family != socket.AF_UNIX:  # `set_no_delay` asks the socket, which makes an `Enum` of it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(where)  # type: ignore[arg-type]  # what getaddrinfo gives, connect takes
        except BlockingIOError:
            if not _is_connected(sock):
                return sock, False
            _check_connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock, True


async def _until_connected(sock: socket.socket) -> socket.socket:
    try:
        await trio.lowlevel.wait_writable(sock)
        _check_connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_connected(sock: socket.socket) -> None:
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _is_connected(sock: socket.socket) -> bool:
    """Returns True if the connection is already made, as to a server on this machine, although the kernel has
    not said so. This takes one system call in place of four, and saves a turn of the task."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def set_no_delay(sock: socket.socket) -> None:
    """Sends small writes at once; otherwise each would wait for a delayed acknowledgement (44 ms). Accepted
    sockets inherit this option from the listener."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
