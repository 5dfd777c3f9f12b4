"""Accepts the connections of listeners, runs a session for each, and stops the service."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Protocol

import attrs
import structlog
import trio

from sansio_smtp import Reply
from sansio_smtp.client_info import address_text
from trio_proxy.limits.guard import Guard, Network
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.shared import Total
from trio_proxy.limits.table import CONNECTIONS
from trio_proxy.settings.options import DEFAULTS

from .accepting import Accept, accept_by_task
from .own_replies import INTERNAL_ERROR
from .session import Session
from .streams import SocketStream, set_no_delay

__all__ = ["Server", "stop_on_signals"]

log = structlog.stdlib.get_logger("smtp_proxy")

_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LOG_INTERVAL = 10.0
_INHERITS = sys.platform == "linux"
"""True if an accepted socket inherits the options of its listener, which saves 2 µs."""


class Runnable(Protocol):
    """Something that runs one connection."""

    async def run(self) -> None:
        """Returns when the connection is closed."""

    def shutdown(self, *, now: bool = False) -> None:
        """The service stops; ``now``: do not wait for what is in flight."""


Make = Callable[[SocketStream, str, int], Runnable]


@attrs.define(eq=False)
class Server:
    """Accepts clients and runs a session for each."""

    session: Make
    """Makes a session of a client's connection, its address, and a number."""
    tls_session: Make | None = None
    """The same for listeners that speak TLS from the first octet."""
    stream: Callable[[socket.socket], SocketStream] = SocketStream
    """Makes the stream of a connection."""
    accept: Accept = accept_by_task
    """Waits for the clients of a listener."""
    max_connections: int = DEFAULTS.max_connections
    total: Total | None = None
    """The total with the clients of other workers, which ``max_connections`` limits too."""
    numbers: Iterator[int] = attrs.field(factory=lambda: count(1))
    """The numbers of connections, in their order."""
    grace: float = DEFAULTS.grace
    """Seconds that a message in flight may take to finish when the service stops."""
    guard: Guard | None = None
    """Counts the connections of each network of clients. None: there are no such limits."""
    hits: Hits = attrs.field(factory=lambda: Hits(trio.current_time))
    """Counts how often a limit was hit."""
    cut_off: int = attrs.field(default=0, init=False)
    """How many clients a stop has cut off: they were there at the end of the grace period, or at a second
    signal. Read only."""
    _sessions: set[Runnable] = attrs.field(factory=set[Runnable], init=False)
    _networks: dict[Runnable, Network] = attrs.field(factory=dict[Runnable, Network], init=False)
    """The networks of sessions that the guard counts."""
    _stopping: bool = attrs.field(default=False, init=False)
    _all_ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    _patience: float = attrs.field(default=0, init=False)
    _hurries: trio.Event = attrs.field(factory=trio.Event, init=False)
    _last_complaint: float = attrs.field(default=float("-inf"), init=False)

    async def serve(
        self,
        sockets: list[socket.socket],
        stop: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
        *,
        tls: Collection[socket.socket] = (),
        makers: Mapping[socket.socket, Make] = MappingProxyType({}),
    ) -> None:
        """Serves until ``stop`` is set. Then it accepts no new clients, and idle clients get 421; a mail
        transaction in flight may finish within the grace period. ``tls`` are the sockets that speak TLS from
        the first octet; ``makers`` make the sessions of listeners for special clients."""
        try:
            await self._serve(sockets, stop, task_status, tls, makers)
        finally:
            for session in tuple(self._sessions):  # these have no task
                if isinstance(session, Session):
                    session.drop()

    @property
    def clients(self) -> int:
        """The number of clients now."""
        return len(self._sessions)

    def limit(self, connections: int) -> None:
        """Changes how many clients are served at the same time."""
        self.max_connections = connections

    def be_patient(self, seconds: float) -> None:
        """After ``stop`` is set, clients are served as before for so many seconds. Only then do clients
        without a mail transaction get 421."""
        self._patience = seconds

    def hurry(self) -> None:
        """Ends the wait of `be_patient`."""
        self._patience = 0
        self._hurries.set()

    def quits(self) -> None:
        """The service ends at once, and cuts off the clients that are left."""
        self.cut_off = max(self.cut_off, len(self._sessions))

    async def _serve(
        self,
        sockets: list[socket.socket],
        stop: trio.Event,
        task_status: trio.TaskStatus[None],
        tls: Collection[socket.socket],
        makers: Mapping[socket.socket, Make],
    ) -> None:
        async with trio.open_nursery() as sessions:
            async with trio.open_nursery() as listeners:
                for sock in sockets:
                    make = makers.get(sock) or (self.tls_session if sock in tls else self.session)
                    listeners.start_soon(self._accept, sock, sessions, make, sock in tls)
                task_status.started()
                await stop.wait()
                listeners.cancel_scope.cancel(reason="the service is shutting down")
            for sock in sockets:
                sock.close()
            self._stopping = True
            if not self._sessions:
                self._all_ended.set()
                self._hurries.set()
            if self._patience:
                with trio.move_on_after(self._patience):
                    await self._hurries.wait()
            for session in tuple(self._sessions):
                session.shutdown()
            with trio.move_on_after(self.grace):
                await self._all_ended.wait()
            self.quits()
            for session in tuple(self._sessions):
                log.warning("grace period is over, closing in mid-transaction")
                session.shutdown(now=True)
            if self._sessions:
                await self._all_ended.wait()

    async def _accept(
        self, listener: socket.socket, nursery: trio.Nursery, make: Make | None, tls: bool
    ) -> None:
        while True:
            try:
                await self.accept(listener, partial(self._take, listener, nursery, make, tls))
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                self._complain("cannot accept a connection", error=os.strerror(error.errno))
                await trio.sleep(0.1)

    def _take(self, listener: socket.socket, nursery: trio.Nursery, make: Make | None, tls: bool) -> bool:
        """Begins the session of a client, if one is waiting. Returns False if none is. Raises OSError if
        there are no resources for another one."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                raise
            return False  # no client is waiting, or it has left before it was accepted
        if listener.family == socket.AF_UNIX:
            peer, network = "unix", None
        else:
            peer = address_text(address[0], address[1])
            network = None if self.guard is None else self.guard.network_of(address[0])
        self._start(sock, peer, network, nursery, make, tls)
        return True

    def _start(
        self,
        sock: socket.socket,
        peer: str,
        network: Network | None,
        nursery: trio.Nursery,
        make: Make | None,
        tls: bool,
    ) -> None:
        sock.setblocking(False)
        elsewhere = 0 if self.total is None else self.total.elsewhere
        if len(self._sessions) + elsewhere >= self.max_connections:
            self.hits.hit(CONNECTIONS, most=self.max_connections)
            _refuse(sock, CONNECTIONS.reply, tls)
            return
        if self.guard is not None and network is not None:
            limit = self.guard.enter(network)
            if limit is not None:
                _refuse(sock, limit.reply, tls)
                return
        if not _INHERITS:
            with suppress(OSError):  # the client has left; its session will notice
                set_no_delay(sock)
        try:
            if make is None:
                raise ValueError("a listener speaks TLS, and nothing makes sessions for it")
            session = make(self.stream(sock), peer, next(self.numbers))
        except Exception:
            log.exception("internal error, connection closed", peer=peer)
            if self.guard is not None and network is not None:
                self.guard.leave(network)
            _refuse(sock, INTERNAL_ERROR, tls)
            return
        if network is not None:
            self._networks[session] = network
        self._sessions.add(session)  # added now: it must count, and can be shut down, before it first runs
        self._tell_total()
        if not (isinstance(session, Session) and session.begin(nursery, self._ended)):
            nursery.start_soon(self._run, session)

    async def _run(self, session: Runnable) -> None:
        """No failure of one session, not even a bug here, may end another."""
        try:
            await session.run()
        except Exception:
            log.exception("internal error, connection closed")
        finally:
            self._ended(session)

    def _ended(self, session: Runnable) -> None:
        self._sessions.discard(session)
        self._tell_total()
        if self.guard is not None and (network := self._networks.pop(session, None)) is not None:
            self.guard.leave(network)
        if not self._sessions and self._stopping:
            self._all_ended.set()
            self._hurries.set()

    def _tell_total(self) -> None:
        if self.total is not None:
            self.total.tell(len(self._sessions))

    def _complain(self, what: str, **details: object) -> None:
        now = trio.current_time()
        if now - self._last_complaint >= _LOG_INTERVAL:
            self._last_complaint = now
            log.warning(what, **details)


async def stop_on_signals(
    stop: trio.Event,
    quit_now: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The first SIGTERM or SIGINT stops the service gracefully, the second at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                quit_now()
            log.warning("stopping; a second signal quits at once", signal=signal.Signals(number).name)
            stop.set()


def _refuse(sock: socket.socket, reply: Reply, tls: bool) -> None:
    """Closes a connection. A client that speaks TLS gets no reply: it would see a broken handshake."""
    if not tls:
        with suppress(OSError):  # the client cannot get the reply
            sock.send(reply.raw)
    sock.close()
