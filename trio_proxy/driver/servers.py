"""The connection of a session to its server: makes it, replaces it, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from sansio_smtp import ClientInfo, Dialect, Reply, SendClient, TlsInfo
from trio_proxy.routes.group import Server, Visit
from trio_proxy.text.session_log import SessionLog

from .outbox import Outbox
from .pool import Kept
from .settings import Settings
from .streams import NOWHERE, Connecting, Stream
from .tls_stream import TlsStream

if TYPE_CHECKING:  # cryptography takes a tenth of a second to import, and 3 MB
    from trio_proxy.tls.upstream import Leg

__all__ = ["Servers"]


class Servers:
    """The session's current connection to a server, or none.

    A session has one server at a time. A verdict may name another one (`sansio_smtp.Route`): then a new
    connection replaces the old one.
    """

    __slots__ = (
        "_aborts",
        "_connecting",
        "_is_closed",
        "_key",
        "_log",
        "_name",
        "_note",
        "_released",
        "_settings",
        "_visit",
        "_visited",
        "address",
        "dialect",
        "kept",
        "leg",
        "outbox",
        "tls_version",
    )

    def __init__(self, settings: Settings, log: SessionLog) -> None:
        self._settings = settings
        self._log = log
        self.outbox = Outbox(NOWHERE)
        """The octets still to be written to the server; octets added while there is none are dropped."""
        self.leg: Leg | None = None
        """The TLS settings for the server that was connected last; None: TLS is not used."""
        self.dialect: Dialect | None = None
        """The dialect of the server that was connected last; None: `Config.upstream_dialect` applies."""
        self.kept: Kept | None = None
        """The connection, if another session has used it before."""
        self.address = ""
        """The address of the last server that was connected or tried; empty if none was."""
        self.tls_version = ""
        """The version of TLS to the server; empty in plain text."""
        self._name: str | None = None  # of the server that was tried last
        self._note: Callable[..., None] | None = None
        self._key: Hashable = None  # of the connection, for the pool
        self._released: Kept | None = None
        self._is_closed = False
        self._connecting: Connecting | None = None  # to the usual server, by `connect_now`
        self._aborts = True
        self._visit: Visit | None = None  # at the list of servers that `_visited` names
        self._visited: str | None = None

    def note_with(self, note: Callable[..., None]) -> None:
        """``note`` writes a line of the transcript, if a server cannot be reached."""
        self._note = note

    async def connect(self, upstream: str | None, client: ClientInfo) -> bool:
        """Connects to the server for this client; with a list of servers, to the first that can be connected.
        Returns False if that fails, and logs why."""
        groups = self._settings.groups
        group = None if groups is None else groups(upstream)
        if group is None:
            self._visit = None
            why = await self._connect(upstream, client)
            if why:
                self._cannot_be_reached(why, upstream)
            return not why
        if self._visit is None or self._visited != upstream:
            self._visit, self._visited = group.visit(), upstream
        return await self._connect_any(self._visit, client)

    def connect_now(self) -> bool | None:
        """Connects to the usual server. Returns False if that fails, and logs why. Returns None if it has to
        wait for anything: then await `connect`, which continues the attempt."""
        settings = self._settings
        began, begin = perf_counter(), settings.connect_now
        if (
            begin is None
            or settings.groups is not None
            or settings.pool is not None
            or settings.config.send_client.in_header
        ):
            return None
        try:
            if settings.upstream_tls is not None and settings.upstream_tls(None) is not None:
                return None
            if settings.upstream_dialect is not None:
                self.dialect = settings.upstream_dialect(None)
            self.address = settings.upstream_name
            made = begin()
        except OSError as error:
            settings.meter.not_connected(settings.upstream_label)
            self._cannot_be_reached(str(error) or type(error).__name__, None)
            return False
        if isinstance(made, Connecting) or made is None:
            self._connecting = made
            return None
        self._use(made)
        settings.meter.connected(settings.upstream_label, perf_counter() - began)
        return True

    @property
    def has_others(self) -> bool:
        """True if the server is in a list: call `worked` or `failed` when it is known if it can be used."""
        return self._visit is not None

    def worked(self) -> None:
        """A server in a list has greeted."""
        if self._visit is not None:
            self._visit.worked()

    def failed(self, why: str) -> None:
        """The server cannot be used. If it is in a list, other sessions leave it out for a while."""
        self._settings.meter.not_connected(self._label(self._name))
        if self._visit is not None:
            self._visit.failed(why)

    async def _connect_any(self, visit: Visit, client: ClientInfo) -> bool:
        while (server := await self._next_of(visit)) is not None:
            why = await self._connect(server.name, client)
            if not why:
                if self.kept is not None:
                    visit.use_kept()
                return True
            self._log.info("upstream server cannot be reached", error=why, upstream=server.name)
            self._write_down(why, server.name)
            visit.failed(why)
        self._log.error("no upstream server can be reached")
        return False

    async def _next_of(self, visit: Visit) -> Server | None:
        """The next server of the list. If other sessions are trying the last ones left, waits for their
        results, at most as long as a connection may take."""
        with trio.move_on_after(self._settings.timeouts.connect):
            return await visit.next()
        return None

    async def _connect(self, upstream: str | None, client: ClientInfo) -> str:
        """Connects to one server. Returns the reason if that fails; else empty."""
        began, meter, self._name = perf_counter(), self._settings.meter, upstream
        why = await self._try(upstream, client)
        if why:
            meter.not_connected(self._label(upstream))
        else:
            meter.connected(self._label(upstream), perf_counter() - began, kept=self.kept is not None)
        return why

    async def _try(self, upstream: str | None, client: ClientInfo) -> str:
        self.leg = None
        self.address = self._settings.upstream_name if upstream is None else upstream
        with trio.move_on_after(self._settings.timeouts.connect):
            try:
                if self._settings.upstream_tls is not None:
                    self.leg = self._settings.upstream_tls(upstream)
                if self._settings.upstream_dialect is not None:
                    self.dialect = self._settings.upstream_dialect(upstream)
                if self._take_kept(upstream):
                    return ""
                stream = await self._introduced(await self._open(upstream), client)
            except OSError as error:
                return str(error) or type(error).__name__
            self._use(stream)
            return ""
        return "timeout"

    def _take_kept(self, upstream: str | None) -> bool:
        """Takes an idle connection to this server. Returns False if there is none, or if the last one was
        dead: others may be dead too."""
        settings, leg, last = self._settings, self.leg, self._key
        pool = settings.pool
        # The usual server depends on the settings.
        self._key = (
            settings.connect if upstream is None else upstream,
            leg and (leg.level, leg.server_name, leg.context),
        )
        was_kept, self.kept = self.kept is not None, None
        if pool is not None and not (was_kept and self._key == last):
            self.kept = pool.take(self._key)
        if self.kept is None:
            return False
        self._use(self.kept.stream)
        return True

    def _use(self, stream: Stream) -> None:
        self.outbox, self._aborts, self._is_closed = Outbox(stream), True, False
        self.tls_version = ""

    def release(self, greeting: Reply, tls: TlsInfo | None) -> None:
        """The core has released the connection: `close` puts it into the pool."""
        uses = 1 if self.kept is None else self.kept.uses
        self._released = Kept(self.outbox.stream, greeting.raw, tls, uses)
        self._aborts = False

    def speaks(self, tls: TlsInfo) -> None:
        """TLS has begun."""
        self.tls_version = tls.version

    def secured(self) -> TlsStream:
        """Returns the TLS stream that is used from now on. Its handshake comes next."""
        leg = self.leg
        if leg is None:
            raise ValueError("no server is spoken TLS to")
        stream = TlsStream(self.outbox.stream, leg.context, server_hostname=leg.server_name)
        self.outbox.secure(stream)
        return stream

    def leave(self) -> None:
        """Another server is wanted. Nothing more is read from this one; octets for it are written only if it
        takes them at once."""
        outbox, self.outbox = self.outbox, Outbox(NOWHERE)
        outbox.flush_now()
        outbox.stream.close()

    def end(self, *, abort: bool) -> None:
        """The core has ended the dialogue with the server. ``abort`` resets the connection at once; otherwise
        `leave` or `close` closes it after all octets have been written."""
        self._aborts, self._released = abort, None
        if abort:
            self.outbox.drop()
            self.outbox.stream.abort()

    def close(self) -> None:
        """At the end of the session, closes the connection, or keeps it for another session if the core has
        released it. Resets the connection if the core has not allowed a normal end, or if end-of-data was not
        written: the server must not accept a partial message as complete."""
        if self._is_closed:
            return  # as after each session, whose end has already closed it
        self._is_closed = True
        if self._visit is not None:
            self._visit.gave_up()
        if self._connecting is not None:
            self._connecting.close()
            self._connecting = None
        released, pool = self._released, self._settings.pool
        self._released = None
        if released is not None and pool is not None and not self.outbox.waiting:
            self.outbox = Outbox(NOWHERE)
            pool.put(self._key, released)
            return
        if self._aborts or _holds_end_of_data(self.outbox.unwritten):
            self.outbox.stream.abort()
        else:
            self.outbox.stream.close()

    async def _open(self, upstream: str | None) -> Stream:
        settings, begun = self._settings, self._connecting
        self._connecting = None
        if begun is not None and upstream is None:
            return await begun.connected()
        if begun is not None:
            begun.close()
        if upstream is None:
            return await settings.connect()
        if settings.connect_to is None:
            raise OSError("no server but the usual one can be used here")
        return await settings.connect_to(upstream)

    async def _introduced(self, stream: Stream, client: ClientInfo) -> Stream:
        """The same connection, after sending a PROXY header if the settings want one. Raises OSError."""
        how = self._settings.config.send_client
        if not how.in_header:
            return stream
        from .proxy_header import header_for  # imported late: few need the library

        left = memoryview(header_for(client, 1 if how is SendClient.PROXY else 2))
        try:
            while left:
                left = left[await stream.send_some(left) :]
        except BaseException:
            stream.abort()  # half a header may have been sent
            raise
        return stream

    def _cannot_be_reached(self, why: str, upstream: str | None) -> None:
        self._log.error("upstream server cannot be reached", error=why, **self._named(upstream))

        self._write_down(why, self._settings.upstream_name if upstream is None else upstream)

    def _write_down(self, why: str, name: str) -> None:
        if self._note is not None:
            self._note(f"upstream server {name} cannot be reached: {why}", "***")

    def _label(self, upstream: str | None) -> str:
        return self._settings.upstream_label if upstream is None else upstream

    def _named(self, upstream: str | None) -> dict[str, str]:
        """Names the server for a log line."""
        name = self._settings.upstream_name if upstream is None else upstream
        return {"upstream": name} if name else {}


def _holds_end_of_data(octets: bytes) -> bool:
    """True if these unwritten octets contain an end-of-data, or the rest of one."""
    return octets in (b"\r\n", b"\n") or b"\n.\r\n" in b"\n" + octets
