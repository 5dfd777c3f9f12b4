"""A session whose server fails while another of its list can be used: what the client and servers see."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from streams import LIMIT, TEXT, Peer, TrioStream, memory
from trio.testing import MockClock

from sansio_smtp import Config
from trio_proxy.driver.session import Session
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.routes.fleet import Fleet
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.destinations import Destination

Logs = list[MutableMapping[str, Any]]
CONFIG = Config(reconnect=True, failover=1)
GREETING = b"220 mx.example ESMTP"


@attrs.define
class World:
    """Two servers, a and b, and sessions that use them."""

    settings: Settings = attrs.field(init=False)
    down: set[str] = attrs.field(factory=set[str])
    _made: dict[str, list[Peer]] = attrs.field(factory=dict[str, list[Peer]])
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        fleet = Fleet.of({None: [Destination.parse("a"), Destination.parse("b")]})
        self.settings = Settings(
            connect=self._nobody,
            connect_to=self._connect,
            groups=fleet.group,
            config=CONFIG,
            timeouts=Timeouts(greeting=20),
        )

    async def _nobody(self) -> Stream:
        raise AssertionError

    async def _connect(self, upstream: str) -> Stream:
        if upstream in self.down:
            raise ConnectionRefusedError("Connection refused")
        end, stream = memory()
        session = TrioStream(stream)
        self._made.setdefault(upstream, []).append(Peer(end, session))
        self._changed.set()
        self._changed = trio.Event()
        return session

    async def server(self, name: str, number: int = 1) -> Peer:
        """The far end of a connection to this server, when it is there."""
        with trio.fail_after(LIMIT):
            while len(self._made.get(f"{name}:25", [])) < number:
                await self._changed.wait()
        return self._made[f"{name}:25"][number - 1]

    def connections(self, name: str) -> int:
        return len(self._made.get(f"{name}:25", []))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Peer]:
        """A client with a session, which must have ended at the end of the block."""
        end, stream = memory()
        session = TrioStream(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Session(session, "peer", 1, self.settings).run)
            yield Peer(end, session)
        assert session.end == "closed"


async def say_quit(client: Peer, server: Peer) -> None:
    await client.send(b"QUIT")
    await server.expect(b"QUIT")
    await server.send(b"221 2.0.0 bye")
    assert await client.rest() == b"221 2.0.0 bye\r\n"
    client.close()


async def greet(client: Peer, server: Peer) -> None:
    await server.send(GREETING)
    await client.expect(GREETING)
    await client.send(b"EHLO me.example")
    await server.expect(b"EHLO me.example")
    await server.send(b"250 mx.example")
    await client.expect(b"250-mx.example", b"250 PIPELINING")


async def test_a_greeting_that_refuses(autojump_clock: MockClock, logs: Logs) -> None:
    world = World()
    async with world.client() as client:
        await (await world.server("a")).send(b"421 4.3.2 full")
        second = await world.server("b")
        await greet(client, second)
        await say_quit(client, second)
    async with world.client() as client:  # the first is left out
        second = await world.server("b", 2)
        await greet(client, second)
        await say_quit(client, second)
    assert world.connections("a") == 1
    assert [line["event"] for line in logs] == [
        "upstream server is left out",
        "upstream server cannot be used",
    ]


async def test_a_server_that_does_not_greet(autojump_clock: MockClock) -> None:
    world = World()
    async with world.client() as client:
        await world.server("a")
        second = await world.server("b")
        await greet(client, second)
        assert 20 <= trio.current_time() <= 21
        await say_quit(client, second)


async def test_ehlo_that_is_not_answered(autojump_clock: MockClock) -> None:
    world = World()
    async with world.client() as client:
        first = await world.server("a")
        await first.send(GREETING)
        await client.expect(GREETING)
        await client.send(b"EHLO me.example")
        await first.expect(b"EHLO me.example")
        first.close()
        second = await world.server("b")
        await second.send(GREETING)
        await second.expect(b"EHLO me.example")
        await second.send(b"250 mx.example")
        await client.expect(b"250-mx.example", b"250 PIPELINING")
        await say_quit(client, second)


async def test_a_server_that_goes_between_messages(autojump_clock: MockClock, logs: Logs) -> None:
    world = World()
    async with world.client() as client:
        first = await world.server("a")
        await greet(client, first)
        await _message(client, first)
        first.close()
        world.down.add("a:25")
        await client.send(b"MAIL FROM:<a@me.example>")
        server = await world.server("b")
        await server.send(GREETING)
        await server.expect(b"EHLO me.example")
        await server.send(b"250 mx.example")
        await _message(client, server, begun=True)
        await say_quit(client, server)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []


async def test_servers_that_go_in_turn(autojump_clock: MockClock, logs: Logs) -> None:
    """A server that has taken over can be used: if it fails too, the one before it may be up again."""
    world = World()
    async with world.client() as client:
        server = await world.server("a")
        await greet(client, server)
        await _message(client, server)
        for name, number in (("b", 1), ("a", 2), ("b", 2)):
            server.close()
            world.down = {"a:25", "b:25"} - {f"{name}:25"}
            await client.send(b"MAIL FROM:<a@me.example>")
            server = await world.server(name, number)
            await server.send(GREETING)
            await server.expect(b"EHLO me.example")
            await server.send(b"250 mx.example")
            await _message(client, server, begun=True)
        await say_quit(client, server)
    assert [line["event"] for line in logs if "used again" in line["event"]] == [
        "upstream server can be used again"
    ] * 2


async def _message(client: Peer, server: Peer, *, begun: bool = False) -> None:
    if not begun:
        await client.send(b"MAIL FROM:<a@me.example>")
    await server.expect(b"MAIL FROM:<a@me.example>")
    await server.send(b"250 2.1.0 ok")
    await client.expect(b"250 2.1.0 ok")
    await client.send(b"RCPT TO:<b@mx.example>")
    await server.expect(b"RCPT TO:<b@mx.example>")
    await server.send(b"250 2.1.5 ok")
    await client.expect(b"250 2.1.5 ok")
    await client.send(b"DATA")
    await server.expect(b"DATA")
    await server.send(b"354 go on")
    await client.expect(b"354 go on")
    await client.raw(TEXT + b".\r\n")
    await server.expect(*TEXT.splitlines(), b".")
    await server.send(b"250 2.0.0 kept")
    await client.expect(b"250 2.0.0 kept")


async def test_no_second_try_for_a_message(autojump_clock: MockClock) -> None:
    world = World()
    async with world.client() as client:
        first = await world.server("a")
        await greet(client, first)
        await client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
        for reply in (b"250 2.1.0 ok", b"250 2.1.5 ok", b"354 go on"):
            await first.line()
            await first.send(reply)
            await client.expect(reply)
        await client.raw(TEXT + b".\r\n")
        await first.expect(*TEXT.splitlines(), b".")
        first.close()
        await client.expect(b"451 4.4.2 upstream server was lost before it accepted the message")
        assert await client.rest() == b""
        client.close()
    assert world.connections("b") == 0


async def test_all_are_down(autojump_clock: MockClock) -> None:
    world = World(down={"a:25", "b:25"})
    for _ in range(2):
        async with world.client() as client:
            await client.expect(b"421 4.4.1 upstream server cannot be reached, try again later")
            assert await client.rest() == b""
            client.close()
    assert trio.current_time() < 5


async def test_all_greet_with_a_refusal(autojump_clock: MockClock) -> None:
    world = World()
    async with world.client() as client:
        await (await world.server("a")).send(b"554 5.7.1 no")
        await (await world.server("b")).send(b"554 5.7.1 nor here")
        await client.expect(b"554 5.7.1 nor here")
        client.close()


async def test_a_client_that_goes_while_servers_are_tried(autojump_clock: MockClock) -> None:
    world = World()
    async with world.client() as client:
        await world.server("a")
        client.close()
    async with world.client() as client:  # nothing was learnt of the first server
        first = await world.server("a", 2)
        await greet(client, first)
        await say_quit(client, first)
