"""A session whose server is one of a list: the next one is used while those before it cannot be."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import trio
from streams import TrioStream, memory
from trio.testing import MockClock

from sansio_smtp import ClientInfo
from trio_proxy.driver.servers import Servers
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.routes.fleet import Fleet
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.destinations import Destination
from trio_proxy.text.session_log import SessionLog

CLIENT = ClientInfo(address="192.0.2.1:51000")
Logs = list[MutableMapping[str, Any]]


class Net:
    """Servers by their names, of which some are down."""

    def __init__(self, *texts: str, **settings: Any) -> None:
        self.asked: list[str] = []
        self.down: set[str] = set()
        self.hanging: set[str] = set()
        self.fleet = Fleet.of({None: [Destination.parse(text) for text in texts]})
        self.settings = Settings(
            connect=self.nobody, connect_to=self.connect, groups=self.fleet.group, **settings
        )

    def servers(self) -> Servers:
        return Servers(self.settings, SessionLog("c1", CLIENT))

    async def nobody(self) -> Stream:
        raise AssertionError

    async def connect(self, upstream: str) -> Stream:
        self.asked.append(upstream)
        if upstream in self.hanging:
            await trio.sleep_forever()
        if upstream in self.down:
            raise ConnectionRefusedError("Connection refused")
        return TrioStream(memory()[1])


async def test_the_next_server_is_connected(mock_clock: MockClock, logs: Logs) -> None:
    net = Net("a", "b")
    net.down = {"a:25"}
    servers = net.servers()
    assert await servers.connect(None, CLIENT)
    assert servers.has_others
    servers.worked()
    assert net.asked == ["a:25", "b:25"]
    other = net.servers()
    assert await other.connect(None, CLIENT)
    assert net.asked == ["a:25", "b:25", "b:25"]
    assert [line["event"] for line in logs] == [
        "upstream server cannot be reached",
        "upstream server is left out",
    ]


async def test_each_server_has_the_time_for_a_connection(autojump_clock: MockClock) -> None:
    net = Net("a", "b", timeouts=Timeouts(connect=5))
    net.hanging = {"a:25"}
    assert await net.servers().connect(None, CLIENT)
    assert trio.current_time() == 5
    assert await net.servers().connect(None, CLIENT)
    assert trio.current_time() == 5


async def test_all_are_down(autojump_clock: MockClock, logs: Logs) -> None:
    net = Net("a", "b", timeouts=Timeouts(connect=5))
    net.down = {"a:25", "b:25"}
    assert not await net.servers().connect(None, CLIENT)
    assert not await net.servers().connect(None, CLIENT)  # they are tried all the same
    assert sorted(net.asked) == ["a:25", "a:25", "b:25", "b:25"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "no upstream server can be reached"
    ] * 2


async def test_a_thousand_clients_do_not_wait_for_a_thousand_timeouts(autojump_clock: MockClock) -> None:
    net = Net("a", "b", timeouts=Timeouts(connect=5))
    net.hanging = {"a:25", "b:25"}
    assert not await net.servers().connect(None, CLIENT)
    began, count = trio.current_time(), len(net.asked)

    async def connect() -> None:
        assert not await net.servers().connect(None, CLIENT)

    async with trio.open_nursery() as nursery:
        for _ in range(1_000):
            nursery.start_soon(connect)
    assert trio.current_time() - began <= 3 * 5
    assert len(net.asked) - count <= 4


async def test_a_session_that_ends_lets_others_try(mock_clock: MockClock) -> None:
    net = Net("a", "b")
    for server in net.fleet.groups[None].servers:
        server.health.begin().failed("no")
    first = net.servers()
    assert await first.connect(None, CLIENT)
    first.close()
    assert all(server.health.probe is None for server in net.fleet.groups[None].servers)


async def test_a_server_that_is_no_list_is_connected_as_before(mock_clock: MockClock) -> None:
    net = Net("a", "b")
    servers = net.servers()
    assert await servers.connect("other:25", CLIENT)
    assert not servers.has_others
    servers.worked()
    servers.failed("it has failed")
    assert await servers.connect(None, CLIENT)
    assert servers.has_others
