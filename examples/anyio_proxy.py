"""An SMTP proxy on AnyIO, which runs on asyncio or on Trio.

    python examples/anyio_proxy.py --listen 127.0.0.1:2525 --upstream 127.0.0.1:25 --backend trio

It prints the address at which it listens, and relays mail between each client that connects and the server.
Ctrl-C ends it: clients are told 421, and their connections are closed.
"""

import argparse
import contextlib
import logging
import os
import signal
import socket

import anyio
from common import CONNECT_SECONDS, Address, Plumbing, Settings, settings

from sansio_smtp import CLIENT, SERVER, Event, Side


class Session(Plumbing):
    """A task for each side, `pump`, reads it, feeds the core, and sends what comes of it to either side. One
    more task waits for the deadline."""

    def __init__(self, client: socket.socket, server: socket.socket, settings: Settings) -> None:
        super().__init__(client, server, settings)
        self.locks = {CLIENT: anyio.Lock(), SERVER: anyio.Lock()}
        self.sends: dict[Side, anyio.CancelScope] = {}  # the last send to each side
        self.changed = anyio.Event()
        self.timer = anyio.CancelScope()
        for sock in self.sockets.values():
            sock.setblocking(False)

    async def run(self) -> None:
        with self.sockets[CLIENT], self.sockets[SERVER] as server:
            try:
                with anyio.fail_after(CONNECT_SECONDS):
                    await connect(server, self.settings.upstream)
                self.apply([])
            except OSError:
                self.apply(self.proxy.server_unreachable())
            try:
                async with anyio.create_task_group() as watching:
                    watching.start_soon(self.watch)
                    async with anyio.create_task_group() as self.tasks:
                        for side in Side:
                            self.tasks.start_soon(self.pump, side)
                    watching.cancel_scope.cancel()
            except Exception:  # it ends this session, and no other
                logging.exception("a session failed")
            finally:
                if not self.proxy.closed:  # failed, or the service stops
                    self.apply(self.proxy.shutdown(now=True))
                    with anyio.move_on_after(1, shield=True):
                        await self.flush(CLIENT)

    async def pump(self, side: Side) -> None:
        """Reads a side to its end, even when the dialogue is over."""
        await self.flush(CLIENT)
        data = b" "
        while data:
            while not self.may_read(side):
                await self.changed.wait()
            try:
                data = await receive(self.sockets[side])
            except OSError:  # lost is ended
                data = b""
            self.apply(self.received(side, data))
            if not data and self.closing.get(side):
                async with self.locks[side]:
                    self.sockets[side].close()
            await self.flush(CLIENT)  # before the next read: this is the back-pressure
            if side is CLIENT:
                await self.flush(SERVER)
            else:  # the server may wait for us to read its replies, before it reads on
                self.tasks.start_soon(self.flush, SERVER)

    async def flush(self, side: Side) -> None:
        """The outbox is taken *and* sent under a lock: no task overtakes another."""
        async with self.locks[side]:
            data = bytes(self.outboxes[side])
            self.outboxes[side].clear()
            # A lost peer is left to its pump, which first reads what that peer has said.
            with contextlib.suppress(OSError), anyio.CancelScope() as self.sends[side]:
                await send(self.sockets[side], data)
                self.finish(side)

    def reset(self, side: Side) -> None:
        super().reset(side)
        if side in self.sends:
            self.sends[side].cancel()  # ends a send that is stuck

    def apply(self, events: list[Event]) -> None:
        super().apply(events)
        self.changed.set()
        self.changed = anyio.Event()

    def set_deadline(self, seconds: float) -> None:
        self.timer.deadline = anyio.current_time() + seconds

    async def watch(self) -> None:
        """Tells the core that the deadline has passed, and then that the time for the last octets has."""
        while True:
            with self.timer:
                await anyio.sleep_forever()
            if self.proxy.closed:
                break
            self.timer = anyio.CancelScope()
            self.apply(self.proxy.timed_out())
            for side in Side:
                self.tasks.start_soon(self.flush, side)
        for side in Side:
            self.reset(side)


# Sockets


async def connect(sock: socket.socket, address: Address) -> None:
    found = await anyio.getaddrinfo(*address, family=sock.family, type=sock.type)
    with contextlib.suppress(BlockingIOError):
        sock.connect(found[0][4])
    await anyio.wait_writable(sock)
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


async def receive(sock: socket.socket) -> bytes:
    await anyio.wait_readable(sock)
    return sock.recv(65_536)


async def send(sock: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        await anyio.wait_writable(sock)
        left = left[sock.send(left) :]


async def serve(settings: Settings) -> None:
    with socket.create_server(settings.listen, backlog=256) as listener:
        listener.setblocking(False)
        async with anyio.create_task_group() as sessions:
            sessions.start_soon(stop_on_signal, sessions.cancel_scope)
            print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
            while True:
                await anyio.wait_readable(listener)
                try:
                    session = Session(listener.accept()[0], socket.socket(), settings)
                except OSError:  # such as no descriptor left
                    await anyio.sleep(1)
                    continue
                sessions.start_soon(session.run)


async def stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    chosen = settings(parser)
    anyio.run(serve, chosen, backend=chosen.options.backend)
