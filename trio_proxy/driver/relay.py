"""The core between two connections: what is read goes into it, what it decides is done.

::

    client  -- read -->  Proxy.receive_from  -- events -->  perform  -- put -->  outboxes  -- write -->  both
    server  -- read -->                          ^
                         verdicts, new servers --+

Each side is read as long as the core lets it be, and not before what came of its last input has been written:
that is the back-pressure. There are two ways to read a side (`--io`):

- A *pump*, a task for each side: it reads, gives to the core, writes, and waits at each of these. It is the
  reference.
- The *reactor*: if the stream can be handed over (`Stream.hand_over`), no task reads it. What comes is given
  to `take`, which does in one call what a pump does in one round. Where the pump would wait, `take` returns
  False, and the side is read on later: when there is room to write (*blocked*), or when the core lets it be
  read (*paused*).

Questions that take time, new servers, large messages and handshakes are *jobs*, which are tasks; so are the
pumps. The nursery of the jobs is open as long as there are any. A session that has none sleeps in its own
task. All of it is in the scope of the session's deadline, and ends with it. An exception in any of them is an
internal error, which ends the session (`Session`).

A TLS handshake is the work of the pump of its side, so that no other task reads what belongs to it. The pump
may wait for input when TLS is decided on. It is told at once, before the peer is: what comes then is the
handshake's (`Stream.interrupt`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

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
from sansio_smtp.rules.later import Later
from trio_proxy.text.session_log import SessionLog

from .deadlines import Deadline
from .judging import Judging
from .outbox import Outbox
from .reports import Reports
from .servers import Servers
from .settings import Settings
from .streams import Stream
from .tls_stream import TlsStream
from .watch import Watch

__all__ = ["Relay"]

T = TypeVar("T")

_NONE: Final = frozenset[Any]()
"""Stands in all sessions for sides that are none: 0.2 KB for each set that need not be there."""


class Relay:
    """Runs one dialogue, from the client's connection up to the core's last word."""

    __slots__ = (
        "_blocked",
        "_client",
        "_deadline",
        "_failed",
        "_handshakes",
        "_jobs",
        "_judging",
        "_log",
        "_nursery",
        "_over",
        "_paused",
        "_proxy",
        "_pumps",
        "_reports",
        "_running",
        "_sends_more",
        "_servers",
        "_settings",
        "_shows_states",
        "_sleeper",
        "_transcribes",
        "_watch",
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
        self._watch: Watch | None = None  # made when it is needed
        self._pumps: frozenset[Outbox] = _NONE  # of the sides that have one
        self._paused: frozenset[Side] = _NONE  # to be read on when the core lets them be
        self._blocked: frozenset[Side] = _NONE  # to be read on when what came of their input has been written
        self._handshakes: frozenset[Side] = _NONE  # that are due or run
        self._failed = False
        self._over = False  # the core has closed the dialogue
        self._sends_more = False
        self._jobs: tuple[tuple[Callable[..., Awaitable[object]], tuple[Any, ...]], ...] = ()  # to be started
        self._running = 0  # jobs in the nursery
        self._nursery: trio.Nursery | None = None
        self._sleeper: Task | None = None
        self.left: tuple[Event, ...] = ()
        """Replies that the core counts as told, and that an error in `apply` has kept from the client."""

    async def run(self) -> None:
        """Returns when the core has closed the dialogue, or the deadline has passed."""
        with self._deadline.scope:
            self._read_on(CLIENT)
            if self._jobs:  # which run beside it
                self._start(self._begin)
            else:
                await self._begin()
            while self._jobs or not self._proxy.closed:
                if self._jobs:
                    await self._work()
                else:  # sleep until there is a job, or the dialogue is over
                    self._sleeper = current_task()
                    await wait_task_rescheduled(self._leave_sleep)

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
                self.left += tuple(event for event in todo if type(event) is SendToClient)
                raise
            if self._transcribes:
                self._reports.transcribe(events)
            if question is None:
                break
            said = self._judging.start(self._proxy, question)
            if isinstance(said, Later):
                self._start(self._judge, said)
                break
            events = said
        if self._shows_states:
            self._reports.state(self._proxy)
        if self._proxy.has_more and not self._sends_more:
            self._sends_more = True
            self._start(self._send_more)
        if self._paused:
            for side in self._proxy.may_read & self._paused:
                self._start_pump(side)

    def _apply_rare(self, event: Event) -> None:
        if isinstance(event, MessageAnswered | BodyComplete):  # of every message
            self._reports.event(event)
        elif isinstance(event, Close):
            if event.side is CLIENT:
                self._over = True
            else:
                self._servers.end(abort=event.abort)
                self._start_going_on()
        elif isinstance(event, Connect):
            self._servers.leave()
            self._paused = _without(self._paused, SERVER)
            self._blocked = _without(self._blocked, SERVER)
            self._start_going_on()
            self._start(self._use_server, event.upstream)
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
        """Connects to a server and has it read, or tells the client that there is none."""
        await self._flush(CLIENT)
        if not await self._servers.connect(upstream, self._proxy.identity):
            self.apply(self._proxy.server_unreachable())
        elif not self._proxy.closed and await self._greet_in_tls():
            self._deadline.start()
            await self._flush(CLIENT)
            self._read_on(SERVER)
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
        self._outbox(side).stream.interrupt()  # now: after the next write the peer may begin
        self._handshakes |= {side}
        self._start_pump(side)

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
        self._handshakes = _without(self._handshakes, side)
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

    # Reading

    def _read_on(self, side: Side) -> None:
        """Has this side read: by the reactor, or by a pump."""
        outbox = self._outbox(side)
        if (
            outbox in self._pumps
            or side in self._handshakes
            or side not in self._proxy.may_read
            or not outbox.stream.hand_over(self, side)
        ):
            self._start_pump(side)

    def _start_pump(self, side: Side) -> None:
        outbox = self._outbox(side)
        self._paused = _without(self._paused, side)
        if outbox not in self._pumps:
            self._pumps |= {outbox}
            self._start(self._pump, side, outbox)

    async def _pump(self, side: Side, outbox: Outbox) -> None:
        """Reads one side as long as it may be read, and writes what comes of it to either side."""
        proxy = self._proxy
        try:
            while not proxy.closed and outbox is self._outbox(side):
                if side in self._handshakes:
                    await self._secure(side, outbox)
                elif side not in proxy.may_read:
                    self._pause(side)
                    return
                elif self._hand_over(side, outbox) or not await self._read(side, outbox):
                    return
        finally:
            self._pumps = _without(self._pumps, outbox)

    def _hand_over(self, side: Side, outbox: Outbox) -> bool:
        self._pumps = _without(self._pumps, outbox)  # what is read at once may need another one
        handed_over = outbox.stream.hand_over(self, side)
        if not handed_over:
            self._pumps |= {outbox}
        return handed_over

    async def _read(self, side: Side, outbox: Outbox) -> bool:
        """One round of a pump. Returns False if there is no other."""
        lost: OSError | None = None
        try:
            data = await outbox.stream.receive()
        except trio.ClosedResourceError:
            # Else the server was reset, with the client still to be served; or the client is lost.
            return side in self._handshakes
        except OSError as error:
            lost, data = error, b""
        self._input(side, data, lost)
        if not self._written():
            await self._flush(side)
        if not data and side is CLIENT:
            self._pause(side)  # for ever; but it may be lost
        return bool(data)

    def _pause(self, side: Side) -> None:
        self._paused |= {side}
        if side is CLIENT and not self._proxy.closed:
            self._watched().begin()

    def _watched(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(self._client, self._client_lost, self._is_client_paused, self._start)
        return self._watch

    def _is_client_paused(self) -> bool:
        return CLIENT in self._paused

    # Reading by the reactor: see `Reader`

    def take(self, side: Side, data: bytes) -> bool:
        try:
            proxy = self._proxy
            if data:
                self.apply(proxy.receive_from(side, data))
            else:
                self._input(side, data)
            client, server = self._client, self._servers.outbox
            written = not server.waiting or server.flush_now()
            if client.waiting and not client.flush_now():
                written = False
            if not written and self._block(side):
                return False
            if self._over or self._reports.unsaid:
                self._settle()
            if proxy.may_read_client() if side is CLIENT else proxy.may_read_server():
                return True
            self._paused |= {side}
        except Exception as error:
            self._fail(error)
        return False

    def lose(self, side: Side, error: OSError) -> None:
        try:
            self._input(side, b"", error)
            if not self._written():
                self._block(side)
        except Exception as failure:
            self._fail(failure)

    def gone(self, side: Side) -> None:
        if side is CLIENT and self._client.broken is None and not self._failed:
            self.lose(side, ConnectionResetError("the client has reset its connection"))

    def writable(self, side: Side) -> None:
        if not self._failed:
            try:
                self._go_on()
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        """An exception is raised by a task of the session. The core is not asked any more."""
        self._failed = True
        self._client.stream.interrupt()
        self._servers.outbox.stream.interrupt()
        self._start(_raise, error)
        if self._nursery is None and self._sleeper is None:
            self._deadline.end("internal error")  # it is getting its first server

    def _block(self, side: Side) -> bool:
        """What came of the input of this side cannot be written at once. Returns True if the side is not to
        be read before it has been: see `_flush`."""
        waits = side is CLIENT or self._client.waiting
        if waits:
            self._blocked |= {side}
        self._wait_for_room()
        return waits

    def _wait_for_room(self) -> None:
        for outbox in (self._client, self._servers.outbox):
            if outbox.waiting and not outbox.can_wait():
                self._start(self._flush_and_go_on, outbox)

    async def _flush_and_go_on(self, outbox: Outbox) -> None:
        await outbox.flush()
        self._go_on()

    def _start_going_on(self) -> None:
        """What a side is blocked by may have been dropped."""
        if self._blocked:
            self._start(self._flush_and_go_on, self._client)

    def _go_on(self) -> None:
        """Writes what can be written, and reads the sides on that were blocked by it."""
        written = self._written()
        ready = self._blocked if written or not self._client.waiting else _NONE
        if not written:
            ready = ready & {SERVER}
            self._wait_for_room()
        self._blocked = self._blocked - ready or _NONE
        for side in ready:
            self._read_on(side)

    # Input

    def _input(self, side: Side, data: bytes, lost: OSError | None = None) -> None:
        """Gives the core what a read has brought: octets, the end, or the loss of the connection."""
        if data:
            self.apply(self._proxy.receive_from(side, data))
            return
        if side is CLIENT and lost is None and isinstance(self._client.broken, OSError):
            lost = self._client.broken  # a failed write has used up the error
        if side is CLIENT and lost is not None:
            self._client_lost(lost)
        else:
            self._end_of(side, lost)

    def _end_of(self, side: Side, lost: OSError | None) -> None:
        """``lost``: why the connection is lost, if it is. A server that demands a certificate says it so."""
        proxy = self._proxy
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
        self._start_going_on()
        self._settle()

    # Jobs

    def _start(self, job: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Starts a task, now or when the session's own task has opened the nursery."""
        if self._nursery is not None:
            self._running += 1
            self._nursery.start_soon(self._run_job, job, arguments)
            return
        self._jobs += ((job, arguments),)
        self._wake()

    async def _work(self) -> None:
        """Runs the jobs, and those that they start, until none is left."""
        async with trio.open_nursery() as self._nursery:
            jobs, self._jobs = self._jobs, ()
            for job, arguments in jobs:
                self._start(job, *arguments)

    async def _run_job(self, job: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        try:
            await job(*arguments)
        finally:
            self._running -= 1
            if not self._running:
                self._nursery = None  # it closes with its last task, and takes no other then

    def _leave_sleep(self, _: object) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            reschedule(sleeper)

    def _outbox(self, side: Side) -> Outbox:
        return self._client if side is CLIENT else self._servers.outbox

    async def _judge(self, said: Later[list[Event]]) -> None:
        self.apply(await said)
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
        if not self._proxy.closed:
            server, client = self._servers.outbox, self._client
            if not server.flush_now():
                if side is CLIENT:
                    with self._watched().unread():
                        await server.flush()
                else:
                    # What the server's replies released. Were its pump to wait here for a server that itself
                    # waits for us to read, neither would ever go on (RFC 2920 §3.1). What can pile up is
                    # bounded by Config.max_pipelined.
                    self._start(server.flush)
            if not client.flush_now():
                await client.flush()
        self._settle()

    def _written(self) -> bool:
        """Writes what the kernel takes at once, nearly always all; returns True if nothing is left."""
        if not self._proxy.closed and not (self._servers.outbox.flush_now() & self._client.flush_now()):
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        """What was decided has been written."""
        if self._proxy.closed:
            if self._sleeper is None:
                self._deadline.end("the dialogue is over")
            self._wake()
            return
        if self._reports.unsaid:
            self._reports.told()
        self._deadline.move()


_RARE = frozenset(
    (Close, Connect, StartTLS, ClientChanged, ServerUnusable, MessageAnswered, Violation, BodyComplete)
)


def _without(found: frozenset[T], one: T) -> frozenset[T]:
    return found - {one} or _NONE


async def _raise(error: Exception) -> None:
    """A task of the session raises what was raised in the reactor."""
    raise error
