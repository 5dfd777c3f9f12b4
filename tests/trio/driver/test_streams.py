"""Sockets as streams, and connections made."""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from drivers import closed_port
from trio.testing import wait_all_tasks_blocked

from trio_proxy.driver import reactor, streams
from trio_proxy.driver.reactor import AVAILABLE, Reactor
from trio_proxy.driver.streams import SEGMENT, USUAL, SocketStream, connect
from trio_proxy.text.addresses import Address

SECONDS = 30.0
"""Deadline of every wait."""


# Sockets


@contextmanager
def sockets(family: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, and the second is a test's."""
    if family == "unix":
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    peer.settimeout(SECONDS)
    with ours, peer:
        yield ours, peer


@pytest.fixture(params=["unix", "tcp"])
def plain(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A stream, and the socket at its other end."""
    with sockets(request.param) as (ours, peer):
        yield SocketStream(ours), peer


@pytest.fixture(params=["unix", "tcp", "unix-reactor", "tcp-reactor"][: 4 if AVAILABLE else 2])
async def pair(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Pair]:
    """The same; or one of a reactor."""
    family, _, in_reactor = request.param.partition("-")
    with sockets(family) as (ours, peer):
        if in_reactor:
            reactor = Reactor()
            await nursery.start(reactor.run)
            yield reactor.stream(ours), peer
        else:
            yield SocketStream(ours), peer


Pair = tuple[SocketStream, socket.socket]


async def send_all(stream: SocketStream, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[await stream.send_some(rest) :]


async def test_a_reader_that_is_interrupted_leaves_what_comes_to_another_one(pair: Pair) -> None:
    stream, peer = pair
    interrupted: list[bool] = []

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive()
        interrupted.append(True)

    stream.interrupt()  # nobody waits: nobody is interrupted
    peer.sendall(b"EHLO")
    with trio.fail_after(SECONDS):
        assert await stream.receive() == b"EHLO"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            stream.interrupt()
            peer.sendall(b"ClientHello")
        assert interrupted
        assert await stream.receive() == b"ClientHello"


async def test_octets_go_both_ways(pair: Pair) -> None:
    stream, peer = pair
    with trio.fail_after(SECONDS):
        await send_all(stream, b"hello")
        assert peer.recv(100) == b"hello"
        peer.sendall(b"world")
        assert await stream.receive() == b"world"
        peer.shutdown(socket.SHUT_WR)
        assert await stream.receive() == b""
        await send_all(stream, b"still")
        assert peer.recv(100) == b"still"


async def test_only_after_a_full_read_more_is_asked_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each short read would leave a large hole in the memory."""
    stream, peer = pair
    assert stream._most == USUAL
    for module in (reactor, streams):
        monkeypatch.setattr(module, "USUAL", 10)
        monkeypatch.setattr(module, "SEGMENT", 20)
    stream._most = 10
    for octets, reads in ((37, [10, 20, 7]), (12, [10, 2])):
        peer.sendall(bytes(octets))
        with trio.fail_after(SECONDS):
            assert [len(await stream.receive()) for _ in reads] == reads


async def test_more_than_the_kernel_takes(pair: Pair) -> None:
    stream, peer = pair
    data = os.urandom(8_000_000)
    received = bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(peer.recv(100_000))

    with trio.fail_after(SECONDS):
        sent = 0
        blocked = trio.CancelScope()
        while not blocked.cancelled_caught:
            with trio.move_on_after(0.1) as blocked:
                sent += await stream.send_some(memoryview(data)[sent:])
        # What was on its way has made room in the meantime, maybe.
        while more := stream.send_now(memoryview(data)[sent:]):
            sent += more
        assert sent < len(data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, read)
            await send_all(stream, data[sent:])
    assert received == data


async def test_a_flood_gives_others_their_turn(pair: Pair) -> None:
    """Reads that find octets at once do not wait; but a task that never waits would starve all others."""
    stream, peer = pair
    peer.setblocking(False)
    turns = [0]

    async def other() -> None:
        while True:
            turns[0] += 1
            await trio.lowlevel.checkpoint()

    def fill() -> None:
        with suppress(BlockingIOError):
            while True:
                peer.send(b"x" * SEGMENT)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(100):
                fill()
                assert await stream.receive()
            nursery.cancel_scope.cancel()
    assert turns[0] >= 5


async def test_closed_while_another_task_waits(pair: Pair) -> None:
    stream, peer = pair
    outcome: list[str] = []

    async def receive() -> None:
        try:
            await stream.receive()
        except trio.ClosedResourceError:
            outcome.append("closed")

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            stream.close()
    assert outcome == ["closed"]
    assert peer.recv(100) == b""
    stream.close()
    stream.abort()
    stream.finish_sending()


async def test_an_end_is_no_reset_and_the_other_way_is_open(pair: Pair) -> None:
    stream, peer = pair
    await send_all(stream, b"bye")
    stream.finish_sending()
    assert peer.recv(100) == b"bye"
    assert peer.recv(100) == b""
    peer.sendall(b"late")
    with trio.fail_after(SECONDS):
        assert await stream.receive() == b"late"


async def test_abort_resets(pair: Pair) -> None:
    stream, peer = pair
    if stream.sock.family == socket.AF_UNIX:
        stream.abort()  # there is no such thing; it is closed
        assert peer.recv(100) == b""
        return
    await send_all(stream, b"half a message")
    assert peer.recv(100) == b"half a message"
    stream.abort()
    with pytest.raises(ConnectionResetError):
        peer.recv(100)


# Connections


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", ""])
async def test_connect(host: str) -> None:
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::1" if host == "::1" else "127.0.0.1", 0), family=family) as listener:
        with trio.fail_after(SECONDS):
            stream = await connect(Address(host, listener.getsockname()[1]))
        peer, _ = listener.accept()
        with peer:
            assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await send_all(stream, b"hi")
            assert peer.recv(10) == b"hi"
        stream.close()


@pytest.mark.parametrize(("host", "is_name"), [("127.0.0.1", False), ("::1", False), ("fe80::1%lo", True)])
async def test_an_ip_address_is_not_looked_up(
    host: str, is_name: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise OSError("looked up")

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    with socket.socket() as sock:
        monkeypatch.setattr(streams, "_connect", _returning(sock))
        with pytest.raises(OSError, match="looked up") if is_name else nullcontext():
            await connect(Address(host, 25))


def _returning(value: object) -> Any:
    async def function(*_: Any) -> object:
        return value

    return function


async def test_a_server_that_has_taken_the_connection_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Socket(socket.socket):
        def connect(self, where: Any) -> None:
            self.setblocking(True)
            super().connect(where)
            self.setblocking(False)
            raise BlockingIOError  # as the kernel says even if it is connected

    async def waits(_: socket.socket) -> None:
        raise AssertionError("it waits")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(streams.socket, "socket", Socket)
        monkeypatch.setattr(trio.lowlevel, "wait_writable", waits)
        stream = await connect(Address("127.0.0.1", listener.getsockname()[1]))
        stream.close()


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, closed_port() as closed:
        nobody, somebody = ("127.0.0.1", closed), listener.getsockname()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in (nobody, somebody)]

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return found

        monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
        with trio.fail_after(SECONDS):
            stream = await connect(Address("two.example", 25))
            assert stream.sock.getpeername() == somebody
            stream.close()
            found.pop()
            with pytest.raises(ConnectionRefusedError):
                await connect(Address("two.example", 25))
            found.clear()
            with pytest.raises(OSError, match="has no address"):
                await connect(Address("two.example", 25))


async def test_connect_to_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        stream = await connect(Address(path=path))
        stream.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(Address(path=path))
    with pytest.raises(FileNotFoundError):
        await connect(Address(path=path + "-not"))
    gc.collect()  # a socket that was forgotten warns here


async def test_nobody_listens() -> None:
    with closed_port() as port:
        for host in ("127.0.0.1", "localhost"):
            with trio.fail_after(SECONDS), pytest.raises(ConnectionRefusedError):
                await connect(Address(host, port))
    gc.collect()


@pytest.mark.parametrize("host", ["two..dots", "x" * 64 + ".example"])
async def test_what_is_no_host_name_is_an_oserror_like_any_other(host: str) -> None:
    with pytest.raises(OSError, match="is no host name"):
        await connect(Address(host, 25))


async def test_cancelled_it_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Socket(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def connect(self, where: Any) -> None:
            raise BlockingIOError  # as of a host that never answers

    async def never(sock: socket.socket) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(streams.socket, "socket", Socket)
    monkeypatch.setattr(trio.lowlevel, "wait_writable", never)
    with trio.move_on_after(0.05) as scope:
        await connect(Address("127.0.0.1", 25))
    assert scope.cancelled_caught
    assert [sock.fileno() for sock in made] == [-1]


# Lost, or only ended


def test_octets_and_an_end_are_no_loss(plain: Pair) -> None:
    stream, peer = plain
    assert not stream.is_lost()
    peer.sendall(b"hello")
    assert not stream.is_lost()
    peer.shutdown(socket.SHUT_WR)
    assert not stream.is_lost()


async def test_an_end_that_was_read_is_no_loss(pair: Pair) -> None:
    stream, peer = pair
    peer.shutdown(socket.SHUT_WR)
    assert await stream.receive() == b""
    assert not stream.is_lost()


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("unread", [False, True])
def test_a_reset_is_a_loss(plain: Pair, ended: bool, unread: bool) -> None:
    stream, peer = plain
    if unread:
        peer.sendall(b"hello")
    if ended:
        peer.shutdown(socket.SHUT_WR)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert stream.is_lost()


def test_a_closed_stream_is_lost(plain: Pair) -> None:
    stream, _ = plain
    stream.sock.close()
    assert stream.is_lost()


def test_where_there_is_no_connection_none_is_lost() -> None:
    assert not streams.NOWHERE.is_lost()
