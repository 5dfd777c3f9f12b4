"""`Line`: one connection of a scripted peer, on TCP or in memory; and the session's end of one in memory."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import trio
import trio.testing

from sansio_smtp import Side
from trio_proxy.driver.streams import SEGMENT, Reader

__all__ = ["Gone", "Line", "MemoryStream", "in_memory", "over_tcp"]


class Gone(Exception):
    """The connection has ended, by either side."""


@attrs.define(eq=False)
class Line:
    """The peer's end of a connection. What fails because it has ended raises `Gone`."""

    raw: trio.abc.Stream
    """What carries the octets, under TLS too."""
    _shut: Callable[[], None]
    """Ends the sending, and nothing else."""
    _reset: Callable[[], None]
    """Ends all, so that the other side sees a reset."""
    _stream: trio.abc.Stream = attrs.field(init=False)
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _is_closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._stream = self.raw

    async def send(self, data: bytes) -> None:
        with _gone():
            await self._stream.send_all(data)

    async def line(self) -> bytes:
        """Without its CRLF."""
        return (await self.until(b"\r\n"))[:-2]

    async def until(self, end: bytes) -> bytes:
        """All up to and with these octets."""
        at = 0
        while (found := self._buffer.find(end, at)) < 0:
            at = max(0, len(self._buffer) - len(end))
            await self._more()
        return self._cut(found + len(end))

    async def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        return self._cut(count)

    async def at_least(self, count: int) -> None:
        """Returns when so many octets wait to be read."""
        while len(self._buffer) < count:
            await self._more()

    def begins_with(self, octets: bytes) -> bool:
        """Returns True if these wait to be read."""
        return self._buffer.startswith(octets)

    async def until_gone(self) -> None:
        """Drops all that comes."""
        with suppress(Gone):
            while True:
                await self._more()

    async def encrypt(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        stream = trio.SSLStream(self._stream, context, server_side=server_side, https_compatible=True)
        self._buffer.clear()
        with _gone():
            await stream.do_handshake()
        self._stream = stream

    def half_close(self) -> None:
        with suppress(OSError):
            self._shut()

    def reset(self) -> None:
        if not self._is_closed:
            self._reset()
            self._is_closed = True

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await trio.aclose_forcefully(self.raw)

    async def _more(self) -> None:
        with _gone():
            data = await self._stream.receive_some(SEGMENT)
        if not data:
            raise Gone
        self._buffer += data

    def _cut(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data


class _gone:  # noqa: N801 - a context manager
    """Makes `Gone` of all ways in which streams say it; cheaper than a generator."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError | OSError):
            raise Gone from error


def over_tcp(stream: trio.SocketStream) -> Line:
    sock = stream.socket

    def reset() -> None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    return Line(stream, lambda: sock._sock.shutdown(socket.SHUT_WR), reset)  # type: ignore[attr-defined]


def in_memory() -> tuple[Line, MemoryStream]:
    """A peer's end, and the session's end of the same connection."""
    far, near = trio.testing.memory_stream_pair()
    ours = MemoryStream(near)

    def reset() -> None:
        ours.lost = ConnectionResetError("reset by peer")
        far.send_stream.close()
        far.receive_stream.close()

    return Line(far, far.send_stream.close, reset), ours


class MemoryStream:
    """A `trio_proxy.driver.streams.Stream` over one of Trio's streams in memory."""

    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self._stream = stream
        self._interrupts = 0
        self._kept = b""
        self.lost: OSError | None = None

    def hand_over(self, reader: Reader, side: Side) -> bool:
        return False

    def when_writable(self) -> bool:
        return False

    async def receive(self) -> bytes:
        if self._kept:
            data, self._kept = self._kept, b""
            return data
        interrupts = self._interrupts
        try:
            data = bytes(await self._stream.receive_some(SEGMENT))
        except trio.BrokenResourceError as error:
            raise ConnectionResetError("lost") from error
        if self.lost:  # octets that were not read are lost with the connection
            raise self.lost
        if interrupts != self._interrupts:
            self._kept = data
            raise trio.ClosedResourceError
        return data

    def interrupt(self) -> None:
        self._interrupts += 1

    def send_now(self, data: bytes | memoryview) -> int:
        return 0  # Trio's streams always wait

    async def send_some(self, data: memoryview) -> int:
        try:
            await self._stream.send_all(bytes(data))
        except trio.BrokenResourceError as error:
            raise BrokenPipeError("lost") from error
        return len(data)

    def is_lost(self) -> bool:
        return self.lost is not None

    def finish_sending(self) -> None:
        self._stream.send_stream.close()

    def close(self) -> None:
        self._stream.send_stream.close()
        self._stream.receive_stream.close()

    def abort(self) -> None:
        self.close()
