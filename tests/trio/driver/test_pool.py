"""Connections to servers that serve one client after another: kept, taken, given up."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from io_modes import MODES
from tcp_peers import QUIET, TICK, TcpPeer, no_descriptor_is_left, tcp
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import Config, Dialect
from trio_proxy.driver.pool import Kept, Pool
from trio_proxy.driver.reactor import Reactor
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, Stream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

IDLE = 30.0
both_modes = pytest.mark.parametrize("io", MODES)


@attrs.define
class Service:
    """Runs sessions one after another; ``servers`` are the far ends of the connections that were made."""

    settings: Settings
    pool: Pool
    reactor: Reactor | None
    nursery: trio.Nursery
    opened: ExitStack
    servers: list[TcpPeer]
    clients: int = 0

    def pair(self) -> tuple[TcpPeer, SocketStream]:
        peer, stream = tcp(stream=SocketStream if self.reactor is None else self.reactor.stream)
        self.opened.callback(peer.close)
        self.opened.callback(stream.sock.close)
        return peer, stream

    async def client(self) -> TcpPeer:
        """A new client."""
        self.clients += 1
        client, stream = self.pair()
        self.nursery.start_soon(Session(stream, "peer", self.clients, self.settings).run)
        return client

    async def greeted(self, number: int = 0) -> TcpPeer:
        """A client that a new server has greeted."""
        client = await self.client()
        await wait_all_tasks_blocked(QUIET)
        await self.servers[number].send(b"220 mx number %d" % number)
        await client.expect(b"220 mx number %d" % number)
        return client


@asynccontextmanager
async def service(
    clock: MockClock, io: str, *, most: int = 2, uses: int = 100, dialect: Dialect = Dialect.SMTP
) -> AsyncIterator[Service]:
    clock.autojump_threshold = QUIET
    with no_descriptor_is_left(), ExitStack() as opened:
        reactor = Reactor(tick=TICK) if io == "reactor" else None
        pool = Pool(most, IDLE, uses)
        servers: list[TcpPeer] = []

        async def connect() -> Stream:
            peer, stream = made.pair()
            servers.append(peer)
            return stream

        settings = Settings(
            connect=connect,
            reactor=reactor,
            pool=pool,
            config=Config(keep=True),
            upstream_dialect=lambda _: dialect,
            upstream_tls=lambda _: None,
        )
        async with trio.open_nursery() as nursery:
            made = Service(settings, pool, reactor, nursery, opened, servers)
            if reactor is not None:
                await nursery.start(reactor.run)
            await nursery.start(pool.serve)
            yield made
            nursery.cancel_scope.cancel()


async def quits(client: TcpPeer, server: TcpPeer) -> None:
    await client.send(b"QUIT")
    await server.expect(b"RSET")
    await server.send(b"250 reset")
    await client.expect(b"221 2.0.0 bye")
    await wait_all_tasks_blocked(QUIET)


async def introduced(client: TcpPeer, server: TcpPeer, name: bytes) -> None:
    await client.send(b"EHLO " + name)
    await server.expect(b"EHLO " + name)
    await server.send(b"250 mx")
    await client.expect(b"250-mx", b"250 PIPELINING")


@both_modes
async def test_the_next_client_gets_it(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        for number in range(3):
            client = await (made.client() if number else made.greeted())
            if number:
                await client.expect(b"220 mx number 0")
            await introduced(client, made.servers[0], b"client-%d" % number)
            await quits(client, made.servers[0])
            assert len(made.pool) == 1
        assert len(made.servers) == 1


@both_modes
async def test_a_server_that_speaks_lmtp_does_so_to_the_next_client(
    autojump_clock: MockClock, io: str
) -> None:
    async with service(autojump_clock, io, dialect=Dialect.LMTP) as made:
        for number in range(2):
            client = await (made.client() if number else made.greeted())
            if number:
                await client.expect(b"220 mx number 0")
            await client.send(b"EHLO me")
            await made.servers[0].expect(b"LHLO me")
            await made.servers[0].send(b"250 mx")
            await client.expect(b"250-mx", b"250 PIPELINING")
            await quits(client, made.servers[0])
        assert len(made.servers) == 1


@both_modes
async def test_two_at_the_same_time_have_two(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        first, second = await made.greeted(0), await made.greeted(1)
        await quits(first, made.servers[0])
        await quits(second, made.servers[1])
        assert len(made.pool) == 2
        third = await made.client()
        await third.expect(b"220 mx number 1")  # the one that was used last
        fourth = await made.client()
        await fourth.expect(b"220 mx number 0")
        assert len(made.pool) == 0


@both_modes
async def test_no_more_are_kept_than_was_said(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io, most=1) as made:
        first, second = await made.greeted(0), await made.greeted(1)
        await quits(first, made.servers[0])
        await quits(second, made.servers[1])
        assert await made.servers[0].rest() == b"QUIT\r\n"
        assert len(made.pool) == 1
        await (await made.client()).expect(b"220 mx number 1")


@both_modes
@pytest.mark.parametrize("farewell", [b"", b"421 4.4.2 idle\r\n"])
async def test_one_that_the_server_closes_is_dropped_at_once(
    autojump_clock: MockClock, io: str, farewell: bytes
) -> None:
    async with service(autojump_clock, io) as made:
        await quits(await made.greeted(), made.servers[0])
        if farewell:
            await made.servers[0].raw(farewell)
        else:
            made.servers[0].half_close()
        await wait_all_tasks_blocked(QUIET)
        assert len(made.pool) == 0
        await made.greeted(1)


@both_modes
async def test_one_that_is_reset_is_dropped_at_once(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        await quits(await made.greeted(), made.servers[0])
        made.servers[0].reset()
        await wait_all_tasks_blocked(QUIET)
        assert len(made.pool) == 0


@both_modes
async def test_the_client_does_not_notice_that_it_is_gone(autojump_clock: MockClock, io: str) -> None:
    """The server leaves when the next client has had its greeting."""
    async with service(autojump_clock, io) as made:
        first, second = await made.greeted(0), await made.greeted(1)
        await quits(first, made.servers[0])
        await quits(second, made.servers[1])
        client = await made.client()
        await client.expect(b"220 mx number 1")
        await client.send(b"EHLO me")
        await made.servers[1].expect(b"EHLO me")
        made.servers[1].half_close()
        await wait_all_tasks_blocked(QUIET)
        await made.servers[2].send(b"220 mx")  # a new one: the other that was kept may be gone too
        await made.servers[2].expect(b"EHLO me")
        await made.servers[2].send(b"250 mx")
        await client.expect(b"250-mx", b"250 PIPELINING")


@both_modes
async def test_it_is_idle_for_too_long(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        await quits(await made.greeted(), made.servers[0])
        before = trio.current_time()
        assert await made.servers[0].rest() == b"QUIT\r\n"
        assert IDLE - 1 <= trio.current_time() - before <= IDLE + 1
        assert len(made.pool) == 0


@both_modes
async def test_it_has_served_enough(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io, uses=2) as made:
        await quits(await made.greeted(), made.servers[0])
        client = await made.client()
        await client.expect(b"220 mx number 0")
        await quits(client, made.servers[0])
        assert await made.servers[0].rest() == b"QUIT\r\n"
        assert len(made.pool) == 0


@both_modes
async def test_the_service_stops(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        await quits(await made.greeted(), made.servers[0])
        made.pool.stop()
        assert await made.servers[0].rest() == b"QUIT\r\n"
        stream = made.pair()[1]
        made.pool.put("key", Kept(stream, b"220 mx\r\n"))
        assert stream.sock.fileno() == -1


@both_modes
async def test_an_end_that_is_not_clean_is_not_kept(autojump_clock: MockClock, io: str) -> None:
    async with service(autojump_clock, io) as made:
        client = await made.greeted()
        client.close()
        assert await made.servers[0].rest() == b""
        assert len(made.pool) == 0


async def test_keys_are_kept_apart_and_are_not_without_number(autojump_clock: MockClock) -> None:
    async with service(autojump_clock, "tasks", most=1) as made:
        streams: dict[Any, SocketStream] = {}
        for key in range(101):
            streams[key] = made.pair()[1]
            made.pool.put(key, Kept(streams[key], b"220 mx\r\n"))
        assert len(made.pool) == 100
        assert streams[100].sock.fileno() == -1
        for key in range(100):
            kept = made.pool.take(key)
            assert kept is not None
            assert (kept.stream, kept.uses) == (streams[key], 2)
            assert made.pool.take(key) is None
            kept.stream.close()
        assert len(made.pool) == 0
