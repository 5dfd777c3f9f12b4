"""Clients and a server that keep an account: what was each client told, and how often did its message come?

Each message has a number and a connection of its own. A client gives up at the first trouble: nothing is sent
twice, so whatever comes twice was doubled by the proxy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

SECONDS = 30.0
NUMBER = re.compile(rb"^X-Number: (\d+)\r\n", re.M)


@attrs.define
class Account:
    """What became of the messages."""

    taken: set[int] = attrs.field(factory=set[int])
    """Their clients were told 250."""
    not_connected: int = 0
    """Connections that were refused."""
    deferred: Counter[str] = attrs.field(factory=Counter[str])
    """Replies that were no success, in place of one."""
    cut: set[int | None] = attrs.field(factory=set[int | None])
    """Their clients saw an end or a reset in place of a reply."""
    arrived: Counter[int] = attrs.field(factory=Counter[int])
    """At the server, which said 250."""
    sent: int = 0

    def next(self) -> int:
        """The number of another message."""
        self.sent += 1
        return self.sent

    @property
    def lost(self) -> set[int]:
        return {number for number in self.taken if not self.arrived[number]}

    @property
    def doubled(self) -> set[int]:
        return {number for number, times in self.arrived.items() if times > 1}

    def __str__(self) -> str:
        return (
            f"{self.sent} messages: {len(self.taken)} told 250, {len(self.cut)} cut off, "
            f"{self.not_connected} connections refused, {sum(self.deferred.values())} deferred "
            f"({dict(self.deferred)}); lost {len(self.lost)}, doubled {len(self.doubled)}"
        )


class _Lines:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def until(self, end: bytes) -> bytes:
        """What comes, with this at its end."""
        while (place := self._buffer.find(end)) < 0:
            more = await self.stream.receive_some()
            if not more:
                raise EOFError
            self._buffer += more
        found, self._buffer = self._buffer[: place + len(end)], self._buffer[place + len(end) :]
        return found

    async def reply(self) -> bytes:
        while (line := await self.until(b"\r\n"))[3:4] == b"-":
            pass
        return line

    async def say(self, text: bytes, code: bytes) -> None:
        await self.stream.send_all(text)
        reply = await self.reply()
        if not reply.startswith(code):
            raise _Refused(reply.decode())


class _Refused(Exception):
    pass


@asynccontextmanager
async def upstream(account: Account) -> AsyncIterator[int]:
    """A server; gives its port."""

    async def serve(stream: trio.SocketStream) -> None:
        lines = _Lines(stream)
        try:
            await stream.send_all(b"220 mx.example ESMTP\r\n")
            while True:
                verb = (await lines.until(b"\r\n"))[:4].upper()
                if verb == b"EHLO":
                    await stream.send_all(b"250-mx.example\r\n250 PIPELINING\r\n")
                elif verb == b"DATA":
                    await stream.send_all(b"354 go on\r\n")
                    number = NUMBER.search(await lines.until(b"\r\n.\r\n"))
                    assert number
                    account.arrived[int(number[1])] += 1
                    await stream.send_all(b"250 2.0.0 kept\r\n")
                elif verb == b"QUIT":
                    await stream.send_all(b"221 2.0.0 bye\r\n")
                    return
                else:
                    await stream.send_all(b"250 2.0.0 ok\r\n")
        except (EOFError, trio.BrokenResourceError):
            pass
        finally:
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def send(account: Account, port: int, pause: float = 0, messages: int = 1) -> None:
    """Messages on one connection; ``pause`` comes between their commands."""
    with trio.fail_after(SECONDS):
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            account.not_connected += 1
            return
        number = None
        try:
            lines = _Lines(stream)
            await lines.say(b"", b"220")
            await lines.say(b"EHLO me.example\r\n", b"250")
            for _ in range(messages):
                number = account.next()
                await trio.sleep(pause)
                await lines.say(b"MAIL FROM:<a@example.com>\r\n", b"250")
                await lines.say(b"RCPT TO:<b@example.com>\r\n", b"250")
                await lines.say(b"DATA\r\n", b"354")
                await trio.sleep(pause)
                await lines.say(b"X-Number: %d\r\n\r\nhello\r\n.\r\n" % number, b"250")
                account.taken.add(number)
            await lines.say(b"QUIT\r\n", b"221")
        except _Refused as refusal:
            account.deferred[str(refusal)[:7]] += 1
        except (EOFError, trio.BrokenResourceError):
            if number not in account.taken:
                account.cut.add(number)
        finally:
            await stream.aclose()


@asynccontextmanager
async def load(
    account: Account, port: int, clients: int = 8, pause: float = 0.02, messages: int = 1
) -> AsyncIterator[None]:
    """So many clients make one connection after the other, for so many messages each, as long as this lasts;
    the last ones are finished."""
    goes_on = True

    async def client(pause: float) -> None:
        while goes_on:
            before = account.not_connected
            await send(account, port, pause, messages)
            if account.not_connected > before:
                await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, pause * (1 + number % 3))
        yield
        goes_on = False
