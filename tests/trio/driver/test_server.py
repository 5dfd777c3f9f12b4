"""Listeners and the connections they accept; how the service stops."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.driver.accepting import Accept, accept_by_task
from trio_proxy.driver.listening import listening
from trio_proxy.driver.reactor import Reactor
from trio_proxy.driver.server import Server
from trio_proxy.driver.streams import SocketStream, Stream, connect
from trio_proxy.text.addresses import Address

Logs = list[MutableMapping[str, Any]]
SECONDS = 30.0
ANY = Address("127.0.0.1", 0)
HAS_IPV6 = socket.has_dualstack_ipv6()


@attrs.define(eq=False)
class Echo:
    """A session of lines: ``boom`` raises, ``stay`` makes it finish only when it must."""

    client: Stream
    peer: str
    number: int
    stays: bool = False
    shutdowns: list[bool] = attrs.field(factory=list[bool])
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self) -> None:
        try:
            with self.scope:
                await self.client.send_some(memoryview(b"%d" % self.number))
                while data := await self.client.receive():
                    if data == b"boom":
                        raise ZeroDivisionError("boom")
                    self.stays = self.stays or data == b"stay"
                    await self.client.send_some(memoryview(data))
        finally:
            self.client.close()

    def shutdown(self, *, now: bool = False) -> None:
        self.shutdowns.append(now)
        if now or not self.stays:
            self.scope.cancel()


@attrs.define
class Serving:
    """A server that runs, and what it made."""

    sockets: list[socket.socket]
    stop: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    sessions: list[Echo] = attrs.field(factory=list[Echo])
    fails: bool = False
    server: Server | None = None

    def make(self, client: Stream, peer: str, number: int) -> Echo:
        if self.fails:
            raise ZeroDivisionError("no session")
        self.sessions.append(Echo(client, peer, number))
        return self.sessions[-1]

    async def client(self, which: int = 0) -> SocketStream:
        name = self.sockets[which].getsockname()
        return await connect(Address(path=name) if isinstance(name, str) else Address(name[0], name[1]))


@asynccontextmanager
async def serving(*addresses: Address, **options: Any) -> AsyncIterator[Serving]:
    """At the end of the block it is stopped, and all is closed."""
    with ExitStack() as stack, trio.fail_after(2 * SECONDS):
        serving = Serving([s for a in addresses or [ANY] for s in stack.enter_context(listening(a))])
        server = serving.server = Server(session=serving.make, **{"grace": 0.2, **options})
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                await server.serve(serving.sockets, serving.stop, task_status)
                serving.ended.set()

            await nursery.start(serve)
            yield serving
            serving.stop.set()
            await serving.ended.wait()
    assert [sock.fileno() for sock in serving.sockets] == [-1] * len(serving.sockets)


async def says(client: SocketStream, octets: bytes, reply: bytes) -> None:
    if octets:
        await client.send_some(memoryview(octets))
    assert await client.receive() == reply


# Connections


async def test_each_client_has_a_session_and_a_number() -> None:
    async with serving() as serve:
        clients = [await serve.client() for _ in range(3)]
        assert sorted([await client.receive() for client in clients]) == [b"1", b"2", b"3"]
        for client in clients:
            await says(client, b"hi", b"hi")
        (address, port) = clients[0].sock.getsockname()
        assert f"{address}:{port}" in [session.peer for session in serve.sessions]
        for client in clients:
            client.close()


async def test_more_clients_than_allowed_are_told(logs: Logs) -> None:
    async with serving(max_connections=2) as serve:
        # In one go: all of them wait to be accepted before the first session has had its first turn.
        clients = []
        for _ in range(10):
            sock = socket.create_connection(serve.sockets[0].getsockname())
            sock.setblocking(False)
            clients.append(SocketStream(sock))
        served, refused = clients[:2], clients[2:]
        assert sorted([await client.receive() for client in served]) == [b"1", b"2"]
        for client in refused:
            await says(client, b"", b"421 4.3.2 too many connections, try again later\r\n")
            assert await client.receive() == b""
        served[0].close()
        while len(serve.sessions) < 3:
            client = await serve.client()
            greeting = await client.receive()
            client.close()
        assert greeting == b"3"
        for client in clients:
            client.close()
    assert [entry["event"] for entry in logs] == ["too many connections"]
    assert (logs[0]["limit"], logs[0]["most"]) == ("connections", 2)


async def test_a_listener_for_tls_makes_other_sessions(logs: Logs) -> None:
    """A client that is refused there gets no reply in plain text."""
    with ExitStack() as stack, trio.fail_after(SECONDS):
        sockets = [sock for _ in range(2) for sock in stack.enter_context(listening(ANY))]
        serve, secure = Serving(sockets), Serving(sockets)
        server = Server(session=serve.make, tls_session=secure.make, max_connections=1)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(server.serve, sockets, serve.stop, tls=sockets[1:]))
            first = await serve.client(1)
            await says(first, b"", b"1")
            refused, refused_in_tls = await serve.client(0), await serve.client(1)
            await says(refused, b"", b"421 4.3.2 too many connections, try again later\r\n")
            await says(refused_in_tls, b"", b"")
            for client in (first, refused, refused_in_tls):
                client.close()
            serve.stop.set()
    assert (len(serve.sessions), len(secure.sessions)) == (0, 1)


async def test_a_listener_for_tls_needs_somebody_who_speaks_it(logs: Logs) -> None:
    with ExitStack() as stack, trio.fail_after(SECONDS):
        serve = Serving(list(stack.enter_context(listening(ANY))))
        server = Server(session=serve.make)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(server.serve, serve.sockets, serve.stop, tls=serve.sockets))
            client = await serve.client()
            await says(client, b"", b"")
            client.close()
            serve.stop.set()
    assert [entry["event"] for entry in logs] == ["internal error, connection closed"]


async def test_a_listener_may_be_for_other_clients() -> None:
    with ExitStack() as stack, trio.fail_after(SECONDS):
        sockets = [sock for _ in range(2) for sock in stack.enter_context(listening(ANY))]
        usual, other = Serving(sockets), Serving(sockets)
        server = Server(session=usual.make)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(server.serve, sockets, usual.stop, makers={sockets[1]: other.make}))
            for which in (0, 1):
                client = await usual.client(which)
                await says(client, b"", b"%d" % (which + 1))
                client.close()
            usual.stop.set()
    assert (len(usual.sessions), len(other.sessions)) == (1, 1)


async def test_a_session_that_raises_ends_nobody_else(logs: Logs) -> None:
    async with serving() as serve:
        first, second = await serve.client(), await serve.client()
        await says(first, b"", b"1")
        await says(second, b"", b"2")
        await says(first, b"boom", b"")
        await says(second, b"still here", b"still here")
        third = await serve.client()
        await says(third, b"", b"3")
        for client in (first, second, third):
            client.close()
    assert [entry["event"] for entry in logs] == ["internal error, connection closed"]
    assert logs[0]["exc_info"]


async def test_small_writes_are_not_held_back() -> None:
    """Each accepted connection has it from its listener."""
    async with serving() as serve:
        client = await serve.client()
        await says(client, b"", b"1")
        accepted = serve.sessions[0].client
        assert isinstance(accepted, SocketStream)
        assert accepted.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.close()


class Listener:
    """A listening socket that fails to accept."""

    def __init__(self, sock: socket.socket, number: int, times: int) -> None:
        self.sock, self.number, self.times, self.calls = sock, number, times, 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.number, os.strerror(self.number))
        return self.sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("by_reactor", [False, True], ids=["task", "reactor"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_out_of_descriptors_it_waits_and_says_so_once(
    number: int, by_reactor: bool, logs: Logs, nursery: trio.Nursery
) -> None:
    accept: Accept = accept_by_task
    if by_reactor:
        reactor = Reactor()
        await nursery.start(reactor.run)
        accept = reactor.accept
    with listening(ANY) as (sock,):
        listener = Listener(sock, number, times=3)
        serve = Serving([sock])
        async with trio.open_nursery() as nursery:
            server = Server(session=serve.make, accept=accept)
            nursery.start_soon(server.serve, [listener], serve.stop)
            with trio.fail_after(SECONDS):
                started = trio.current_time()
                client = await serve.client()
                await says(client, b"", b"1")
                assert trio.current_time() - started >= 0.25  # it does not spin
                client.close()
            serve.stop.set()
    assert listener.calls <= 3 + 2 + 1
    assert [entry["event"] for entry in logs] == ["cannot accept a connection"]
    assert logs[0]["error"] == os.strerror(number)


async def test_a_client_that_is_gone_before_it_is_accepted(logs: Logs) -> None:
    with listening(ANY) as (sock,):
        listener = Listener(sock, errno.ECONNABORTED, times=5)
        serve = Serving([sock])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(session=serve.make).serve, [listener], serve.stop)
            with trio.fail_after(SECONDS):
                client = await serve.client()
                await says(client, b"", b"1")
                client.close()
            serve.stop.set()
    assert logs == []


# The stop


async def test_stop_closes_the_listeners_and_idle_sessions_at_once(logs: Logs) -> None:
    async with serving(grace=60) as serve:
        client = await serve.client()
        await says(client, b"", b"1")
        name = serve.sockets[0].getsockname()
        started = trio.current_time()
        serve.stop.set()
        assert await client.receive() == b""
        await serve.ended.wait()
        assert trio.current_time() - started < SECONDS
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(name)
        client.close()
    assert [session.shutdowns for session in serve.sessions] == [[False]]
    assert logs == []


async def test_stop_without_a_client() -> None:
    async with serving(grace=60) as serve:
        started = trio.current_time()
        serve.stop.set()
        await serve.ended.wait()
        assert trio.current_time() - started < 1


async def test_a_session_that_has_had_no_turn_yet_is_stopped_too() -> None:
    with listening(ANY) as sockets, socket.create_connection(sockets[0].getsockname()):
        serve = Serving(sockets)

        def makes(client: Stream, peer: str, number: int) -> Echo:
            serve.stop.set()
            return serve.make(client, peer, number)

        with trio.fail_after(SECONDS):
            await Server(session=makes, grace=60).serve(sockets, serve.stop)
    assert [session.shutdowns for session in serve.sessions] == [[False]]


async def test_grace_then_no_mercy(mock_clock: MockClock, logs: Logs) -> None:
    mock_clock.rate = 1  # deadlines hold
    async with serving(grace=SECONDS) as serve:
        stays, goes = await serve.client(), await serve.client()
        await says(stays, b"", b"1")
        await says(goes, b"", b"2")
        await says(stays, b"stay", b"stay")
        started = trio.current_time()
        serve.stop.set()
        assert await goes.receive() == b""
        assert trio.current_time() - started < SECONDS
        await says(stays, b"alive", b"alive")
        mock_clock.jump(SECONDS)
        assert await stays.receive() == b""
        await serve.ended.wait()
        stays.close()
        goes.close()
    assert [session.shutdowns for session in serve.sessions] == [[False, True], [False]]
    assert [entry["event"] for entry in logs] == ["grace period is over, closing in mid-transaction"]
    assert serve.server is not None
    assert serve.server.cut_off == 1


async def test_it_does_not_wait_for_the_grace_period_when_all_have_ended() -> None:
    async with serving(grace=60) as serve:
        client = await serve.client()
        await says(client, b"", b"1")
        await says(client, b"stay", b"stay")
        serve.stop.set()
        await wait_all_tasks_blocked(0.01)
        started = trio.current_time()
        client.close()
        await serve.ended.wait()
        assert trio.current_time() - started < 1


async def test_several_listeners_of_every_kind(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    addresses = [ANY, Address(path=path)] + ([Address("::1", 0)] if HAS_IPV6 else [])
    async with serving(*addresses) as serve:
        for number, sock in enumerate(serve.sockets):
            assert sock.getsockname()[1]
            client = await serve.client(number)
            await says(client, b"", b"%d" % (number + 1))
            client.close()
        peers = [session.peer[:5] for session in serve.sessions]
        assert peers == ["127.0", "unix", "[::1]"][: len(addresses)]
    assert not await trio.Path(path).exists()


async def test_a_session_that_cannot_be_made_is_one_client_refused(logs: Logs) -> None:
    async with serving() as serve:
        serve.fails = True
        client = await serve.client()
        assert await client.receive() == b"421 4.3.0 internal error, try again later\r\n"
        assert await client.receive() == b""
        client.close()
        serve.fails = False
        client = await serve.client()
        await says(client, b"", b"2")
        client.close()
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, connection closed"
