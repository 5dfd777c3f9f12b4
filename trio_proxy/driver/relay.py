"""Connects the core to two connections: feeds it all input, and does what it decides.

::

    client  -- read -->  Proxy.receive_from  -- events -->  perform  -- put -->  outboxes  -- write -->  both
    server  -- read -->                          ^
                         verdicts, new servers --+

`Sides` reads and writes each side. Questions that take time, new servers, large messages and handshakes are
*jobs* (`Jobs`). Jobs and pumps are tasks in the scope of the session's deadline, and end with it. An
exception in any of them is an internal error, which ends the session (`Session`).

The pump of a side does its TLS handshake, so that no other task reads octets of the handshake. The pump may
be waiting for input when the core decides to start TLS. It is interrupted before the peer is told, because
the next input belongs to the handshake (`Stream.interrupt`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import trio

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    BodyComplete,
    ClientChanged,
    ClientInfo,
    Close,
    CommandRefused,
    Connect,
    Event,
    MessageAnswered,
    Phase,
    Proxy,
    Release,
    Reply,
    SendToClient,
    SendToServer,
    ServerUnusable,
    Side,
    StartTLS,
    UpstreamTls,
    Violation,
    WaitingFor,
)
from sansio_smtp.questions import AnyQuestion
from sansio_smtp.rules.later import Later, awaited
from trio_proxy.limits.table import LIMIT_OF, Limit
from trio_proxy.text.session_log import SessionLog

from .deadlines import Deadline
from .jobs import Host
from .judging import Judging
from .outbox import Outbox
from .pool import Kept
from .reports import Reports
from .servers import Servers
from .settings import Settings
from .sides import Sides
from .tls_stream import TlsStream

__all__ = ["Relay"]


class Relay(Sides):
    """Runs one dialogue, from the client's connection up to the core's last word."""

    __slots__ = (
        "_judging",
        "_log",
        "_named",
        "_sends_more",
        "_settings",
        "_shows_states",
        "_transcribes",
        "left",
    )

    def __init__(
        self,
        proxy: Proxy,
        client: Outbox,
        servers: Servers,
        judging: Judging,
        reports: Reports,
        deadline: Deadline,
        settings: Settings,
        log: SessionLog,
    ) -> None:
        super().__init__(proxy, client, servers, reports, deadline, settings.reactor)
        self._judging = judging
        self._transcribes = reports.transcribes
        self._shows_states = reports.shows_states
        self._settings = settings
        self._log = log
        self._sends_more = False
        self._named: Callable[[ClientInfo], Limit | None] | None = None
        self.left: tuple[Event, ...] = ()
        """Replies that the core counts as sent, but that the client did not get because of an error in
        `apply`."""

    def tell_of_names(self, named: Callable[[ClientInfo], Limit | None]) -> None:
        """``named`` is called when XCLIENT has named a client. It returns the limit that the client's network
        has reached, or None."""
        self._named = named

    async def run(self) -> None:
        """Returns when the core has closed the dialogue, or the deadline has passed."""
        with self._deadline.scope:
            self._read_on(CLIENT)
            if self._jobs:  # these run at the same time
                self._start(self._begin)
            else:
                await self._begin()
            await self._work_until_over()

    def begin(self, host: Host) -> None:
        """Like `run`, but without a task while nothing waits. When something does, the host runs `work` in a
        task."""
        self._host = host
        self._deadline.serve(host)
        self._read_on(CLIENT)
        if self._jobs or self._client.waiting or not self._use_server_now():
            self._start(self._begin)

    def apply(self, events: list[Event]) -> None:
        """Does what the core decided, in its order, without waiting. After an exception, `left` has the
        replies that the client must still get."""
        while events:
            question: AnyQuestion | None = None
            todo = iter(events)
            try:
                for event in todo:
                    kind = type(event)
                    if kind is SendToClient:
                        self._client.put(event.data)  # type: ignore[union-attr]
                    elif kind is SendToServer:
                        self._servers.outbox.put(event.data)  # type: ignore[union-attr]
                    elif kind is Ask:
                        question = cast("Ask", event).question
                    elif kind in _RARE:
                        self._apply_rare(event)
            except Exception:
                self.left += tuple(event for event in todo if type(event) is SendToClient)
                raise
            if self._transcribes:
                self._reports.transcribe(events)
            if question is None:
                break
            said = self._judging.start(self._proxy, question)
            if self._times is not None:
                self._times.heard(None)
            if isinstance(said, Later):
                self._start(self._judge, said)
                break
            events = said
        if self._over and self._times is not None:
            self._times.said_last(events)
        if self._shows_states:
            self._reports.state(self._proxy)
        if self._proxy.tally.hits:
            self._tell_hits()
        if not self._proxy.flows and self._proxy.has_more and not self._sends_more:
            self._sends_more = True
            self._start(self._send_more)
        if self._paused:
            for side in self._proxy.may_read & self._paused:
                self._resume(side)

    def _apply_rare(self, event: Event) -> None:
        if isinstance(event, MessageAnswered | BodyComplete):  # of every message
            self._reports.event(event)
            if isinstance(event, MessageAnswered) and (rest := self._judging.delivered(event)) is not None:
                self._start(awaited, rest)
        elif isinstance(event, Close):
            if event.side is CLIENT:
                self._over = True
            else:
                self._servers.end(abort=event.abort)
                self._start_going_on()
        elif isinstance(event, Release):
            self._servers.release(event.greeting, self._proxy.server_tls)
            self._start_going_on()
        elif isinstance(event, Connect):
            self._servers.leave()
            self._left(SERVER)
            self._start(self._use_server, event.upstream)
        elif isinstance(event, ClientChanged):
            self._reports.event(event)
            if self._named is not None and (limit := self._named(event.client)) is not None:
                self._start(self._refuse_named, limit)
        elif isinstance(event, StartTLS):
            self._shake_hands_with(event.side)
        else:
            if isinstance(event, ServerUnusable):
                self._servers.failed(event.why)
            self._reports.event(event)

    # Servers

    async def _begin(self) -> None:
        said = await self._judging.connect()
        if isinstance(said, Reply):
            self.apply(self._proxy.refuse(said))
            self._settle()
        else:
            if said is not None:
                self._proxy.prefer(said)
            await self._use_server(said)

    async def _use_server(self, upstream: str | None) -> None:
        """Connects to a server and starts reading it, or tells the client that there is none."""
        await self._flush(CLIENT)
        if not await self._servers.connect(upstream, self._proxy.identity):
            self.apply(self._proxy.server_unreachable())
        elif self._servers.kept is not None:
            await self._use_kept(self._servers.kept)
        elif not self._proxy.closed and await self._greet_in_tls():
            self._deadline.start()
            await self._flush(CLIENT)
            if not self._servers.has_others or await self._greeted():
                self._read_on(SERVER)
        self._settle()

    def _use_server_now(self) -> bool:
        """Connects to the usual server as `_use_server` does. Returns False if it would have to wait; then
        `_use_server` can continue."""
        if not self._proxy.closed:
            connected = self._servers.connect_now()
            if connected is None:
                return False
            if not connected:
                self.apply(self._proxy.server_unreachable())
            else:
                if self._settings.upstream_tls is not None:
                    self._proxy.server_connected(UpstreamTls.NONE, self._servers.dialect)
                self._deadline.start()
                self._read_on(SERVER)
        self._settle()
        return True

    async def _use_kept(self, kept: Kept) -> None:
        """Begins with a kept connection. The session that opened it got the greeting."""
        if self._proxy.closed:
            return
        leg = self._servers.leg
        self._reports.note(f"a kept connection to the server, used for the {kept.uses}. time")
        level = UpstreamTls.NONE if leg is None else leg.level
        self._proxy.server_connected(level, self._servers.dialect, kept=True)
        if kept.tls is not None:
            self._servers.speaks(kept.tls)
            self.apply(self._proxy.tls_started(SERVER, kept.tls))
        self.apply(self._proxy.receive_from(SERVER, kept.greeting))
        self._deadline.start()
        await self._flush(CLIENT)
        self._read_on(SERVER)

    async def _greeted(self) -> bool:
        """Reads the greeting of a server in a list, which shows if the server can be used. Returns False if
        it must not be read any more."""
        proxy, outbox = self._proxy, self._servers.outbox
        with trio.move_on_after(self._settings.timeouts.greeting) as scope:
            while proxy.states[1] is Phase.GREETING and outbox is self._servers.outbox:
                if not await self._read(SERVER, outbox):
                    break
        if scope.cancelled_caught:
            self._end_of(SERVER, TimeoutError("no greeting in time"))
        if proxy.closed or outbox is not self._servers.outbox:
            return False
        if proxy.states[1] in _GREETED:
            self._servers.worked()
        return True

    async def _greet_in_tls(self) -> bool:
        """If a new server speaks TLS from the first octet, does the handshake. Returns False if the server
        cannot be used."""
        leg, outbox = self._servers.leg, self._servers.outbox
        if self._settings.upstream_tls is not None:
            level = UpstreamTls.NONE if leg is None else leg.level
            self._proxy.server_connected(level, self._servers.dialect)
        if leg is not None and leg.implicit:
            seconds = self._settings.timeouts.handshake
            with trio.move_on_after(seconds) as scope:
                await self._shake_hands(SERVER, self._servers.secured())
            if scope.cancelled_caught:
                self._tls_failed(SERVER, f"the handshake has taken more than {seconds:g} s")
            await self._flush(SERVER)
        return not self._proxy.closed and outbox is self._servers.outbox

    # TLS

    async def _secure(self, side: Side, outbox: Outbox) -> None:
        """Begins TLS with this side, after all plain text for it has been sent."""
        await outbox.flush()
        self._settle()  # the time of the handshake begins
        try:
            stream = self._stream_in_tls(side, outbox)
        except OSError as error:
            self._tls_failed(side, f"there is no certificate: {error}")
        else:
            await self._shake_hands(side, stream)
        self._shook_hands_with(side)
        await self._flush(side)

    def _stream_in_tls(self, side: Side, outbox: Outbox) -> TlsStream:
        """Raises OSError if the certificate for a client has to be made first, and cannot be."""
        if side is SERVER:
            return self._servers.secured()
        stream = self._settings.tls_with_client(outbox.stream)
        outbox.secure(stream)
        return stream

    async def _shake_hands(self, side: Side, stream: TlsStream) -> None:
        try:
            info = await stream.handshake()
        except trio.ClosedResourceError:
            pass  # the session has ended meanwhile
        except OSError as error:
            self._tls_failed(side, str(error))
        else:
            events = self._proxy.tls_started(side, info)
            if side is SERVER:
                self._servers.speaks(info)
            self._reports.secured(side, info, self._proxy.identity)
            self.apply(events)

    def _tls_failed(self, side: Side, why: str) -> None:
        self._settings.meter.not_secured(side)
        self._reports.note(f"TLS handshake with the {side.value} failed: {why}")
        self._log.warning("TLS handshake failed", side=side.value, error=why)
        self.apply(self._proxy.tls_failed(side, why))

    # Input

    def _end_of(self, side: Side, lost: OSError | None) -> None:
        """``lost``: why the connection is lost, or None. A server that requires a certificate may break the
        connection."""
        proxy = self._proxy
        if side is SERVER and (proxy.awaiting is None or proxy.awaiting.verb != b"QUIT"):
            why = {} if lost is None else {"error": str(lost)}
            self._log.warning(
                "upstream server closed the connection",
                upstream=self._servers.address,
                waiting_for=proxy.waiting_for.value,
                **why,
            )
        elif side is CLIENT and proxy.waiting_for is WaitingFor.CONTENT:
            self._reports.without_end(proxy, "client closed the connection in mid-message")
        self.apply(proxy.eof_from(side))

    def _client_lost(self, error: OSError) -> None:
        """The client cannot be reached any more: its connection is closed now, whatever the server is doing.
        Only if the server may have accepted a message, its reply is still waited for, for the log."""
        proxy = self._proxy
        if proxy.closed:
            return
        is_check = self._log.may_be_check and proxy.envelope.mail is None  # some checks reset it
        tell = self._log.debug if is_check else self._log.info
        tell("connection lost", side=CLIENT.value, error=str(error))
        self._client.lose(error)
        self.apply(proxy.client_lost())
        self._start_going_on()
        self._settle()

    def _tell_hits(self) -> None:
        """Counts the limits of the dialogue that were hit."""
        for name in self._proxy.tally.take_hits():
            self._settings.hits.hit(
                LIMIT_OF[name], conn=self._log.connection, peer=self._proxy.identity.address
            )

    async def _read_slowly(self) -> None:
        await trio.sleep(self._settings.error_delay)

    async def _refuse_named(self, limit: Limit) -> None:
        """The client that XCLIENT has named gets 421. The greeting may have been sent already."""
        self.apply(self._proxy.drain(limit.reply))
        await self._flush(CLIENT)

    async def _judge(self, said: Later[list[Event]]) -> None:
        events = await said
        if self._times is not None:
            self._times.heard(None)
        self.apply(events)
        await self._flush(CLIENT)

    async def _send_more(self) -> None:
        """Sends a large message piece by piece, as fast as the server takes it."""
        try:
            while self._proxy.has_more:
                await self._servers.outbox.flush()
                if self._proxy.has_more:
                    self.apply(self._proxy.more())
        finally:
            self._sends_more = False
        await self._flush(CLIENT)


_GREETED = (Phase.COMMAND, Phase.BLOCKED)
"""Phases of a server after its greeting; BLOCKED if EHLO was sent at once, as to a server that replaces
another."""
_RARE = frozenset(
    (
        *(Close, Connect, Release, StartTLS),
        *(ClientChanged, ServerUnusable, MessageAnswered, CommandRefused, Violation, BodyComplete),
    )
)
