"""What comes before a session, on real sockets. The address of a peer is what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from certificates import client_context, pair_for
from tcp_peers import QUIET, TcpPeer, no_descriptor_is_left, tcp
from trio.testing import MockClock

from sansio_smtp import ClientInfo, Config, Networks
from sansio_smtp.networks import NO_NETWORKS
from sansio_smtp.rules import Connection
from sansio_smtp.rules.loading import rules_of
from trio_proxy.driver import arrival
from trio_proxy.driver.arrival import Arrival, Arrivals
from trio_proxy.driver.listening import listening
from trio_proxy.driver.server import Server
from trio_proxy.driver.session import Session
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.hits import Hits
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.tls.server_side import ServerTls

Logs = list[MutableMapping[str, Any]]

BALANCER = "10.0.0.1:40000"
HEADER = b"PROXY TCP4 192.0.2.7 10.0.0.5 51000 25\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
TIMES = Timeouts(proxy_header=30, handshake=20, idle=10)


@attrs.define
class Arriving:
    """A connection that was accepted, and a server that may be connected."""

    runs: Session | Arrival
    client: TcpPeer
    server: TcpPeer
    arrivals: Arrivals
    connected: bool = False
    seen: list[tuple[str, ...]] = attrs.field(factory=list[tuple[str, ...]])
    """What rules saw when the client connected: its address, that of its proxy, and the version of TLS."""

    async def greeted(self) -> None:
        await self.server.send(b"220 mx.example ESMTP")
        await self.client.expect(b"220 mx.example ESMTP")
        assert self.connected


@asynccontextmanager
async def arriving(
    clock: MockClock, peer: str = BALANCER, *, tls: ServerTls | None = None, **given: Any
) -> AsyncIterator[Arriving]:
    """Runs what comes of a connection. At the end of the block it must have ended, with nothing left open."""
    clock.autojump_threshold = QUIET
    with no_descriptor_is_left(), ExitStack() as opened:
        client, to_client = tcp()
        server, to_server = tcp()
        opened.callback(client.close)
        opened.callback(server.close)
        opened.callback(to_server.sock.close)

        async def connect() -> Stream:
            run.connected = True
            return to_server

        def note(conn: Connection) -> None:
            run.seen.append((conn.peer, conn.proxy_ip, *([conn.tls.version] if conn.tls else [])))

        note.__name__ = "connect"
        rules = rules_of(note)
        settings = Settings(
            connect=connect,
            timeouts=TIMES,
            tls=tls,
            rules=lambda: nullcontext(rules),
            **{"accept_proxy": Networks.parse(["10.0.0.0/8"]), **given},
        )
        arrivals = Arrivals(settings)
        make = arrivals.session if tls is None else arrivals.tls_session
        run = Arriving(make(to_client, peer, 7), client, server, arrivals)
        async with trio.open_nursery() as nursery:
            ended = trio.Event()

            async def to_its_end() -> None:
                await run.runs.run()
                ended.set()

            nursery.start_soon(to_its_end)
            yield run
            with trio.fail_after(5_000):
                await ended.wait()
        assert to_client.sock.fileno() == -1


def warnings(logs: Logs) -> list[MutableMapping[str, Any]]:
    return [entry for entry in logs if entry["log_level"] not in ("debug", "info")]


async def test_the_client_of_the_header_is_the_client(mock_clock: MockClock, logs: Logs) -> None:
    """No server is connected before the header is complete."""
    lines: list[str] = []
    async with arriving(mock_clock, write_transcript=lines.append) as run:
        for piece in (HEADER[:20], HEADER[20:-1]):
            await run.client.raw(piece)
            await trio.sleep(1)
            assert not run.connected
        await run.client.raw(b"\n")
        await run.greeted()
        await run.client.send(b"DATA\0")
        await run.client.expect(b"500...")
        run.client.close()
    assert run.seen == [("192.0.2.7:51000", "10.0.0.1")]
    (violation,) = [entry for entry in logs if entry["event"] == "protocol violation"]
    assert (violation["peer"], violation["proxy"], violation["conn"]) == ("192.0.2.7:51000", "10.0.0.1", "c7")
    assert "192.0.2.7:51000 connected, through 10.0.0.1" in lines[0]


async def test_the_client_of_the_header_is_counted_in_its_network(mock_clock: MockClock) -> None:
    """The balancer is not."""
    guard = Guard(Hits(trio.current_time), trio.current_time, connections=1, rates={}, exempt=NO_NETWORKS)
    network = guard.network_of("192.0.2.7")
    assert network is not None
    async with arriving(mock_clock, guard=guard) as run:
        await run.client.raw(HEADER)
        await run.greeted()
        assert dict(guard.open) == {network: 1}
        async with arriving(mock_clock, guard=guard) as another:
            await another.client.raw(HEADER)
            await another.client.expect(b"421 4.7.0 too many connections from your network...")
            another.client.close()
        assert dict(guard.open) == {network: 1}
        run.client.close()
    assert not guard.open


async def test_a_session_begins_with_the_settings_of_then(mock_clock: MockClock) -> None:
    """They were replaced while the header was awaited."""
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER[:20])
        before = run.arrivals.settings
        made: list[str] = []

        async def connect() -> Stream:
            made.append("another")
            return await before.connect()

        run.arrivals.use(attrs.evolve(before, connect=connect))
        await run.client.raw(HEADER[20:])
        await run.greeted()
        run.client.close()
    assert made == ["another"]


async def test_what_comes_with_the_header_is_not_lost(mock_clock: MockClock) -> None:
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER + b"EHLO me\r\n")
        await run.greeted()
        await run.server.expect(b"EHLO me")
        await run.server.send(b"250 mx.example")
        await run.client.expect(b"250-mx.example")
        run.client.close()


async def test_a_balancer_that_speaks_for_itself_is_the_client(mock_clock: MockClock, logs: Logs) -> None:
    async with arriving(mock_clock) as run:
        await run.client.raw(LOCAL)
        await run.greeted()
        run.client.reset()
    assert run.seen == [(BALANCER, "")]
    assert warnings(logs) == []


OWN = b"PROXY TCP4 10.0.0.1 10.0.0.5 40000 25\r\n"


@pytest.mark.parametrize("header", [LOCAL, OWN, b"PROXY UNKNOWN\r\n"])
@pytest.mark.parametrize("says_hello", [False, True])
async def test_a_health_check_is_silent(
    mock_clock: MockClock, logs: Logs, header: bytes, says_hello: bool
) -> None:
    """HAProxy sends a header of version 1 with its own address, one of version 2 with LOCAL, and resets."""
    async with arriving(mock_clock) as run:
        await run.client.raw(header)
        await run.greeted()
        if says_hello:
            await _hello(run)
        run.client.reset()
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


@pytest.mark.parametrize("header", [LOCAL, OWN, HEADER])
async def test_a_message_is_told_of_any_sender_of_the_header(
    mock_clock: MockClock, logs: Logs, header: bytes
) -> None:
    """UNKNOWN is also for clients on unix sockets."""
    async with arriving(mock_clock) as run:
        await run.client.raw(header)
        await run.greeted()
        await _hello(run)
        for command, reply in (
            (b"MAIL FROM:<a@b>", b"250 ok"),
            (b"RCPT TO:<c@d>", b"250 ok"),
            (b"DATA", b"354 go"),
            (b".", b"250 kept"),
        ):
            await run.client.send(command)
            await run.server.expect(command)
            await run.server.send(reply)
            await run.client.expect(reply)
        run.client.close()
    assert [entry["reply"] for entry in logs if entry["event"] == "message relayed"] == ["250 kept"]


async def _hello(run: Arriving) -> None:
    await run.client.send(b"EHLO me")
    await run.server.expect(b"EHLO me")
    await run.server.send(b"250 mx.example")
    await run.client.expect(b"250-mx.example", b"250 PIPELINING")


async def test_a_client_that_resets_is_told_of(mock_clock: MockClock, logs: Logs) -> None:
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER)
        await run.greeted()
        run.client.reset()
    assert [entry["log_level"] for entry in logs if entry["event"] == "connection lost"] == ["info"]


@pytest.mark.parametrize("end", ["close", "reset", "half_close"])
async def test_a_health_check_of_tcp_alone_is_silent(mock_clock: MockClock, logs: Logs, end: str) -> None:
    async with arriving(mock_clock) as run:
        getattr(run.client, end)()
    assert not run.connected
    assert warnings(logs) == []


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"EHLO me.example\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 192.0.2.7", "it has not come within 30 s"),
        (b"PROXY " + b"x" * 1_000_000, "it is longer than 107 octets"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + b"x" * 1_000_000, "it is longer than 4096 octets"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0d" + b"x" * 12, "it has not come within 30 s"),
    ],
)
async def test_without_a_right_header_there_is_no_session(
    mock_clock: MockClock, logs: Logs, octets: bytes, why: str
) -> None:
    async with arriving(mock_clock) as run, trio.open_nursery() as nursery:
        nursery.start_soon(_sends, run.client, octets)
        while await run.client.more():
            pass
        nursery.cancel_scope.cancel()
    assert run.client.buffer == b""
    assert not run.connected
    (entry,) = warnings(logs)
    assert (entry["event"], entry["error"], entry["peer"]) == ("PROXY header refused, closing", why, BALANCER)
    assert len(entry.get("octets", "")) < 300


async def _sends(client: TcpPeer, octets: bytes) -> None:
    with suppress(trio.BrokenResourceError):  # it is closed before it has read all of them
        await client.raw(octets)


async def test_a_header_that_drips_is_not_waited_for(mock_clock: MockClock, logs: Logs) -> None:
    """The limit is for all of it."""
    async with arriving(mock_clock) as run:
        began = trio.current_time()
        for octet in HEADER[:-1]:
            try:
                await run.client.raw(bytes([octet]))
            except trio.BrokenResourceError:
                break
            await trio.sleep(2)
        assert not await run.client.more()
        assert trio.current_time() - began < 2 * len(HEADER) - 10
    assert [entry["error"] for entry in warnings(logs)] == ["it has not come within 30 s"]


async def test_others_are_not_waited_for(mock_clock: MockClock, logs: Logs) -> None:
    """A header of theirs is a strange command."""
    async with arriving(mock_clock, "192.0.2.9:50000") as run:
        assert isinstance(run.runs, Session)
        await run.greeted()
        await run.client.send(HEADER.removesuffix(b"\r\n"))
        await run.client.expect(b"502...")
        run.client.close()
        assert await run.server.rest() == b""
    assert run.seen == [("192.0.2.9:50000", "")]
    assert [(entry["log_level"], entry["peer"]) for entry in warnings(logs)] == [
        ("warning", "192.0.2.9:50000")
    ]


@pytest.mark.parametrize("now", [False, True])
async def test_the_service_stops_before_the_header_is_there(mock_clock: MockClock, now: bool) -> None:
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER[:10])
        await trio.sleep(1)
        run.runs.shutdown(now=now)
        with trio.fail_after(1):
            assert not await run.client.more()
    assert not run.connected


async def test_the_service_stops_at_the_moment_of_the_header(mock_clock: MockClock) -> None:
    """There is no session that nobody has told."""
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER)
        run.runs.shutdown()
        assert not await run.client.more()
    assert not run.connected


async def test_the_service_stops_after_the_header(mock_clock: MockClock) -> None:
    async with arriving(mock_clock) as run:
        await run.client.raw(HEADER)
        await run.greeted()
        run.runs.shutdown()
        await run.client.expect(b"421...")


async def test_a_session_that_cannot_be_made_is_closed(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> Session:
        raise ZeroDivisionError("no session")

    monkeypatch.setattr(arrival, "Session", fails)
    mock_clock.autojump_threshold = QUIET
    client, to_client = tcp()
    settings = Settings(connect=_nobody, accept_proxy=Networks.parse(["unix"]))
    await client.raw(HEADER)
    with pytest.raises(ZeroDivisionError):
        await Arrivals(settings).session(to_client, "unix", 1).run()
    assert to_client.sock.fileno() == -1
    client.close()


async def _nobody() -> Stream:
    raise AssertionError


@pytest.mark.parametrize(
    ("peer", "how", "local"),
    [
        ("192.0.2.9:1", "none", ("", False)),
        ("192.0.2.9:1", "xclient", ("127.0.0.1", True)),
        ("unix", "xclient", ("", False)),
        (BALANCER, "xclient", ("127.0.0.1", True)),
    ],
)
async def test_where_the_client_has_connected_to_is_known_if_a_server_is_told(
    mock_clock: MockClock, peer: str, how: str, local: tuple[str, bool]
) -> None:
    seen: list[ClientInfo] = []
    config = Config(send_client=how, accept_xclient=Networks.parse(["10.0.0.1"]))
    async with arriving(mock_clock, peer, config=config) as run:
        if peer == BALANCER:
            await run.client.raw(LOCAL)
        await run.greeted()
        session = run.runs._session if isinstance(run.runs, Arrival) else run.runs
        assert session is not None
        seen.append(session._proxy.identity)
        run.client.close()
    assert [(client.local_ip, client.local_port is not None) for client in seen] == [local]


# TLS from the first octet


@pytest.fixture
def certificate(tmp_path: Path) -> ServerTls:
    return ServerTls.load([pair_for(tmp_path, "mx.example")])


@pytest.mark.parametrize(
    ("peer", "header", "seen"),
    [
        ("192.0.2.9:50000", b"", ("192.0.2.9:50000", "")),
        (BALANCER, HEADER, ("192.0.2.7:51000", "10.0.0.1")),
    ],
)
async def test_tls_comes_before_the_session_and_after_a_header(
    mock_clock: MockClock, certificate: ServerTls, peer: str, header: bytes, seen: tuple[str, ...], logs: Logs
) -> None:
    lines: list[str] = []
    async with arriving(mock_clock, peer, tls=certificate, write_transcript=lines.append) as run:
        await run.client.raw(header)
        await trio.sleep(1)
        assert not run.connected
        secure = trio.SSLStream(run.client.stream, client_context("one"), server_hostname="mx.example")
        await secure.do_handshake()
        await run.server.send(b"220 mx.example ESMTP")
        assert await secure.receive_some() == b"220 mx.example ESMTP\r\n"
        await secure.send_all(b"DATA\0\r\n")
        assert (await secure.receive_some())[:4] == b"500 "
        run.client.close()
    assert run.seen == [(*seen, "TLSv1.3")]
    (violation,) = [entry for entry in logs if entry["event"] == "protocol violation"]
    assert (violation["peer"], violation["tls"], violation.get("proxy", "")) == (seen[0], "TLSv1.3", seen[1])
    told = [line.split(" c7 ")[1] for line in lines]
    assert told[1].startswith("=== client: TLSv1.3, TLS_")
    assert "C ~>  220 mx.example ESMTP" in told
    assert not [line for line in told if line.startswith(("C ->", "C <-"))]


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO me.example\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 508,
        b"x" * 1_000_000,
    ],
)
async def test_what_is_no_handshake_ends_the_connection(
    mock_clock: MockClock, certificate: ServerTls, logs: Logs, octets: bytes
) -> None:
    async with arriving(mock_clock, "192.0.2.9:1", tls=certificate) as run, trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(_sends, run.client, octets)
        while await run.client.more():
            pass
        nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 1
    assert not run.connected
    assert [(entry["event"], entry["side"]) for entry in warnings(logs)] == [
        ("TLS handshake failed", "client")
    ]


async def test_half_a_client_hello_is_not_waited_for(
    mock_clock: MockClock, certificate: ServerTls, logs: Logs
) -> None:
    """Nor one that drips."""
    async with arriving(mock_clock, "192.0.2.9:1", tls=certificate) as run:
        began = trio.current_time()
        for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 30:
            try:
                await run.client.raw(bytes([octet]))
            except trio.BrokenResourceError:
                break
            await trio.sleep(3)
        assert not await run.client.more()
        assert trio.current_time() - began < 30
    assert [entry["error"] for entry in warnings(logs)] == ["it has taken more than 20 s"]


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_client_that_goes_before_the_handshake(
    mock_clock: MockClock, certificate: ServerTls, logs: Logs, end: str
) -> None:
    async with arriving(mock_clock, "192.0.2.9:1", tls=certificate) as run:
        getattr(run.client, end)()
    assert not run.connected
    assert warnings(logs) == [], "health checks do so"


async def test_the_service_stops_in_a_handshake(mock_clock: MockClock, certificate: ServerTls) -> None:
    async with arriving(mock_clock, "192.0.2.9:1", tls=certificate) as run:
        await run.client.raw(b"\x16\x03\x01")
        await trio.sleep(1)
        run.runs.shutdown()
        assert not await run.client.more()
    assert not run.connected


# In the service


async def test_who_has_not_arrived_yet_counts_and_holds_nobody_up(logs: Logs) -> None:
    settings = Settings(connect=_nobody, accept_proxy=Networks.parse(["127.0.0.0/8"]))
    server = Server(session=Arrivals(settings).session, max_connections=1, grace=60)
    stop = trio.Event()
    with listening(Address("127.0.0.1", 0)) as sockets, trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, sockets, stop)
            ours, refused = [await trio.open_tcp_stream(*sockets[0].getsockname()) for _ in range(2)]
            assert (await refused.receive_some()).startswith(b"421 4.3.2 ")
            await ours.send_all(HEADER[:9])
            await trio.testing.wait_all_tasks_blocked()
            stop.set()
            assert await ours.receive_some() == b""
            for stream in (ours, refused):
                await stream.aclose()
    assert [entry["event"] for entry in warnings(logs)] == ["too many connections"]
