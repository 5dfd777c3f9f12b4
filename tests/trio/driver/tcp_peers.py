"""A session between two scripted peers on TCP, where a reset and an end are different things.

The clock is the mock one and jumps when nothing happens for a moment, so that no test waits for seconds.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from math import inf
from typing import Any
from unittest.mock import patch

import attrs
import trio
from io_modes import io_mode
from streams import Peer, Running, TrioStream
from trio.testing import MockClock

from trio_proxy.driver.reactor import Reactor
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, Stream

QUIET = 0.02
"""Seconds without any event after which the clock jumps: octets on loopback take less."""
TICK = 1.0
"""Between two looks of a reactor at the time limits: each jump of the clock goes so far."""
MOMENT = 3.0
"""Seconds within which a connection that nobody needs must be closed."""


def opened_files() -> dict[str, str]:
    """What each descriptor of this process stands for: a path, or a kind and a number of its own."""
    found: dict[str, str] = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # of the list itself
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


@contextmanager
def no_descriptor_is_left() -> Iterator[None]:
    """What was open before may be closed meanwhile: the collector finds what another test forgot."""
    before = opened_files()
    yield
    assert opened_files().items() - before.items() == set()


@contextmanager
def jumps_when_quiet(clock: MockClock) -> Iterator[None]:
    """The clock jumps when nothing happens, except while a thread works: a disk may take any time."""
    working, run_sync = 0, trio.to_thread.run_sync

    async def run_and_stand_still(*arguments: Any, **options: Any) -> Any:
        nonlocal working
        working += 1
        clock.autojump_threshold = inf
        try:
            return await run_sync(*arguments, **options)
        finally:
            working -= 1
            if not working:
                clock.autojump_threshold = QUIET

    clock.autojump_threshold = QUIET
    with patch.object(trio.to_thread, "run_sync", run_and_stand_still):
        yield


class TcpPeer(Peer):
    """A peer at the other end of a TCP connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.tcp = trio.socket.from_stdlib_socket(sock)
        stream: Any = trio.SocketStream(self.tcp)
        super().__init__(stream, TrioStream(stream))

    def half_close(self) -> None:
        """FIN: it still reads."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.tcp.close()  # `stream` may be one of TLS over it

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def end_and_reset(self) -> None:
        """FIN, and a moment later RST."""
        self.half_close()
        self.reset()

    async def more(self) -> bool:
        try:
            return await super().more()
        except trio.BrokenResourceError:
            self.was_reset = True
            return False

    was_reset = False


def tcp(
    buffer: int | None = None, stream: Callable[[socket.socket], SocketStream] = SocketStream
) -> tuple[TcpPeer, SocketStream]:
    """A peer, and a session's end of the connection to it; ``buffer``: octets that the kernel keeps."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        far = socket.socket()
        if buffer is not None:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        far.connect(listener.getsockname())
        near, _ = listener.accept()
    if buffer is not None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    near.setblocking(False)
    far.setblocking(False)
    for sock in (far, near):  # the service does it too; held back, octets would come after the clock's jump
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return TcpPeer(far), stream(near)


@attrs.define
class TcpRunning(Running):
    """A session and its peers; `servers` are those of later connections."""

    of_client: SocketStream = attrs.field(kw_only=True)
    """The session's end of the client's connection."""
    servers: list[TcpPeer] = attrs.field(factory=list[TcpPeer])

    async def until_closed(self, *, within: float = MOMENT) -> None:
        """The session ends, without any help, within these seconds."""
        before = trio.current_time()
        await self.until_ended()
        assert trio.current_time() - before <= within


Connect = Callable[[SocketStream], Awaitable[Stream]]


@asynccontextmanager
async def over_tcp(
    clock: MockClock,
    *,
    connect: Connect | None = None,
    connect_to: Connect | None = None,
    buffer: int | None = None,
    io: str | None = None,
    peer: str = "peer",
    **settings: Any,
) -> AsyncIterator[TcpRunning]:
    """Runs a session. At the end of the block it must have ended, and no descriptor may be left. ``io``: how
    sockets are read, if it is not the mode of the run. ``peer``: the address of the client."""
    with jumps_when_quiet(clock), no_descriptor_is_left(), ExitStack() as opened:
        reactor = Reactor(tick=TICK) if (io or io_mode()) == "reactor" else None
        if reactor is not None:
            settings["reactor"] = reactor
        pairs: list[tuple[TcpPeer, SocketStream]] = []

        def pair(buffer: int | None = None) -> tuple[TcpPeer, SocketStream]:
            pairs.append(tcp(buffer, SocketStream if reactor is None else reactor.stream))
            opened.callback(pairs[-1][1].sock.close)  # if it was never connected
            opened.callback(pairs[-1][0].close)
            return pairs[-1]

        (client, to_client), (server, to_server) = pair(), pair(buffer)

        async def connects() -> Stream:
            return await connect(to_server) if connect else to_server

        def connects_now() -> Stream | None:
            return None if connect else to_server

        async def connects_to(_: str) -> Stream:
            peer, stream = pair()
            running.servers.append(peer)
            return await connect_to(stream) if connect_to else stream

        shared = Settings(connect=connects, connect_now=connects_now, connect_to=connects_to, **settings)
        running = TcpRunning(Session(to_client, peer, 1, shared), client, server, of_client=to_client)

        async def run() -> None:
            await running.session.run()
            running.ended.set()

        async with trio.open_nursery() as nursery:
            if reactor is not None:
                await nursery.start(reactor.run)
            if shared.sweep is not None:
                await nursery.start(shared.sweep.run)
            if not running.session.begin(nursery, lambda _: running.ended.set()):
                nursery.start_soon(run)
            yield running
            await running.until_ended()
            nursery.cancel_scope.cancel()
        assert to_client.sock.fileno() == -1
        assert connect is not None or to_server.sock.fileno() == -1
