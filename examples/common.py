"""What the three proxies share: all of a driver that does not depend on how it waits."""

import argparse
import contextlib
import dataclasses
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

from starttls import Tls

from sansio_smtp import (
    CLIENT,
    SERVER,
    ClientTls,
    Close,
    Config,
    Event,
    Proxy,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
    UpstreamTls,
    WaitingFor,
)

# The core has no clock: it says what it waits for, and these are the seconds of RFC 5321 §4.5.3.2.
SECONDS = {
    WaitingFor.GREETING: 300.0,
    WaitingFor.COMMAND: 300.0,
    WaitingFor.REPLY: 300.0,
    WaitingFor.CONTENT: 180.0,
    WaitingFor.FINAL_REPLY: 600.0,
    WaitingFor.VERDICT: 60.0,
    WaitingFor.HANDSHAKE: 60.0,
    WaitingFor.NOTHING: 5.0,  # all is said, and the last octets are on their way
}
CONNECT_SECONDS = 30.0
TICK = 1.0  # no thread sleeps longer without a look at the deadline

Address = tuple[str, int]


@dataclasses.dataclass
class Settings:
    """What the options say."""

    listen: Address
    upstream: Address
    config: Config
    to_client: ssl.SSLContext
    to_server: ssl.SSLContext
    options: argparse.Namespace


class Plumbing:
    """One client, its server, and the core between them."""

    def __init__(self, client: socket.socket, server: socket.socket, settings: Settings) -> None:
        self.settings = settings
        self.proxy = Proxy(settings.config)
        self.tls: dict[Side, Tls] = {}
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
                self.send(CLIENT, event.data)
            elif isinstance(event, SendToServer):
                self.send(SERVER, event.data)
            elif isinstance(event, StartTLS):
                self.start_tls(event.side)
            elif isinstance(event, Close):
                self.closing[event.side] = event.abort
                if event.side in self.tls:
                    self.outboxes[event.side] += self.tls[event.side].goodbye()
                if event.abort:
                    self.reset(event.side)
        # Not every octet moves the deadline: a peer that sends one now and then makes no progress.
        if self.progress != (progress := (self.proxy.waiting_for, self.proxy.progress)):
            self.progress = progress
            self.set_deadline(SECONDS[self.proxy.waiting_for])

    def send(self, side: Side, data: bytes) -> None:
        tls = self.tls.get(side)
        self.outboxes[side] += tls.encrypted(data) if tls else data

    def start_tls(self, side: Side) -> None:
        """From now on the outbox holds octets of TLS. The 220 to a client is in it already."""
        settings = self.settings
        if side is CLIENT:
            self.tls[side] = Tls(settings.to_client)
        else:
            self.tls[side] = Tls(settings.to_server, settings.upstream[0])
            self.tls[side].shake(b"")  # the client's end speaks first
            self.outboxes[side] += self.tls[side].outgoing.read()

    def received(self, side: Side, data: bytes) -> list[Event]:
        """Gives the core what has come from a socket; empty data is its end."""
        tls = self.tls.get(side)
        if tls is None:
            return self.proxy.receive_from(side, data) if data else self.proxy.eof_from(side)
        events: list[Event] = []
        if tls.is_shaking:
            if not data:
                return self.proxy.tls_failed(side, "the connection was closed in the TLS handshake")
            try:
                info = tls.shake(data)
            except ssl.SSLError as error:
                return self.proxy.tls_failed(side, str(error))
            finally:
                self.outboxes[side] += tls.outgoing.read()
            if info is None:
                return []
            events += self.proxy.tls_started(side, info)
            plain, ended = tls.decrypted()  # it may have come with the end of the handshake
        else:
            plain, ended = tls.decrypted(data) if data else (b"", True)
        if plain:
            events += self.proxy.receive_from(side, plain)
        if ended:
            events += self.proxy.eof_from(side)
        return events

    def may_read(self, side: Side) -> bool:
        tls = self.tls.get(side)
        shakes = tls is not None and tls.is_shaking
        return shakes or side in self.proxy.may_read or side in self.closing

    def reset(self, side: Side) -> None:
        """From now on closing this socket sends RST. Ends a read that waits there. Sending is not shut down:
        that would send FIN, and a peer that reads fast would take it for the end before RST comes."""
        self.outboxes[side].clear()
        with contextlib.suppress(OSError):
            self.sockets[side].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sockets[side].shutdown(socket.SHUT_RD)

    def finish(self, side: Side) -> None:
        """Call it when an outbox has been sent: if those were the last octets, the peer is told so by FIN."""
        if self.closing.get(side) is False and not self.outboxes[side]:
            # Not a full close: octets that wait unread would make it a reset, and a reset destroys the last
            # reply on its way to the client. So the side is read to its end, for a time.
            self.sockets[side].shutdown(socket.SHUT_WR)

    def set_deadline(self, seconds: float) -> None:
        raise NotImplementedError


def has_input(sock: socket.socket) -> bool:
    """Waits until there is something to read, or something can be sent, or a tick has passed. Returns True if
    there is something to read."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return any(event & ~select.POLLOUT for _, event in poll.poll(TICK * 1000))


class Runnable(Protocol):
    def run(self) -> None: ...
    def stop(self) -> None: ...


def serve_threads(
    make: Callable[[socket.socket, socket.socket, Settings], Runnable], settings: Settings
) -> None:
    """A thread for each client, all of them joined at the end."""
    sessions: dict[threading.Thread, Runnable] = {}
    with (
        socket.create_server(settings.listen, backlog=256) as listener,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
        while True:
            try:
                session = make(listener.accept()[0], socket.socket(), settings)
                thread = threading.Thread(target=session.run)
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


def settings(parser: argparse.ArgumentParser | None = None) -> Settings:
    """What the options of the command say. A parser that is given may have more options."""
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("--listen", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--upstream", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--tls-cert", metavar="FILE", help="STARTTLS is offered with this certificate")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--upstream-tls", type=UpstreamTls, default=UpstreamTls.NONE, metavar="LEVEL")
    parser.add_argument("--upstream-ca", metavar="FILE")
    options = parser.parse_args()
    to_client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if options.tls_cert:
        to_client.load_cert_chain(options.tls_cert, options.tls_key)
    to_server = ssl.create_default_context(cafile=options.upstream_ca)
    if options.upstream_tls is not UpstreamTls.VERIFY:
        to_server.check_hostname, to_server.verify_mode = False, ssl.CERT_NONE
    config = Config(
        tls=ClientTls.MAY if options.tls_cert else ClientTls.NONE, upstream_tls=options.upstream_tls
    )
    return Settings(options.listen, options.upstream, config, to_client, to_server, options)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)
