"""Servers of a list that fail, on TCP and in both ways to read sockets; some of them speak LMTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from io_modes import MODES
from streams import LIMIT, TEXT
from tcp_peers import TcpPeer, TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import CommandQuestion, Config, Continue, Dialect, Route
from sansio_smtp.questions import AnyQuestion, AnyVerdict
from trio_proxy.driver.streams import SocketStream, Stream
from trio_proxy.routes.fleet import Fleet
from trio_proxy.text.destinations import Destination

both_modes = pytest.mark.parametrize("io", MODES)
CONFIG = Config(reconnect=True, failover=1)


class Servers:
    """Those of a list, in the order in which they are connected."""

    def __init__(self, *names: str) -> None:
        self._fleet = Fleet.of({None: [Destination.parse(name) for name in names]})
        self._send, self._connected = trio.open_memory_channel[None](9)
        self.settings: dict[str, Any] = {
            "groups": self._fleet.group,
            "upstream_tls": lambda _: None,
            "upstream_dialect": lambda name: Dialect.LMTP if name and "lmtp" in name else Dialect.SMTP,
            "connect": self._nobody,
            "connect_to": self._connect,
        }

    async def _nobody(self, _: SocketStream) -> Stream:
        raise AssertionError("a server that is none of the list")

    async def _connect(self, stream: SocketStream) -> Stream:
        self._send.send_nowait(None)
        return stream

    async def next(self, run: TcpRunning) -> TcpPeer:
        """The server that was connected last, when it is there."""
        with trio.fail_after(LIMIT):
            await self._connected.receive()
        return run.servers[-1]


@asynccontextmanager
async def session(clock: MockClock, io: str, servers: Servers, **settings: Any) -> AsyncIterator[TcpRunning]:
    config = settings.pop("config", CONFIG)
    async with over_tcp(clock, io=io, config=config, **servers.settings, **settings) as run:
        yield run
        run.client.close()


async def hello(run: TcpRunning, server: TcpPeer, said: bytes = b"EHLO") -> None:
    await server.send(b"220 mx")
    await run.client.expect(b"220 mx")
    await run.client.send(b"EHLO me")
    await server.expect(said + b" me")
    await server.send(b"250 mx")
    await run.client.expect(b"250-mx", b"250 PIPELINING")


async def message(run: TcpRunning, server: TcpPeer, *, begun: bool = False, recipients: int = 1) -> None:
    """As far as the dot. ``begun``: the client has sent MAIL."""
    client = run.client
    lines = [b"MAIL FROM:<a@me>", *(b"RCPT TO:<b%d@mx>" % number for number in range(recipients))]
    for number, line in enumerate(lines):
        if number or not begun:
            await client.send(line)
        await server.expect(line)
        await server.send(b"250 ok")
        await client.expect(b"250 ok")
    await client.send(b"DATA")
    await server.expect(b"DATA")
    await server.send(b"354 go on")
    await client.expect(b"354 go on")
    await client.raw(TEXT + b".\r\n")
    await server.expect(*TEXT.splitlines(), b".")


@both_modes
async def test_a_server_that_speaks_lmtp_takes_over(mock_clock: MockClock, io: str) -> None:
    servers = Servers("a.example", "lmtp://b.example:24")
    async with session(mock_clock, io, servers) as run:
        first = await servers.next(run)
        await hello(run, first)
        await message(run, first)
        await first.send(b"250 kept")
        await run.client.expect(b"250 kept")
        await run.client.send(b"MAIL FROM:<a@me>")
        await first.expect(b"MAIL FROM:<a@me>")
        first.close()
        second = await servers.next(run)
        await second.send(b"220 lmtp")
        await second.expect(b"LHLO me")
        await second.send(b"250 lmtp")
        await message(run, second, begun=True, recipients=2)
        await second.send(b"250 kept", b"250 kept")
        await run.client.expect(b"250 kept")


@both_modes
async def test_a_server_that_speaks_smtp_takes_over_from_lmtp(mock_clock: MockClock, io: str) -> None:
    servers = Servers("lmtp://b.example:24", "a.example")
    async with session(mock_clock, io, servers) as run:
        first = await servers.next(run)
        await first.send(b"220 lmtp")
        await run.client.expect(b"220 lmtp")
        await run.client.send(b"EHLO me")
        await first.expect(b"LHLO me")
        first.reset()
        second = await servers.next(run)
        await second.send(b"220 mx")
        await second.expect(b"EHLO me")
        await second.send(b"250 mx")
        await run.client.expect(b"250-mx", b"250 PIPELINING")
        await message(run, second)
        await second.send(b"250 kept")
        await run.client.expect(b"250 kept")


@both_modes
async def test_no_second_try_after_the_dot(mock_clock: MockClock, io: str) -> None:
    servers = Servers("lmtp://b.example:24", "a.example")
    async with session(mock_clock, io, servers) as run:
        first = await servers.next(run)
        await hello(run, first, b"LHLO")
        await message(run, first, recipients=2)
        await first.send(b"250 kept")  # for the first recipient
        first.close()
        await run.client.expect(b"451 4.4.2 upstream server was lost before it accepted the message")
        assert await run.client.rest() == b""
    assert len(run.servers) == 1


@both_modes
async def test_a_verdict_leads_to_a_server_that_speaks_lmtp(mock_clock: MockClock, io: str) -> None:
    servers = Servers("a.example", "b.example")

    async def judge(question: AnyQuestion) -> AnyVerdict:
        assert isinstance(question, CommandQuestion)
        return Route("lmtp://c.example:24") if b"<c@" in question.command.raw else Continue()

    async with session(mock_clock, io, servers, ask=frozenset({"MAIL"}), judge=judge) as run:
        await hello(run, await servers.next(run))
        await run.client.send(b"MAIL FROM:<c@me>")
        server = await servers.next(run)
        await server.send(b"220 lmtp")
        await server.expect(b"LHLO me")
        await server.send(b"250 lmtp")
        await server.expect(b"MAIL FROM:<c@me>")
        await server.send(b"250 ok")
        await run.client.expect(b"250 ok")
