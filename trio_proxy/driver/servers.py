"""The server of a session: how a connection to it is made, left for another one, and closed."""

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
    """The connection to a server that a session has now, or none.

    A session has one server at a time. A verdict may name another one (`sansio_smtp.Route`): then the
    connection is left, and the next one takes its place.
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
        """What is still to be written to the server; what is put in while there is none is dropped."""
        self.leg: Leg | None = None
        """What TLS is to the server that was connected last; None: it is not used."""
        self.dialect: Dialect | None = None
        """What the server speaks that was connected last; None: what `Config.upstream_dialect` says."""
        self.kept: Kept | None = None
        """The connection, if another session has used it before."""
        self.address = ""
        """The address of the server that was connected last, or was to be; empty if none was."""
        self.tls_version = ""
        """The version of TLS to it; empty in plain text."""
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
        """There is a transcript, of which this writes a line: it is told which servers cannot be reached."""
        self._note = note

    async def connect(self, upstream: str | None, client: ClientInfo) -> bool:
        """Makes a connection to the server, for this client; of a list of servers, to the first that can be
        connected. Returns False, and has logged why, if that is not possible."""
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
        """Makes a connection to the usual server. Returns False, and has logged why, if that is not possible.
        Returns None if it has to wait, for this or for another thing: then await `connect`, which goes on
        with what has been begun."""
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
        """True if the server is one of a list: it is said if it could be used, with `worked` and `failed`."""
        return self._visit is not None

    def worked(self) -> None:
        """The server of a list has greeted."""
        if self._visit is not None:
            self._visit.worked()

    def failed(self, why: str) -> None:
        """The server cannot be used. If it is one of a list, others leave it out for a while."""
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
        """The next server of the list. Where others try the last ones that are left, their results are waited
        for, as long as a connection may take."""
        with trio.move_on_after(self._settings.timeouts.connect):
            return await visit.next()
        return None

    async def _connect(self, upstream: str | None, client: ClientInfo) -> str:
        """Makes a connection to one server. Returns why that is not possible; empty if it is."""
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
        """Takes an idle connection to this server. Returns False if there is none, and if the last one came
        to nothing: others may be gone too."""
        settings, leg, last = self._settings, self.leg, self._key
        pool = settings.pool
        # Other settings have another usual server.
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
        """The core has given the connection back: `close` puts it into the pool."""
        uses = 1 if self.kept is None else self.kept.uses
        self._released = Kept(self.outbox.stream, greeting.raw, tls, uses)
        self._aborts = False

    def speaks(self, tls: TlsInfo) -> None:
        """TLS has begun."""
        self.tls_version = tls.version

    def secured(self) -> TlsStream:
        """From now on the connection is used through this stream, whose handshake comes next."""
        leg = self.leg
        if leg is None:
            raise ValueError("no server is spoken TLS to")
        stream = TlsStream(self.outbox.stream, leg.context, server_hostname=leg.server_name)
        self.outbox.secure(stream)
        return stream

    def leave(self) -> None:
        """Another server is asked for. Nothing more is read from this one; what was sent to it is written, if
        it takes that at once."""
        outbox, self.outbox = self.outbox, Outbox(NOWHERE)
        outbox.flush_now()
        outbox.stream.close()

    def end(self, *, abort: bool) -> None:
        """The core has ended the dialogue with the server. ``abort`` resets the connection at once; else it
        is closed by `leave` or `close`, after what was sent has been written."""
        self._aborts, self._released = abort, None
        if abort:
            self.outbox.drop()
            self.outbox.stream.abort()

    def close(self) -> None:
        """Closes the connection, or keeps it for another session if the core has given it back; the session
        is over. Resets it if the core did not say that it may simply end, or if end-of-data was not written:
        the server must not take what it has for the whole message."""
        if self._is_closed:
            return  # as after each session, whose end closes it first
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
        """The same connection, after it has been said who the client is if that is the way to say it. Raises
        OSError."""
        how = self._settings.config.send_client
        if not how.in_header:
            return stream
        from .proxy_header import header_for  # not everybody needs the library

        left = memoryview(header_for(client, 1 if how is SendClient.PROXY else 2))
        try:
            while left:
                left = left[await stream.send_some(left) :]
        except BaseException:
            stream.abort()  # half a header may be there
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
        """How a log line names the server."""
        name = self._settings.upstream_name if upstream is None else upstream
        return {"upstream": name} if name else {}


def _holds_end_of_data(octets: bytes) -> bool:
    """True if these octets, the last that were to be written, hold an end-of-data or the rest of one."""
    return octets in (b"\r\n", b"\n") or b"\n.\r\n" in b"\n" + octets
