"""The reactor: sockets that are read without a task, and time limits that are looked at."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import CLIENT, SERVER, Side
from trio_proxy.driver import reactor as module
from trio_proxy.driver.reactor import Reactor, WatchedStream
from trio_proxy.driver.streams import SEGMENT

SECONDS = 30.0


async def eventually(holds: Callable[[], bool]) -> None:
    with trio.fail_after(SECONDS):
        while not holds():  # noqa: ASYNC110 - the kernel says it to nobody else
            await trio.sleep(0.001)


@attrs.define(eq=False)
class Reading:
    """A session's reader, which takes as much as a test lets it."""

    takes: Callable[[bytes], bool] = lambda _: True
    came: list[object] = attrs.field(factory=list[object])

    def take(self, side: Side, data: bytes) -> bool:
        self.came.append(data)
        return self.takes(data)

    def lose(self, side: Side, error: OSError) -> None:
        self.came.append(type(error))

    def gone(self, side: Side) -> None:
        self.came.append("gone")

    def writable(self, side: Side) -> None:
        self.came.append(side)


@attrs.define(eq=False)
class Scene:
    reactor: Reactor
    stream: WatchedStream
    peer: socket.socket
    reader: Reading = attrs.field(factory=Reading)

    async def until(self, *came: object) -> None:
        """This, and nothing else, has come."""
        await eventually(lambda: len(self.reader.came) >= len(came))
        await wait_all_tasks_blocked()
        assert self.reader.came == [*came]
        self.reader.came.clear()

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> AsyncIterator[Scene]:
    reactor = Reactor()
    await nursery.start(reactor.run)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The peer keeps so little that there is no room to write when that, some time later, is acknowledged.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    with ours, peer:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        ours.setblocking(False)
        yield Scene(reactor, reactor.stream(ours), peer)


# Reading


async def test_what_comes_is_taken_without_a_task(scene: Scene) -> None:
    assert scene.stream.hand_over(scene.reader, CLIENT)
    for octets in (b"EHLO", b"MAIL"):
        scene.peer.sendall(octets)
        await scene.until(octets)
    scene.peer.shutdown(socket.SHUT_WR)
    await scene.until(b"")


async def test_what_has_come_before_is_taken_at_once(scene: Scene) -> None:
    scene.peer.sendall(b"EHLO")
    await eventually(lambda: scene.stream._readable)
    scene.stream.hand_over(scene.reader, CLIENT)
    assert scene.reader.came == [b"EHLO"]


async def test_what_is_not_taken_waits(scene: Scene) -> None:
    scene.reader.takes = lambda _: False
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.peer.sendall(b"EHLO")
    await scene.until(b"EHLO")
    scene.peer.sendall(b"MAIL")
    await scene.until()
    scene.stream.hand_over(scene.reader, CLIENT)
    await scene.until(b"MAIL")


async def test_an_end_after_octets_that_were_not_all_taken(scene: Scene) -> None:
    scene.reader.takes = lambda _: False
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.peer.sendall(b"QUIT")
    scene.peer.shutdown(socket.SHUT_WR)
    await scene.until(b"QUIT")
    scene.stream.hand_over(scene.reader, CLIENT)
    await scene.until(b"")


async def test_a_flood_has_its_turn_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one turn's reads: no event says that there is more."""
    monkeypatch.setattr(module, "SEGMENT", 10)
    scene.stream._most = 10
    octets = bytes(range(250)) * 4
    scene.peer.sendall(octets)
    scene.stream.hand_over(scene.reader, CLIENT)
    pieces = [octets[i : i + 10] for i in range(0, len(octets), 10)]
    await eventually(lambda: len(scene.reader.came) >= len(pieces))
    assert scene.reader.came == pieces


async def test_a_flood_that_a_task_begins_to_read_is_read_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT", 10)
    scene.stream._most = 10
    octets = bytes(range(200))
    scene.peer.sendall(octets)
    await eventually(lambda: scene.stream._readable)
    scene.stream.hand_over(scene.reader, CLIENT)  # not in the reactor's turn
    await eventually(lambda: len(scene.reader.came) >= 20)
    assert b"".join(scene.reader.came) == octets  # type: ignore[arg-type]


async def test_a_reset_while_it_is_read(scene: Scene) -> None:
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.reset()
    await scene.until(ConnectionResetError)
    assert scene.stream.is_lost()


async def test_a_reset_while_it_is_not_read(scene: Scene) -> None:
    scene.reader.takes = lambda _: False
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.peer.sendall(b"EHLO")
    await scene.until(b"EHLO")
    assert not scene.stream.is_lost()
    scene.reset()
    await scene.until("gone")


async def test_an_end_and_a_reset_in_one_event(scene: Scene) -> None:
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.peer.shutdown(socket.SHUT_WR)
    scene.reset()
    await eventually(lambda: len(scene.reader.came) >= 1)
    assert scene.reader.came in ([b"", "gone"], [ConnectionResetError])


async def test_nothing_is_given_after_an_interrupt(scene: Scene) -> None:
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.stream.interrupt()
    scene.peer.sendall(b"ClientHello")
    await scene.until()
    with trio.fail_after(SECONDS):
        assert await scene.stream.receive() == b"ClientHello"


async def test_a_reader_may_close_what_it_reads(scene: Scene) -> None:
    def close(_: bytes) -> bool:
        scene.stream.close()
        return True

    scene.reader.takes = close
    scene.stream.hand_over(scene.reader, CLIENT)
    scene.peer.sendall(b"QUIT")
    await scene.until(b"QUIT")
    assert scene.stream.sock.fileno() == -1


# Writing


async def test_room_to_write_is_told_once(scene: Scene) -> None:
    assert not scene.stream.when_writable()  # nobody to tell
    scene.stream.hand_over(scene.reader, SERVER)
    while scene.stream.send_now(bytes(SEGMENT)):
        pass
    assert scene.stream.when_writable()
    await scene.until()
    with trio.fail_after(SECONDS):
        while not scene.reader.came:
            scene.peer.recv(SEGMENT)
            await trio.lowlevel.checkpoint()
    assert scene.reader.came == [SERVER]


# Time limits


class Limit:
    def __init__(self) -> None:
        self.looks: list[float] = []
        self.fails = False

    def look(self, now: float) -> None:
        self.looks.append(now)
        if self.fails:
            raise ZeroDivisionError


async def test_limits_are_looked_at_in_each_tick(
    autojump_clock: MockClock, logs: list[MutableMapping[str, Any]], nursery: trio.Nursery
) -> None:
    reactor = Reactor.for_limits(shortest=16.0)
    await nursery.start(reactor.run)
    kept, fails, forgotten = Limit(), Limit(), Limit()
    fails.fails = True
    for limit in (kept, fails, forgotten):
        reactor.sweep(limit)
    reactor.forget(forgotten)
    await trio.sleep(1.6)
    assert kept.looks == pytest.approx([0.5, 1.0, 1.5])
    assert len(fails.looks) == 1  # and the others are still looked at
    assert forgotten.looks == []
    assert ["internal error" in line["event"] for line in logs] == [True]


# The end


async def test_a_reactor_that_has_ended_takes_no_socket(nursery: trio.Nursery) -> None:
    """A session may just have connected its server when the service ends at once: that is no error of ours,
    and no descriptor is left."""
    reactor = Reactor()
    async with trio.open_nursery() as own:
        await own.start(reactor.run)
        own.cancel_scope.cancel()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
    with pytest.raises(OSError, match="cannot be watched"):
        reactor.stream(ours)
    assert ours.fileno() == -1


# Listeners


@attrs.define(eq=False)
class Door:
    """A listener in a reactor, and the clients that were taken."""

    listener: socket.socket
    taken: list[socket.socket] = attrs.field(factory=list[socket.socket])
    raises: Exception | None = None
    calls: int = 0

    def take(self) -> bool:
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        try:
            self.taken.append(self.listener.accept()[0])
        except BlockingIOError:
            return False
        return True

    def client(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname())


@pytest.fixture
def door() -> Iterator[Door]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        door = Door(listener)
        yield door
        for sock in door.taken:
            sock.close()


async def test_clients_are_taken_without_a_task(scene: Scene, door: Door, nursery: trio.Nursery) -> None:
    nursery.start_soon(scene.reactor.accept, door.listener, door.take)
    with ExitStack() as stack:
        clients = [stack.enter_context(door.client()) for _ in range(10)]  # more than one look takes
        await eventually(lambda: len(door.taken) == len(clients))


async def test_what_ends_the_taking_is_raised_at_once(scene: Scene, door: Door) -> None:
    door.raises = OSError(errno.EMFILE, "too many")
    with door.client(), trio.fail_after(SECONDS):
        with pytest.raises(OSError, match="too many"):
            await scene.reactor.accept(door.listener, door.take)
        assert door.calls == 1
        door.raises = None
        async with trio.open_nursery() as again:  # after a pause: the client still waits
            again.start_soon(scene.reactor.accept, door.listener, door.take)
            await eventually(lambda: len(door.taken) == 1)
            again.cancel_scope.cancel()


async def test_a_listener_that_others_have_too_leaves_the_set(scene: Scene, door: Door) -> None:
    with door.listener.dup() as of_another_process:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.reactor.accept, door.listener, door.take)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        door.listener.close()
        with socket.create_connection(of_another_process.getsockname()), trio.fail_after(SECONDS):
            scene.peer.sendall(b"x")
            scene.stream.hand_over(scene.reader, CLIENT)
            await scene.until(b"x")  # and the reactor waits again
        assert not door.calls


async def test_a_listener_of_a_reactor_that_has_ended(door: Door) -> None:
    reactor = Reactor()
    async with trio.open_nursery() as nursery:
        await nursery.start(reactor.run)
        nursery.start_soon(reactor.accept, door.listener, door.take)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(ValueError, match="closed"), trio.fail_after(SECONDS):
        await reactor.accept(door.listener, door.take)
