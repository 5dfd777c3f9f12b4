"""Runs the steps before a session: a PROXY header, and TLS from the first octet.

::

    accept ──> PROXY header ──> TLS handshake ──> `Session`
               of a peer that   on a listener
               may send one     for smtps://

The rights of a client depend on its identity, so a session begins only when that is known; until then no
server is connected. Each step as a whole has a time limit. A peer that may send a PROXY header must send one:
otherwise a client that bypasses the balancer would count as the balancer. If another peer sends a PROXY
header, it is an unknown command, which `Session` refuses. A connection that needs neither step goes to a
`Session` at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from sansio_smtp import CLIENT, ClientInfo, SendClient, TlsInfo
from trio_proxy.limits.guard import Network
from trio_proxy.text.session_log import SessionLog
from trio_proxy.text.transcript import printable

from .session import Session
from .settings import Settings
from .streams import SocketStream, Stream
from .tls_stream import HandshakeError

if TYPE_CHECKING:
    from .proxy_header import Header

__all__ = ["Arrival", "Arrivals"]

_SHOWN = 60
"""The most octets of an invalid PROXY header in a log line."""


@attrs.define(eq=False)
class Arrivals:
    """Makes what `Server` runs for each connection."""

    settings: Settings
    """The settings of new sessions."""

    def use(self, settings: Settings) -> None:
        """From now on new sessions use these settings."""
        self.settings = settings

    def session(self, client: SocketStream, peer: str, number: int) -> Session | Arrival:
        """The object that runs a connection to a listener that begins in plain text."""
        known, settings = self._known(client, peer), self.settings
        if settings.accept_proxy and known in settings.accept_proxy:
            return Arrival(client, known, number, self, header=True)
        return Session(client, peer, number, settings, known)

    def tls_session(self, client: SocketStream, peer: str, number: int) -> Arrival:
        """The object that runs a connection to a listener that speaks TLS from the first octet, after a PROXY
        header if there is one."""
        known, settings = self._known(client, peer), self.settings
        header = known in settings.accept_proxy
        return Arrival(client, known, number, self, header=header, tls=True)

    def _known(self, client: SocketStream, peer: str) -> ClientInfo:
        """The peer; with the local address of the connection if the server is told that."""
        known = ClientInfo(address=peer)
        if self.settings.listener_of is not None:
            known = attrs.evolve(known, listener=self.settings.listener_of(client))
        if self.settings.config.send_client is SendClient.NONE or known.unix:
            return known
        ip, port, *_ = client.sock.getsockname()
        return attrs.evolve(known, local_ip=ip, local_port=port)


class Arrival:
    """One connection up to its session, and then that session."""

    def __init__(
        self,
        client: SocketStream,
        peer: ClientInfo,
        number: int,
        arrivals: Arrivals,
        *,
        header: bool = False,
        tls: bool = False,
    ) -> None:
        self._socket = client
        self._stream: Stream = client
        self._peer = peer
        self._number = number
        self._arrivals = arrivals
        self._settings = arrivals.settings
        self._header = header
        self._tls = tls
        self._may_be_check = False
        self._guard = self._settings.guard
        self._network: Network | None = None  # of a client that a PROXY header has named
        self._scope = trio.CancelScope()
        self._session: Session | None = None
        self._log = SessionLog(f"c{number}", peer)

    async def run(self) -> None:
        """Returns when the connection is closed."""
        try:
            await self._run()
        finally:
            if self._guard is not None and self._network is not None:
                self._guard.leave(self._network)

    async def _run(self) -> None:
        client: ClientInfo | None = None
        session: Session | None = None
        try:
            with self._scope:
                client = await self._arrive()
            if client is not None and not self._scope.cancel_called:
                stream, settings = self._stream, self._arrivals.settings  # they may be newer than ours
                session = Session(
                    stream, client.address, self._number, settings, client, may_be_check=self._may_be_check
                )
                self._session = session
        finally:
            if session is None:
                self._stream.close()
        if session is not None:
            await session.run()

    def shutdown(self, *, now: bool = False) -> None:
        """The service stops. There is no session yet: the connection is closed. Else see
        `Session.shutdown`."""
        if self._session is not None:
            self._session.shutdown(now=now)
        else:
            self._scope.cancel(reason="the service is shutting down")

    async def _arrive(self) -> ClientInfo | None:
        """Runs all steps before the session, and returns the client; None if the connection is over."""
        client = self._peer
        try:
            if self._header:
                header = await self._read_header()
                if header is None:
                    return None
                client = header.of(client)
                # Some balancers name themselves as the client of their health checks.
                self._may_be_check = client.ip == self._peer.ip
                if not self._may_enter(client):
                    return None
            if self._tls:
                info = await self._shake_hands(client)
                return None if info is None else attrs.evolve(client, tls=info)
        except OSError as error:
            self._log.debug("connection lost before its session", error=str(error))
            return None
        return client

    def _may_enter(self, client: ClientInfo) -> bool:
        """Counts a client that a PROXY header has named. If there are too many of its network, refuses it and
        returns False."""
        network = None if self._guard is None else self._guard.network_of(client.ip)
        if self._guard is None or network is None:
            return True
        limit = self._guard.enter(network)
        if limit is None:
            self._network = network
        elif not self._tls:  # a client that speaks TLS would see a broken handshake
            self._socket.send_now(limit.reply.raw)
        return limit is None

    async def _read_header(self) -> Header | None:
        from .proxy_header import HeaderError, read_header  # imported late: few need the library

        seconds = self._settings.timeouts.proxy_header
        with trio.move_on_after(seconds):
            try:
                return await read_header(self._socket)
            except HeaderError as error:
                if error.octets:
                    octets = printable(error.octets[:_SHOWN])
                    self._log.warning("PROXY header refused, closing", error=str(error), octets=octets)
                # else: a health check that only connects
                return None
        self._log.warning("PROXY header refused, closing", error=f"it has not come within {seconds:g} s")
        return None

    async def _shake_hands(self, client: ClientInfo) -> TlsInfo | None:
        assert self._settings.tls is not None  # a listener for TLS has a certificate
        stream = self._settings.tls_with_client(self._socket)
        self._stream = stream
        seconds = self._settings.timeouts.handshake
        why = f"it has taken more than {seconds:g} s"
        with trio.move_on_after(seconds):
            try:
                return await stream.handshake()
            except HandshakeError as error:
                why = str(error)
        self._settings.meter.not_secured(CLIENT)
        self._log.name(client)
        self._log.warning("TLS handshake failed", side="client", error=why)
        return None
