"""A session between two scripted peers, over Trio's streams in memory: no socket, and no second passes.

Every wait has a deadline. Under `autojump_clock` a test that hangs fails at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing

from sansio_smtp import Side
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SEGMENT, Reader, Stream

StapledStream = trio.StapledStream[Any, Any]
Pair = tuple[StapledStream, StapledStream]

LIMIT = 5_000.0
"""Seconds of the mock clock: longer than every timeout of the product together."""
ENVELOPE = (b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>")
TEXT = b"Subject: hi\r\n\r\none\r\n..two\r\n"


def memory() -> Pair:
    """Takes all that is sent, at once."""
    return trio.testing.memory_stream_pair()


def lockstep() -> Pair:
    """Takes nothing that is not being read."""
    return trio.testing.lockstep_stream_pair()


class TrioStream:
    """A `trio_proxy.driver.streams.Stream` over one of Trio's streams; it remembers what was done to it."""

    def __init__(self, stream: StapledStream, at_most: int | None = None) -> None:
        self.stream = stream
        self.at_most = at_most
        """Octets of one write, as of a socket that is nearly full."""
        self.end: str | None = None
        self.received = 0
        self.writes: list[bytes] = []
        self.lost: OSError | None = None
        self.interrupts = 0
        self.kept = b""

    def hand_over(self, reader: Reader, side: Side) -> bool:
        return False

    def when_writable(self) -> bool:
        return False

    async def receive(self) -> bytes:
        if self.kept:
            data, self.kept = self.kept, b""
            return data
        interrupts = self.interrupts
        data = await self._received()
        if interrupts != self.interrupts:
            self.kept = data
            raise trio.ClosedResourceError
        return data

    async def _received(self) -> bytes:
        try:
            data = bytes(await self.stream.receive_some(SEGMENT))
        except trio.BrokenResourceError as error:
            raise ConnectionResetError("lost") from error
        if not data and self.lost:
            raise self.lost
        self.received += len(data)
        return data

    def interrupt(self) -> None:
        self.interrupts += 1

    def send_now(self, data: memoryview) -> int:
        return 0  # Trio's streams always wait

    async def send_some(self, data: memoryview) -> int:
        piece = bytes(data[: self.at_most])
        try:
            await self.stream.send_all(piece)
        except trio.BrokenResourceError as error:
            raise BrokenPipeError("lost") from error
        self.writes.append(piece)
        return len(piece)

    def is_lost(self) -> bool:
        return self.lost is not None

    def finish_sending(self) -> None:
        self.stream.send_stream.close()

    def close(self) -> None:
        self.end = self.end or "closed"
        self.stream.send_stream.close()
        self.stream.receive_stream.close()

    def abort(self) -> None:
        self.end = self.end or "reset"
        self.close()


class Peer:
    """The other end of a connection, played by the test."""

    def __init__(self, stream: StapledStream, session: TrioStream) -> None:
        self.stream = stream
        self.session = session
        """The session's end of the same connection."""
        self.buffer = bytearray()

    async def send(self, *lines: bytes) -> None:
        """Lines without their CRLF, at once."""
        await self.raw(b"".join(line + b"\r\n" for line in lines))

    async def raw(self, octets: bytes) -> None:
        with trio.fail_after(LIMIT):
            await self.stream.send_all(octets)

    async def line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not await self.more():
                raise EOFError(f"the connection ended after {bytes(self.buffer[-200:])!r}")
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    async def expect(self, *lines: bytes) -> None:
        """Exactly these lines come next. ``...`` at the end of one stands for whatever follows."""
        for line in lines:
            came = await self.line()
            begins = line.removesuffix(b"...")
            assert came.startswith(begins) if line != begins else came == line, (came, line)

    async def rest(self) -> bytes:
        """All that still comes up to the end of the connection."""
        while await self.more():
            pass
        return bytes(self.buffer)

    def half_close(self) -> None:
        self.stream.send_stream.close()

    def close(self) -> None:
        self.stream.send_stream.close()
        self.stream.receive_stream.close()

    def reset(self) -> None:
        self.session.lost = ConnectionResetError("reset by peer")
        self.close()

    async def more(self) -> bool:
        """Reads on; whether the connection has not ended."""
        with trio.fail_after(LIMIT):
            data = await self.stream.receive_some(SEGMENT)
        self.buffer += data
        return bool(data)


@attrs.define
class Running:
    """A session and its two peers."""

    session: Session
    client: Peer
    server: Peer
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancels the session from outside."""
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def until_ended(self) -> None:
        with trio.fail_after(LIMIT):
            await self.ended.wait()

    async def hello(self, *keywords: bytes) -> None:
        """Greeting and EHLO."""
        await self.server.send(b"220 mx.example ESMTP")
        await self.client.expect(b"220 mx.example ESMTP")
        await self.client.send(b"EHLO me.example")
        await self.server.expect(b"EHLO me.example")
        await self.server.send(b"250-mx.example", *(b"250-" + keyword for keyword in keywords), b"250 DSN")
        while (await self.client.line())[3:4] == b"-":
            pass

    async def envelope(self) -> None:
        """MAIL and RCPT, accepted."""
        for command in ENVELOPE:
            await self.client.send(command)
            await self.server.expect(command)
            await self.server.send(b"250 2.1.0 ok")
            await self.client.expect(b"250 2.1.0 ok")

    async def content(self) -> None:
        """All up to 354."""
        await self.envelope()
        await self.client.send(b"DATA")
        await self.server.expect(b"DATA")
        await self.server.send(b"354 go on")
        await self.client.expect(b"354 go on")

    async def message(self) -> None:
        """All up to end-of-data, unanswered."""
        await self.content()
        await self.client.raw(TEXT + b".\r\n")
        await self.server.expect(*TEXT.splitlines(), b".")


@asynccontextmanager
async def running(
    *,
    client: Callable[[], Pair] = memory,
    server: Callable[[], Pair] = memory,
    at_most: int | None = None,
    connect: Callable[[TrioStream], Awaitable[Stream]] | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Runs a session. At the end of the block it must end too, with both connections closed."""
    client_end, client_stream = client()
    server_end, server_stream = server()
    to_client, to_server = TrioStream(client_stream, at_most), TrioStream(server_stream, at_most)

    async def connects() -> Stream:
        return await connect(to_server) if connect else to_server

    session = Session(to_client, "peer", 1, Settings(connect=connects, **settings))
    running = Running(session, Peer(client_end, to_client), Peer(server_end, to_server))

    async def run() -> None:
        try:
            with running.scope:
                await session.run()
        finally:
            running.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield running
        await running.until_ended()
    assert to_client.end == "closed"
    assert to_server.end is not None or connect is not None
