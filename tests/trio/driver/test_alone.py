"""A session without a task: what it needs one for, how it ends, and what is left of it then."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from drivers import closed_port
from tcp_peers import QUIET, TcpPeer, no_descriptor_is_left, tcp
from trio.testing import MockClock

from sansio_smtp import Continue, Question
from trio_proxy.driver.alone import CLOSING_SECONDS, SILENCE_SECONDS, STOPPING_SECONDS
from trio_proxy.driver.reactor import AVAILABLE, Reactor
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import Connecting, SocketStream
from trio_proxy.settings.timeouts import Timeouts

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="a session has a task where there is no epoll")

Logs = list[MutableMapping[str, Any]]
TICK = 1.0


@attrs.define
class Scene:
    """A session and its peers."""

    client: TcpPeer
    server: TcpPeer
    session: Session
    nursery: trio.Nursery
    """Of its tasks."""
    ended: trio.Event

    async def hello(self) -> None:
        await self.server.send(b"220 mx")
        await self.client.expect(b"220 mx")
        for line, reply in ((b"HELO c", b"250 mx"), (b"MAIL FROM:<a@b.example>", b"250 ok")):
            await self.client.send(line)
            await self.server.expect(line)
            await self.server.send(reply)
            await self.client.expect(reply)

    async def quit(self) -> None:
        await self.client.send(b"QUIT")
        await self.server.expect(b"QUIT")
        await self.server.send(b"221 bye")
        await self.client.expect(b"221 bye")


@asynccontextmanager
async def scene(clock: MockClock, *, waits: bool = False, **settings: Any) -> AsyncIterator[Scene]:
    """``waits``: the connection to the server has to be waited for."""
    clock.autojump_threshold = QUIET
    with no_descriptor_is_left():
        reactor, ended = Reactor(tick=TICK), trio.Event()
        (client, to_client), (server, to_server) = tcp(stream=reactor.stream), tcp()

        def connect_now() -> SocketStream | Connecting:
            made = Connecting(to_server.sock, reactor.stream)
            return made if waits else reactor.stream(to_server.sock)

        async def connect() -> SocketStream:
            raise AssertionError("not twice")

        shared = Settings(connect=connect, connect_now=connect_now, reactor=reactor, **settings)
        session = Session(to_client, "peer", 1, shared)
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            async with trio.open_nursery() as tasks:
                assert session.begin(tasks, lambda _: ended.set())
                yield Scene(client, server, session, tasks, ended)
                with trio.fail_after(2 * CLOSING_SECONDS):
                    await ended.wait()
            nursery.cancel_scope.cancel()
        client.close()
        server.close()
        assert to_client.sock.fileno() == to_server.sock.fileno() == -1


@pytest.mark.parametrize("waits", [False, True])
async def test_a_session_that_need_not_wait_has_no_task(mock_clock: MockClock, waits: bool) -> None:
    async with scene(mock_clock, waits=waits) as run:
        assert len(run.nursery.child_tasks) == waits
        await run.hello()
        assert not run.nursery.child_tasks
        await run.quit()
        assert not run.nursery.child_tasks
        run.client.close()


async def test_what_has_to_wait_has_a_task_for_as_long(mock_clock: MockClock) -> None:
    async def judge(_: Question[Any]) -> Continue:
        await trio.sleep(1)
        return Continue()

    async with scene(mock_clock, ask=frozenset({"VRFY"}), judge=judge) as run:
        await run.hello()
        for _ in range(2):
            await run.client.send(b"VRFY x")
            await trio.sleep(0.5)
            assert len(run.nursery.child_tasks) == 1
            await run.server.expect(b"VRFY x")
            await run.server.send(b"252 maybe")
            await run.client.expect(b"252 maybe")
            assert not run.nursery.child_tasks
        await run.quit()
        run.client.close()


async def test_the_time_of_a_session_without_a_task_is_over(mock_clock: MockClock, logs: Logs) -> None:
    async with scene(mock_clock, timeouts=Timeouts(idle=30, command=40)) as run:
        await run.hello()
        before = trio.current_time()
        await run.client.expect(b"421 4.4.2 timeout: no command received, closing")
        assert 40 <= trio.current_time() - before <= 40 + 2 * TICK
        assert not run.nursery.child_tasks
        run.client.close()
    assert [entry["event"] for entry in logs] == ["timeout"]


async def test_a_client_that_stays_silent_after_the_end_is_closed(mock_clock: MockClock) -> None:
    async with scene(mock_clock) as run:
        await run.hello()
        await run.quit()
        before = trio.current_time()
        await run.ended.wait()
        assert SILENCE_SECONDS <= trio.current_time() - before <= SILENCE_SECONDS + 2 * TICK


async def test_a_client_that_goes_on_talking_is_closed_all_the_same(mock_clock: MockClock) -> None:
    async with scene(mock_clock) as run:
        await run.hello()
        await run.quit()
        before = trio.current_time()
        while not run.ended.is_set():
            await run.client.raw(b"?")
            await trio.sleep(1)
        assert CLOSING_SECONDS <= trio.current_time() - before <= CLOSING_SECONDS + 2


@pytest.mark.parametrize("closes_before", [False, True])
async def test_after_the_grace_period_of_a_stop_it_is_closed_soon(
    mock_clock: MockClock, closes_before: bool
) -> None:
    async with scene(mock_clock) as run:
        await run.hello()
        if closes_before:
            await run.quit()
        run.session.shutdown(now=True)
        before = trio.current_time()
        while not run.ended.is_set():
            await run.client.raw(b"?")
            await trio.sleep(0.5)
        assert STOPPING_SECONDS <= trio.current_time() - before <= STOPPING_SECONDS + 2 * TICK
        if not closes_before:
            await run.client.expect(b"421 4.3.2 service is shutting down, try again later")


async def test_a_last_reply_that_does_not_leave_is_waited_for(mock_clock: MockClock) -> None:
    async with scene(mock_clock) as run:
        await run.hello()
        run.session._client.put(b"x" * 20_000_000)  # more than the kernel takes, and the client reads nothing
        await run.client.send(b"QUIT")
        await run.server.expect(b"QUIT")
        await run.server.send(b"221 bye")
        await trio.sleep(1)
        assert len(run.nursery.child_tasks) == 1
        last = b""
        while len(octets := await run.client.stream.receive_some()) > 0:
            last = octets
        assert last.endswith(b"221 bye\r\n")
        run.client.close()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_session_that_is_dropped_leaves_nothing(
    mock_clock: MockClock, waits: bool, logs: Logs
) -> None:
    async with scene(mock_clock, waits=waits) as run:
        if not waits:
            await run.hello()
        run.nursery.cancel_scope.cancel()
        await trio.lowlevel.cancel_shielded_checkpoint()
        run.session.drop()
        run.session.drop()
        assert run.ended.is_set()


async def test_a_fault_at_the_end_of_a_session_is_logged(
    mock_clock: MockClock, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Session, "finish_now", fails)
    async with scene(mock_clock) as run:
        await run.hello()
        await run.client.send(b"QUIT")
        await run.server.expect(b"QUIT")
        await run.server.send(b"221 bye")
        await run.ended.wait()
    assert [entry["event"] for entry in logs] == ["internal error, connection closed"]


async def test_sockets_of_a_server_that_refuses(mock_clock: MockClock, logs: Logs) -> None:
    sock = socket.socket()
    sock.setblocking(False)
    with closed_port() as port, pytest.raises(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        await Connecting(sock, SocketStream).connected()
    assert sock.fileno() == -1
