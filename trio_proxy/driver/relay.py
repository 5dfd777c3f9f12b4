"""The core between two connections: what is read goes into it, what it decides is done.

::

    client  -- read -->  Proxy.receive_from  -- events -->  perform  -- put -->  outboxes  -- write -->  both
    server  -- read -->                          ^
                         verdicts, new servers --+

Two pumps, a task for each side, read as long as the core lets them. Neither reads on before what came of its
last input has been written: that is the back-pressure. Questions that take time, new servers and large
messages have tasks of their own. All of them run in one nursery, in the scope of the session's deadline, and
end with it. An exception in any of them is an internal error, which ends the session (`Session`).

A TLS handshake is the work of the pump of its side, so that no other task reads what belongs to it. The pump
may wait for input when TLS is decided on. It is told at once, before the peer is: what comes then is the
handshake's (`Stream.interrupt`).
"""

from __future__ import annotations

from typing import cast

import trio

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    BodyComplete,
    ClientChanged,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Proxy,
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
from trio_proxy.text.session_log import SessionLog

from .deadlines import Deadline
from .judging import Judging
from .reports import Reports
from .servers import Servers
from .settings import Settings
from .streams import Outbox, Stream
from .tls_stream import TlsStream
from .watch import Watch

__all__ = ["Relay"]


class Relay:
    """Runs one dialogue, from the client's connection up to the core's last word."""

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
        self._proxy = proxy
        self._client = client
        self._servers = servers
        self._judging = judging
        self._reports = reports
        self._transcribes = reports.transcribes
        self._shows_states = reports.shows_states
        self._deadline = deadline
        self._settings = settings
        self._log = log
        self._watch = Watch(client, self._client_lost)
        self._turns: dict[Side, trio.Event] = {}  # pumps that wait until they may read
        self._handshakes: set[Side] = set()  # that are due or run
        self._client_ended = False
        self._nursery: trio.Nursery | None = None
        self._sends_more = False
        self.left: list[Event] = []
        """Replies that the core counts as told, and that an error in `apply` has kept from the client."""

    async def run(self) -> None:
        """Returns when the core has closed the dialogue, or the deadline has passed."""
        with self._deadline.scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._begin)
                await self._pump(CLIENT, self._client)
                with self._watch.unread(nursery):
                    await trio.sleep_forever()

    def apply(self, events: list[Event]) -> None:
        """Does what the core decided, in its order; nothing here waits. After an exception, `left` has
        what is still to be told to the client."""
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
                self.left += [event for event in todo if type(event) is SendToClient]
                raise
            if self._transcribes:
                self._reports.transcribe(events)
            if question is None:
                break
            if self._judging.waits_for(question):
                self._start_judging(question)
                break
            events = self._judging.judge_now(self._proxy, question)
        if self._shows_states:
            self._reports.state(self._proxy)
        if self._proxy.has_more and not self._sends_more and self._nursery is not None:
            self._sends_more = True
            self._nursery.start_soon(self._send_more)
        if self._turns:
            for side in self._proxy.may_read & self._turns.keys():
                self._turns.pop(side).set()

    def _apply_rare(self, event: Event) -> None:
        if isinstance(event, Close):
            if event.side is SERVER:
                self._servers.end(abort=event.abort)
        elif isinstance(event, Connect):
            if self._nursery is not None:
                self._servers.leave()
                self._turns.pop(SERVER, None)
                self._nursery.start_soon(self._use_server, event.upstream)
        elif isinstance(event, StartTLS):
            self._start_tls(event.side)
        else:
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
        """Connects to a server and reads it, or tells the client that there is none."""
        await self._flush(CLIENT)
        if not await self._servers.connect(upstream, self._proxy.identity):
            self.apply(self._proxy.server_unreachable())
        elif not self._proxy.closed:
            with self._servers.scope:
                if await self._greet_in_tls():
                    self._deadline.start()
                    await self._flush(CLIENT)
                    await self._pump(SERVER, self._servers.outbox)
            return
        self._settle()

    async def _greet_in_tls(self) -> bool:
        """Does what comes before the first octet of a new server, if it is TLS. Returns False if the server
        cannot be used."""
        leg = self._servers.leg
        if self._settings.upstream_tls is not None:
            self._proxy.server_connected(UpstreamTls.NONE if leg is None else leg.level)
        if leg is not None and leg.implicit:
            seconds = self._settings.timeouts.handshake
            with trio.move_on_after(seconds) as scope:
                await self._shake_hands(SERVER, self._servers.secured())
            if scope.cancelled_caught:
                self._tls_failed(SERVER, f"the handshake has taken more than {seconds:g} s")
            await self._flush(SERVER)
        return not self._proxy.closed

    # TLS

    def _start_tls(self, side: Side) -> None:
        """Has the pump of this side do a handshake."""
        outbox = self._client if side is CLIENT else self._servers.outbox
        outbox.stream.interrupt()  # now: after the next write the peer may begin
        self._handshakes.add(side)
        if turn := self._turns.pop(side, None):
            turn.set()
        elif side is CLIENT and self._client_ended and self._nursery is not None:
            self._nursery.start_soon(self._secure, CLIENT, outbox)  # which fails

    async def _secure(self, side: Side, outbox: Outbox) -> Stream:
        """Speaks TLS with this side, after all that was to be said in plain text has been. Returns the stream
        to be read from now on."""
        await outbox.flush()
        self._settle()  # the time of the handshake begins
        if side is SERVER:
            stream = self._servers.secured()
        else:
            stream = self._settings.tls_with_client(outbox.stream)
            outbox.secure(stream)
        await self._shake_hands(side, stream)
        self._handshakes.discard(side)
        await self._flush(side)
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
            self._reports.secured(side, info, self._proxy.identity)
            self.apply(events)

    def _tls_failed(self, side: Side, why: str) -> None:
        self._reports.note(f"TLS handshake with the {side.value} failed: {why}")
        self._log.warning("TLS handshake failed", side=side.value, error=why)
        self.apply(self._proxy.tls_failed(side, why))

    # Pumps

    async def _pump(self, side: Side, outbox: Outbox) -> None:
        """Reads one side as long as it may be read, and writes what comes of it to either side."""
        proxy, stream = self._proxy, outbox.stream
        lost: OSError | None = None
        while not proxy.closed:
            if side not in proxy.may_read:
                if side in self._handshakes:
                    stream = await self._secure(side, outbox)
                else:
                    await self._wait_for_turn(side)
                continue
            try:
                data = await stream.receive()
            except trio.ClosedResourceError:
                if side in self._handshakes:
                    continue
                return  # the server was reset, with the client still to be served; or the client is lost
            except OSError as error:
                if side is CLIENT:
                    self._client_lost(error)
                    return
                lost, data = error, b""
            if data:
                self.apply(proxy.receive_from(side, data))
            elif side is CLIENT and isinstance(self._client.broken, OSError):
                self._client_lost(self._client.broken)  # a failed write has used up the error
                return
            else:
                self._end_of(side, lost)
            if not self._written():
                await self._flush(side)
            if not data:
                return

    async def _wait_for_turn(self, side: Side) -> None:
        self._turns[side] = turn = trio.Event()
        if side is CLIENT and self._nursery is not None:
            with self._watch.unread(self._nursery):
                await turn.wait()
        else:
            await turn.wait()

    def _end_of(self, side: Side, lost: OSError | None) -> None:
        """``lost``: why the connection is lost, if it is. A server that demands a certificate says it so."""
        proxy = self._proxy
        self._client_ended = self._client_ended or side is CLIENT
        if side is SERVER and (proxy.awaiting is None or proxy.awaiting.verb != b"QUIT"):
            why = {} if lost is None else {"error": str(lost)}
            waiting_for = proxy.waiting_for.value
            self._log.warning("upstream server closed the connection", waiting_for=waiting_for, **why)
        elif side is CLIENT and proxy.waiting_for is WaitingFor.CONTENT:
            self._log.warning("client closed the connection in mid-message")
        self.apply(proxy.eof_from(side))

    def _client_lost(self, error: OSError) -> None:
        """Nothing can be told to the client any more: its connection is closed now, whatever the server is
        doing. Only the reply to a message that the server may have taken is still waited for, for the log."""
        proxy = self._proxy
        if proxy.closed:
            return
        is_check = self._log.may_be_check and proxy.envelope.mail is None  # some reset it after EHLO and QUIT
        tell = self._log.debug if is_check else self._log.info
        tell("connection lost", side=CLIENT.value, error=str(error))
        self._client.lose(error)
        self.apply(proxy.client_lost())
        self._settle()

    # Tasks beside the pumps

    def _start_judging(self, question: AnyQuestion) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._judge, question)

    async def _judge(self, question: AnyQuestion) -> None:
        self.apply(await self._judging.judge(self._proxy, question))
        await self._flush(CLIENT)

    async def _send_more(self) -> None:
        """A large message goes out piece by piece, as fast as the server takes it."""
        try:
            while self._proxy.has_more:
                await self._servers.outbox.flush()
                if self._proxy.has_more:
                    self.apply(self._proxy.more())
        finally:
            self._sends_more = False
        await self._flush(CLIENT)

    # Writing

    async def _flush(self, side: Side) -> None:
        """Writes what came of a side's input, and waits until it is written: this is the back-pressure."""
        if not self._proxy.closed and self._nursery is not None:
            server, client = self._servers.outbox, self._client
            if not server.flush_now():
                if side is CLIENT:
                    with self._watch.unread(self._nursery):
                        await server.flush()
                else:
                    # What the server's replies released. Were its pump to wait here for a server that itself
                    # waits for us to read, neither would ever go on (RFC 2920 §3.1). What can pile up is
                    # bounded by Config.max_pipelined.
                    self._nursery.start_soon(server.flush)
            if not client.flush_now():
                await client.flush()
        self._settle()

    def _written(self) -> bool:
        """Writes what the kernel takes at once, nearly always all; returns True if nothing is left."""
        if not self._proxy.closed and not (self._servers.outbox.flush_now() and self._client.flush_now()):
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        """What was decided has been written."""
        if self._proxy.closed:
            self._deadline.end("the dialogue is over")
            return
        if self._reports.unsaid:
            self._reports.told()
        self._deadline.move()


_RARE = frozenset(
    (Close, Connect, StartTLS, ClientChanged, ServerUnusable, MessageAnswered, Violation, BodyComplete)
)
