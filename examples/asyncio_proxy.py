"""An SMTP proxy on asyncio.

    python examples/asyncio_proxy.py --listen 127.0.0.1:2525 --upstream 127.0.0.1:25

It prints the address at which it listens, and relays mail between each client that connects and the server.
Ctrl-C ends it.
"""

import asyncio
import contextlib
import logging
import socket

from common import CONNECT_SECONDS, Plumbing, Settings, settings

from sansio_smtp import CLIENT, SERVER, Event, Side


class Session(Plumbing):
    """A task for each side, `pump`, reads it, feeds the core, and sends what comes of it to either side."""

    def __init__(self, client: socket.socket, server: socket.socket, settings: Settings) -> None:
        super().__init__(client, server, settings)
        self.loop = asyncio.get_running_loop()
        self.locks = {CLIENT: asyncio.Lock(), SERVER: asyncio.Lock()}
        self.sends: dict[Side, asyncio.Timeout] = {}  # the last send to each side
        self.changed = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        for sock in self.sockets.values():
            sock.setblocking(False)

    async def run(self) -> None:
        with self.sockets[CLIENT], self.sockets[SERVER] as server:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self.loop.sock_connect(server, self.settings.upstream)
                self.apply([])
            except OSError:
                self.apply(self.proxy.server_unreachable())
            try:
                async with asyncio.TaskGroup() as self.tasks:
                    for side in Side:
                        self.tasks.create_task(self.pump(side))
            except Exception:  # it ends this session, and no other
                logging.exception("a session failed")
            finally:
                if not self.proxy.closed:  # failed, or the service stops
                    self.apply(self.proxy.shutdown(now=True))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await self.flush(CLIENT)
                self.set_deadline(None)

    async def pump(self, side: Side) -> None:
        """Reads a side to its end, even when the dialogue is over."""
        await self.flush(CLIENT)
        data = b" "
        while data:
            while not self.may_read(side):
                self.changed.clear()
                await self.changed.wait()
            try:
                data = await self.loop.sock_recv(self.sockets[side], 65_536)
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
                self.tasks.create_task(self.flush(SERVER))

    async def flush(self, side: Side) -> None:
        """The outbox is taken *and* sent under a lock: no task overtakes another."""
        async with self.locks[side]:
            data = bytes(self.outboxes[side])
            self.outboxes[side].clear()
            # A lost peer is left to its pump, which first reads what that peer has said.
            with contextlib.suppress(OSError):
                async with asyncio.timeout(None) as self.sends[side]:
                    await self.loop.sock_sendall(self.sockets[side], data)
                self.finish(side)

    def reset(self, side: Side) -> None:
        super().reset(side)
        if self.locks[side].locked() and not self.sends[side].expired():
            self.sends[side].reschedule(self.loop.time())  # ends a send that is stuck

    def apply(self, events: list[Event]) -> None:
        super().apply(events)
        self.changed.set()

    def set_deadline(self, seconds: float | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if seconds is None else self.loop.call_later(seconds, self.late)

    def late(self) -> None:
        if self.proxy.closed:
            for side in Side:
                self.reset(side)
        else:
            self.apply(self.proxy.timed_out())
            for side in Side:
                self.tasks.create_task(self.flush(side))


async def serve(settings: Settings) -> None:
    sessions = set()  # asyncio keeps no strong reference to them
    with socket.create_server(settings.listen, backlog=256) as listener:
        listener.setblocking(False)
        print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
        while True:
            try:
                client, _ = await asyncio.get_running_loop().sock_accept(listener)
                session = asyncio.create_task(Session(client, socket.socket(), settings).run())
            except OSError:  # such as no descriptor left
                await asyncio.sleep(1)
                continue
            sessions.add(session)
            session.add_done_callback(sessions.discard)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(settings()))
