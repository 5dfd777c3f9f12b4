"""What asyncio_proxy.py and threads_proxy.py share: all of a driver that does not depend on how it waits."""

import argparse
import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from sansio_smtp import CLIENT, SERVER, Close, Event, Proxy, SendToClient, SendToServer, Side, WaitingFor

# The core has no clock: it says what it waits for, and these are the seconds of RFC 5321 §4.5.3.2.
SECONDS = {
    WaitingFor.GREETING: 300.0,
    WaitingFor.COMMAND: 300.0,
    WaitingFor.REPLY: 300.0,
    WaitingFor.CONTENT: 180.0,
    WaitingFor.FINAL_REPLY: 600.0,
    WaitingFor.VERDICT: 60.0,
    WaitingFor.NOTHING: 5.0,  # all is said, and the last octets are on their way
}
CONNECT_SECONDS = 30.0
TICK = 1.0  # no thread sleeps longer without a look at the deadline

Address = tuple[str, int]


class Lock(Protocol):
    def locked(self) -> bool: ...


class Plumbing:
    """One client, its server, and the core between them."""

    locks: Mapping[Side, "Lock"]  # held by the task or thread that sends to that side

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.proxy = Proxy()
        self.sockets = {CLIENT: client, SERVER: server}
        for sock in self.sockets.values():
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.outboxes = {CLIENT: bytearray(), SERVER: bytearray()}
        self.closing: dict[Side, bool] = {}  # side → True if it is to be reset
        self.progress: object = None

    def apply(self, events: list[Event]) -> None:
        """Does what the core decided. Nothing here waits, and nothing may come between a call of the core
        and this: so the order of the core is the order on the wire, whichever side brought the events."""
        for event in events:
            if isinstance(event, SendToClient):
                self.outboxes[CLIENT] += event.data
            elif isinstance(event, SendToServer):
                self.outboxes[SERVER] += event.data
            elif isinstance(event, Close):
                self.closing[event.side] = event.abort
                if event.abort:
                    self.reset(event.side)
        # Not every octet moves the deadline: a peer that sends one now and then makes no progress.
        if self.progress != (progress := (self.proxy.waiting_for, self.proxy.progress)):
            self.progress = progress
            self.set_deadline(SECONDS[self.proxy.waiting_for])

    def reset(self, side: Side) -> None:
        """From now on closing this socket sends RST. Ends a read that waits there, and a send that is stuck.
        Sending is shut down, which asks for FIN, only if a send is stuck: then RST comes before that FIN."""
        self.outboxes[side].clear()
        with contextlib.suppress(OSError):
            self.sockets[side].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sockets[side].shutdown(socket.SHUT_RDWR if self.is_sending(side) else socket.SHUT_RD)

    def finish(self, side: Side) -> None:
        """Call it when an outbox has been sent: if those were the last octets, the peer is told so by FIN."""
        if self.closing.get(side) is False and not self.outboxes[side]:
            # Not a full close: octets that wait unread would make it a reset, and a reset destroys the last
            # reply on its way to the client. So the side is read to its end, for a time.
            self.sockets[side].shutdown(socket.SHUT_WR)

    def set_deadline(self, seconds: float) -> None:
        raise NotImplementedError

    def is_sending(self, side: Side) -> bool:
        return self.locks[side].locked()


def has_input(sock: socket.socket) -> bool:
    """Waits until there is something to read, or something can be sent, or a tick has passed. Returns True if
    there is something to read."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return any(event & ~select.POLLOUT for _, event in poll.poll(TICK * 1000))


class Runnable(Protocol):
    def run(self, upstream: Address) -> None: ...
    def stop(self) -> None: ...


def serve_threads(
    make: Callable[[socket.socket, socket.socket], Runnable], listen: Address, upstream: Address
) -> None:
    """A thread for each client, all of them joined at the end."""
    sessions: dict[threading.Thread, Runnable] = {}
    with socket.create_server(listen, backlog=256) as listener, contextlib.suppress(KeyboardInterrupt):
        print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
        while True:
            try:
                session = make(listener.accept()[0], socket.socket())
                thread = threading.Thread(target=session.run, args=[upstream])
                thread.start()
            except (OSError, RuntimeError):  # such as no descriptor or no thread left
                time.sleep(TICK)
                continue
            sessions = {thread: session for thread, session in sessions.items() if thread.is_alive()}
            sessions[thread] = session
    for session in sessions.values():
        session.stop()
    for thread in sessions:
        thread.join()


def addresses() -> tuple[Address, Address]:
    """The address to listen on, and the address of the server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--upstream", type=_address, required=True, metavar="HOST:PORT")
    options = parser.parse_args()
    return options.listen, options.upstream


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)
