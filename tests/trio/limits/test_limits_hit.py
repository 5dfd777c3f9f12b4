"""A service whose limits of networks hold for loopback too."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import trio

from sansio_smtp import Networks
from trio_proxy.driver.listening import listening
from trio_proxy.driver.server import Server
from trio_proxy.driver.streams import SocketStream, Stream, connect
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.rates import Rate
from trio_proxy.limits.table import CONNECTION_RATE, Limit
from trio_proxy.text.addresses import Address

Logs = list[MutableMapping[str, Any]]
SECONDS = 30.0


class Waits:
    """A session that says hello and waits for the client to go."""

    def __init__(self, client: Stream, peer: str, number: int) -> None:
        self.client = client

    async def run(self) -> None:
        await self.client.send_some(memoryview(b"hello"))
        await self.client.receive()
        self.client.close()

    def shutdown(self, *, now: bool = False) -> None:
        self.client.close()


@asynccontextmanager
async def serving(
    rates: dict[Limit, Rate | None], **limits: Any
) -> AsyncIterator[tuple[Guard, tuple[str, int]]]:
    hits = Hits(lambda: 0.0)
    guard = Guard(hits, lambda: 0.0, rates=rates, exempt=Networks(), **limits)
    stop = trio.Event()
    with ExitStack() as stack, trio.fail_after(SECONDS):
        sockets: list[socket.socket] = stack.enter_context(listening(Address("127.0.0.1", 0)))
        server = Server(session=Waits, guard=guard, hits=hits, grace=0.1)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, sockets, stop)
            yield guard, sockets[0].getsockname()
            stop.set()


async def hears(address: tuple[str, int]) -> tuple[SocketStream, bytes]:
    client = await connect(Address(*address))
    return client, await client.receive()


async def test_a_network_has_so_many_connections(logs: Logs) -> None:
    async with serving({}, connections=2) as (guard, address):
        clients = [await hears(address) for _ in range(4)]
        refused = b"421 4.7.0 too many connections from your network, try again later\r\n"
        assert [heard for _, heard in clients] == [b"hello", b"hello", refused, refused]
        network = guard.network_of("127.0.0.1")
        assert dict(guard.open) == {network: 2}
        for client, _ in clients:
            client.close()
        while guard.open:
            await trio.lowlevel.checkpoint()
    assert guard.hits.counts == {"network-connections": 2}
    assert [(entry["event"], entry["network"]) for entry in logs] == [
        ("too many connections of one network", "127.0.0.1")
    ]


async def test_a_network_has_so_many_new_connections(logs: Logs) -> None:
    async with serving({CONNECTION_RATE: Rate(3, 60)}) as (guard, address):
        for _ in range(3):
            client, heard = await hears(address)
            client.close()
            assert heard == b"hello"
        client, heard = await hears(address)
        client.close()
        assert heard == b"421 4.7.0 too many new connections from your network, try again later\r\n"
    assert guard.hits.counts == {"connection-rate": 1}
    assert [entry["event"] for entry in logs] == ["too many new connections of one network"]
