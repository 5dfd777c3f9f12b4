"""Limits that end a session, or slow it down, while it runs."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from tcp_peers import TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import CLIENT, SERVER, Config, Continue, EarlyTalkers, Networks, Proxy, Question
from trio_proxy.driver.conduct import Conduct
from trio_proxy.driver.sweep import Sweep
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.held import HeldTotal
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.rates import Rate
from trio_proxy.limits.table import COMMAND_RATE, MESSAGE_RATE, NETWORK_CONNECTIONS, SLOW_CONTENT, Limit

Logs = list[MutableMapping[str, Any]]
FAST = b"x" * 40
PEER = "192.0.2.7:5000"
MODES = pytest.mark.parametrize("io", ["reactor", "tasks"])


def guarded(rates: dict[Limit, Rate | None], **more: Any) -> dict[str, Any]:
    """Settings of a session."""
    hits = Hits(trio.current_time)
    guard = Guard(hits, trio.current_time, rates=rates, **{"exempt": Networks(), **more})
    return {"guard": guard, "hits": hits, "sweep": Sweep(), "peer": PEER}


async def say(run: TcpRunning, *dialogue: tuple[bytes, bytes]) -> None:
    """Lines of the client, and the replies of the server."""
    for text, reply in dialogue:
        await run.client.send(text)
        for line in text.split(b"\r\n"):
            await run.server.expect(line)
        await run.server.send(reply)
        await run.client.expect(reply)


TO_DATA = ((b"MAIL FROM:<a@b.example>", b"250 a"), (b"RCPT TO:<c@d.example>", b"250 b"), (b"DATA", b"354 go"))
MESSAGE = (*TO_DATA, (b"x\r\n.", b"250 kept"))


async def hello(run: TcpRunning) -> None:
    await run.server.send(b"220 mx")
    await run.client.expect(b"220 mx")
    await say(run, (b"HELO c", b"250 mx"))


@MODES
async def test_too_many_messages_end_the_session_after_a_transaction(mock_clock: MockClock, io: str) -> None:
    settings = guarded({MESSAGE_RATE: Rate(1, 600)})
    async with over_tcp(mock_clock, io=io, **settings) as run:
        await hello(run)
        await say(run, *MESSAGE, *MESSAGE, MESSAGE[0])
        await trio.sleep(2)
        await say(run, *MESSAGE[1:])
        await run.client.expect(b"421 4.7.0 too many messages from your network, try again later")
        run.client.close()
    guard = settings["guard"]
    network = guard.network_of("192.0.2.7")
    assert guard.enter(network) is MESSAGE_RATE
    assert settings["hits"].counts["message-rate"] >= 2


@MODES
async def test_too_many_commands_end_the_session(mock_clock: MockClock, io: str, logs: Logs) -> None:
    async with over_tcp(mock_clock, io=io, **guarded({COMMAND_RATE: Rate(3, 600)})) as run:
        await hello(run)
        await say(run, *[(b"NOOP", b"250 ok")] * 4)
        await run.client.expect(b"421 4.7.0 too many commands from your network, try again later")
        run.client.close()
    assert [(entry["event"], entry["network"]) for entry in logs] == [
        ("too many commands of one network", "192.0.2.7")
    ]


async def test_what_a_short_session_has_done_is_counted_at_its_end(mock_clock: MockClock) -> None:
    settings = guarded({MESSAGE_RATE: Rate(1, 600)})
    async with over_tcp(mock_clock, **settings) as run:
        await hello(run)
        await say(run, *MESSAGE, (b"QUIT", b"221 bye"))
        run.client.close()
    guard = settings["guard"]
    assert guard.enter(guard.network_of("192.0.2.7")) is MESSAGE_RATE


@MODES
async def test_a_message_that_drips_is_not_waited_for(mock_clock: MockClock, io: str, logs: Logs) -> None:
    """The server gets no end-of-data. A client that is fast enough, and then takes its time, is let be."""
    settings = guarded({}, least_pace=Rate(40, 4))
    async with over_tcp(mock_clock, io=io, **settings) as run:
        await hello(run)
        await say(run, *TO_DATA)
        for _ in range(3):
            await run.client.send(FAST)
            await run.server.expect(FAST)
            await trio.sleep(2)
        await run.client.send(b".")
        await run.server.expect(b".")
        await run.server.send(b"250 kept")
        await run.client.expect(b"250 kept")
        await trio.sleep(6)
        await say(run, *TO_DATA)
        before = trio.current_time()
        while trio.current_time() < before + 4:
            await run.client.raw(b"x")
            await trio.sleep(1)
        await run.client.expect(b"421 4.4.2 your message comes too slowly, closing")
        assert trio.current_time() <= before + 7
        run.client.close()
    assert [entry["limit"] for entry in logs if "limit" in entry] == ["slow-content"]


@attrs.define
class Stalled:
    """A session whose server does not read."""

    is_stalled: bool = True
    ended: list[Limit] = attrs.field(factory=list[Limit])

    def over(self, limit: Limit, *, now: bool) -> None:
        self.ended.append(limit)


def test_a_server_that_does_not_read_is_not_the_clients_fault() -> None:
    guard = Guard(Hits(lambda: 0.0), lambda: 0.0, rates={}, exempt=Networks(), least_pace=Rate(1000, 3))
    proxy, session = Proxy(), Stalled()
    for side, text in ((SERVER, b"220 mx"), (CLIENT, b"HELO c"), (SERVER, b"250 mx")):
        proxy.receive_from(side, text + b"\r\n")
    for line, reply in TO_DATA:
        proxy.receive_from(CLIENT, line + b"\r\n")
        proxy.receive_from(SERVER, reply + b"\r\n")
    conduct = Conduct(session, proxy, guard, b"\xc0\0\2\7")
    for now in (10.0, 20.0, 30.0):
        conduct.look(now)
    assert session.ended == []
    session.is_stalled = False
    for now in (40.0, 41.0, 43.0):
        conduct.look(now)
    assert session.ended == [SLOW_CONTENT]
    proxy.shutdown(now=True)
    conduct.look(50.0)
    assert session.ended == [SLOW_CONTENT]


@MODES
async def test_a_client_with_many_refusals_is_read_slower(mock_clock: MockClock, io: str, logs: Logs) -> None:
    config = Config(soft_errors=2, max_refusals=3)
    hits = Hits(trio.current_time)
    async with over_tcp(mock_clock, io=io, config=config, error_delay=5, hits=hits) as run:
        await hello(run)
        times = []
        for _ in range(4):
            await say(run, (b"RCPT TO:<x@d.example>", b"550 no"))
            times.append(trio.current_time())
        await run.client.send(b"NOOP")
        await run.client.expect(b"421 4.7.0 too many errors, closing")
        times.append(trio.current_time())
        run.client.close()
    assert [after - before >= 5 for before, after in pairwise(times)] == [*(False, False, True, True)]
    assert hits.counts == {"soft-errors": 1, "refusals": 1}
    assert [entry["limit"] for entry in logs] == ["soft-errors", "refusals"]
    assert all(entry["peer"] == "peer" for entry in logs)


@MODES
async def test_a_trusted_client_may_be_refused_without_end(mock_clock: MockClock, io: str) -> None:
    """As a list server on this machine, of whose recipients many are no more."""
    config = Config(soft_errors=2, max_refusals=3, max_junk=3)
    settings = guarded({}, exempt=Networks.parse(["192.0.2.0/24"]))
    async with over_tcp(mock_clock, io=io, config=config, error_delay=500, **settings) as run:
        await hello(run)
        await say(run, TO_DATA[0])
        before = trio.current_time()
        await say(run, *[(b"RCPT TO:<x@d.example>", b"550 no")] * 6, *[(b"NOOP", b"250 ok")] * 6)
        await say(run, *MESSAGE[1:], *[(b"NOOP", b"250 ok")] * 6, (b"QUIT", b"221 bye"))
        assert trio.current_time() - before < 100
        run.client.close()
    assert settings["hits"].counts == {}


def named(**more: Any) -> dict[str, Any]:
    """Settings of a session whose client may say who the client is."""
    trusted = Networks.parse(["192.0.2.0/24"])
    config = Config(accept_xclient=trusted, max_junk=2)
    return {"config": config, **guarded(more.pop("rates", {}), exempt=trusted, **more)}


NAMED = b"\xc6\x33\x64\x07"


@MODES
async def test_a_client_that_xclient_has_named_is_counted_in_its_own_network(
    mock_clock: MockClock, io: str
) -> None:
    settings = named(rates={MESSAGE_RATE: Rate(1, 600)}, connections=1)
    guard = settings["guard"]
    async with over_tcp(mock_clock, io=io, **settings) as run:
        await hello(run)
        await say(run, *[(b"NOOP", b"250 ok")] * 4)
        assert not guard.open
        await run.client.send(b"XCLIENT ADDR=198.51.100.7 PORT=4242")
        await run.client.expect(b"220 mx")
        assert dict(guard.open) == {NAMED: 1}
        assert guard.enter(NAMED) is NETWORK_CONNECTIONS
        await say(run, (b"HELO c", b"250 mx"), *MESSAGE, *[(b"NOOP", b"250 ok")] * 2)
        await run.client.send(b"NOOP")
        await run.client.expect(b"421 4.7.0 too many commands without a message, closing")
        run.client.close()
    assert not guard.open
    assert guard.enter(NAMED) is MESSAGE_RATE


@MODES
async def test_a_named_client_of_a_network_with_too_many_is_refused(mock_clock: MockClock, io: str) -> None:
    settings = named(connections=1)
    guard = settings["guard"]
    assert guard.enter(NAMED) is None
    async with over_tcp(mock_clock, io=io, **settings) as run:
        await hello(run)
        await run.client.send(b"XCLIENT ADDR=198.51.100.7 PORT=4242")
        await run.client.expect(
            b"220 mx", b"421 4.7.0 too many connections from your network, try again later"
        )
        run.client.close()
    assert dict(guard.open) == {NAMED: 1}
    assert settings["hits"].counts == {"network-connections": 1}


async def test_a_named_client_may_be_another_trusted_one_and_name_the_next(mock_clock: MockClock) -> None:
    settings = named(connections=1)
    guard = settings["guard"]
    async with over_tcp(mock_clock, **settings) as run:
        await hello(run)
        for address in (b"192.0.2.9", b"198.51.100.7"):
            assert not guard.open
            await run.client.send(b"XCLIENT ADDR=" + address)
            await run.client.expect(b"220 mx")
        assert dict(guard.open) == {NAMED: 1}
        run.client.close()
    assert not guard.open


async def test_an_early_talker_is_counted(mock_clock: MockClock, logs: Logs) -> None:
    hits = Hits(trio.current_time)
    config = Config(early_talkers=EarlyTalkers.REFUSE)
    async with over_tcp(mock_clock, config=config, hits=hits) as run:
        await run.client.send(b"EHLO x")
        await run.client.expect(b"554 5.5.1 you spoke before the greeting")
        run.client.close()
    assert hits.counts == {"early-talkers": 1}
    (line,) = [entry for entry in logs if entry["event"] == "a client spoke before the greeting"]
    assert (line["conn"], line["peer"]) == ("c1", "peer")


async def test_the_memory_of_all_held_messages(mock_clock: MockClock) -> None:
    hits, held = Hits(trio.current_time), HeldTotal(100)
    assert held.take(60)

    async def judge(_: Question[Any]) -> Continue:
        raise AssertionError("the message is not kept")

    ask = frozenset({"MESSAGE"})
    async with over_tcp(mock_clock, ask=ask, judge=judge, hits=hits, held_total=held) as run:
        await hello(run)
        await say(run, *TO_DATA[:2])
        await run.client.send(b"DATA")
        await run.client.expect(b"354 ...")
        await run.client.send(b"x" * 80, b".")
        await run.client.expect(b"452 4.3.1 no memory for this message now, try again later")
        run.client.close()
    assert hits.counts == {"held-total": 1}
    assert held.octets == 60
    held.give(60)
    assert held.take(100)
