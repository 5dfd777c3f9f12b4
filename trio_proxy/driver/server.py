"""Listeners, the connections they accept, and how the service stops."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Protocol

import attrs
import structlog
import trio

from sansio_smtp import Reply
from sansio_smtp.client_info import address_text
from trio_proxy.limits.guard import Guard, Network
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.table import CONNECTIONS
from trio_proxy.settings.options import DEFAULTS
from trio_proxy.text.addresses import Address

from .own_replies import INTERNAL_ERROR
from .session import Session
from .streams import SocketStream, set_no_delay

__all__ = ["ListenError", "Server", "listening", "raise_descriptor_limit", "stop_on_signals"]

log = structlog.stdlib.get_logger("smtp_proxy")

_ACCEPTS_A_TURN = 32
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LOG_INTERVAL = 10.0
_INHERITS = sys.platform == "linux"
"""True if an accepted socket has the options of its listener, so that none need be set: 2 µs."""


class ListenError(Exception):
    """An address that cannot be listened on; the text says why and what to do."""


class Runnable(Protocol):
    """One connection, whatever it is for."""

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
    max_connections: int = DEFAULTS.max_connections
    grace: float = DEFAULTS.grace
    """Seconds that a message in flight may take to finish when the service stops."""
    guard: Guard | None = None
    """Counts the connections of each network of clients. None: there are no such limits."""
    hits: Hits = attrs.field(factory=lambda: Hits(trio.current_time))
    """Counts how often a limit was hit."""
    _sessions: set[Runnable] = attrs.field(factory=set[Runnable], init=False)
    _networks: dict[Runnable, Network] = attrs.field(factory=dict[Runnable, Network], init=False)
    """Those of sessions that the guard counts."""
    _stopping: bool = attrs.field(default=False, init=False)
    _all_ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    _accepted: int = attrs.field(default=0, init=False)
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
        """Serves until ``stop`` is set, then drains: nothing new is accepted, idle clients get 421, a mail
        transaction in flight may finish within the grace period. ``tls`` are those of the sockets that speak
        TLS from the first octet; ``makers`` make the sessions of listeners that are for other clients than
        the usual ones."""
        try:
            await self._serve(sockets, stop, task_status, tls, makers)
        finally:
            for session in tuple(self._sessions):  # which have no task
                if isinstance(session, Session):
                    session.drop()

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
            for session in tuple(self._sessions):
                session.shutdown()
            if not self._sessions:
                self._all_ended.set()
            with trio.move_on_after(self.grace):
                await self._all_ended.wait()
            for session in tuple(self._sessions):
                log.warning("grace period is over, closing in mid-transaction")
                session.shutdown(now=True)
            if self._sessions:
                await self._all_ended.wait()

    async def _accept(
        self, listener: socket.socket, nursery: trio.Nursery, make: Make | None, tls: bool
    ) -> None:
        unix = listener.family == socket.AF_UNIX
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(_ACCEPTS_A_TURN):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _OUT_OF_RESOURCES:
                        self._complain("cannot accept a connection", error=os.strerror(error.errno))
                        await trio.sleep(0.1)
                    break  # else: the client is gone before it was accepted
                if unix:
                    peer, network = "unix", None
                else:
                    peer = address_text(address[0], address[1])
                    network = None if self.guard is None else self.guard.network_of(address[0])
                self._start(sock, peer, network, nursery, make, tls)

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
        if len(self._sessions) >= self.max_connections:
            self.hits.hit(CONNECTIONS, most=self.max_connections)
            _refuse(sock, CONNECTIONS.reply, tls)
            return
        if self.guard is not None and network is not None:
            limit = self.guard.enter(network)
            if limit is not None:
                _refuse(sock, limit.reply, tls)
                return
        if not _INHERITS:
            with suppress(OSError):  # the client is gone already, as its session will find out
                set_no_delay(sock)
        self._accepted += 1
        try:
            if make is None:
                raise ValueError("a listener speaks TLS, and nothing makes sessions for it")
            session = make(self.stream(sock), peer, self._accepted)
        except Exception:
            log.exception("internal error, connection closed", peer=peer)
            if self.guard is not None and network is not None:
                self.guard.leave(network)
            _refuse(sock, INTERNAL_ERROR, tls)
            return
        if network is not None:
            self._networks[session] = network
        self._sessions.add(session)  # now: it counts, and may be shut down, before it has had its first turn
        if not (isinstance(session, Session) and session.begin(nursery, self._ended)):
            nursery.start_soon(self._run, session)

    async def _run(self, session: Runnable) -> None:
        """No failure of one session, ours included, may end another."""
        try:
            await session.run()
        except Exception:
            log.exception("internal error, connection closed")
        finally:
            self._ended(session)

    def _ended(self, session: Runnable) -> None:
        self._sessions.discard(session)
        if self.guard is not None and (network := self._networks.pop(session, None)) is not None:
            self.guard.leave(network)
        if not self._sessions and self._stopping:
            self._all_ended.set()

    def _complain(self, what: str, **details: object) -> None:
        now = trio.current_time()
        if now - self._last_complaint >= _LOG_INTERVAL:
            self._last_complaint = now
            log.warning(what, **details)


@contextmanager
def listening(address: Address) -> Generator[list[socket.socket]]:
    """Bound, listening, non-blocking sockets for an address; a unix socket's file goes with them.

    Raises `ListenError`.
    """
    sockets: list[socket.socket] = []
    try:
        try:
            if address.path is not None:
                sockets.append(_listen_unix(address.path))
            else:
                _listen_tcp(address, sockets)
        except (OSError, UnicodeError) as error:
            raise ListenError(_explain(address, error)) from error
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        if address.path is not None and sockets:
            _unlink(address.path)


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


def raise_descriptor_limit() -> None:
    """As many file descriptors as the system allows: each session needs two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen_tcp(address: Address, sockets: list[socket.socket]) -> None:
    port = address.port
    found = socket.getaddrinfo(address.host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    for family, _, _, _, where in dict.fromkeys(found):
        try:
            sock = _listener(family, (where[0], port, *where[2:]))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            missing = error  # names such as localhost have IPv6 addresses where the machine has none
        else:
            sockets.append(sock)
            port = sock.getsockname()[1]  # port 0: the other families take the same one
    if missing is not None and not sockets:
        raise missing


def _listener(family: int, where: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_no_delay(sock)
        sock.bind(where)
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            _unlink(path)
            sock.bind(path)
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(path: str) -> bool:
    """Returns True if a socket file is left over: nobody listens on it."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        return False


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):  # somebody tidied up
        os.unlink(path)


def _explain(address: Address, error: OSError | UnicodeError) -> str:
    what = f"cannot listen on {address}: "
    if isinstance(error, socket.gaierror | UnicodeError):
        return what + f"{address.host!r} cannot be resolved; use an address of this machine"
    if error.errno == errno.EADDRINUSE:
        return what + "it is in use; stop what listens there, or choose another port (0 takes a free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        if address.path is not None:
            return what + "permission denied; choose a directory that you may write"
        return what + "permission denied; use a port above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return what + "this machine has no such address; use 127.0.0.1, [::1] or one of its own"
    return what + (error.strerror or str(error))


def _refuse(sock: socket.socket, reply: Reply, tls: bool) -> None:
    """Closes a connection. A client that speaks TLS would take the reply for a broken handshake."""
    if not tls:
        with suppress(OSError):  # it would not have read the reply
            sock.send(reply.raw)
    sock.close()
