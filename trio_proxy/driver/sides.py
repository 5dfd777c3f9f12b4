"""Reads and writes the two sides of a session, with pumps or with the reactor (`--io`).

A side is read only if the core allows it, and only after the output that its last input caused has been
written. This is the back-pressure.

- A *pump* is a task for each side: it reads, feeds the core, writes, and waits at each of these steps. It is
the reference.
- The *reactor*: if the stream can be handed over (`Stream.hand_over`), no task reads it. `take` gets the
input, and does in one call what a pump does in one round. Where the pump would wait, `take` returns False,
and reading continues later: when there is room to write (*blocked*), or when the core allows it (*paused*).
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, Final, TypeVar

import trio

from sansio_smtp import CLIENT, SERVER, Event, Proxy, Side

from .deadlines import Deadline
from .jobs import Jobs
from .outbox import Outbox
from .reactor import Reactor
from .reports import Reports
from .servers import Servers
from .watch import Watch

__all__ = ["Sides"]

T = TypeVar("T")

_BYE: Final = b"221 "

_NONE: Final = frozenset[Any]()
"""The empty set, shared by all sessions: saves 0.2 KB for each set."""


class Sides(Jobs):
    """Reads and writes both sides. `Relay` decides what happens with an input."""

    __slots__ = (
        "_blocked",
        "_client",
        "_deadline",
        "_failed",
        "_handshakes",
        "_over",
        "_passes",
        "_paused",
        "_proxy",
        "_pumps",
        "_reactor",
        "_reports",
        "_servers",
        "_times",
        "_watch",
    )

    def __init__(
        self,
        proxy: Proxy,
        client: Outbox,
        servers: Servers,
        reports: Reports,
        deadline: Deadline,
        reactor: Reactor | None,
    ) -> None:
        """``reactor``: None if each side is read by a task."""
        super().__init__()
        self._reactor = reactor
        self._proxy = proxy
        self._client = client
        self._servers = servers
        self._reports = reports
        self._passes = not reports.reads_all
        self._times = reports.account if proxy.config.account and reports.account.is_wanted else None
        self._deadline = deadline
        self._watch: Watch | None = None  # made when it is needed
        self._pumps: frozenset[Outbox] = _NONE  # the outboxes of the sides that have a pump
        self._paused: frozenset[Side] = _NONE  # to be read again when the core allows it
        self._blocked: frozenset[Side] = _NONE  # to be read again when the output has been written
        self._handshakes: frozenset[Side] = _NONE  # handshakes that are due or running
        self._failed = False
        self._over = False  # the core has closed the dialogue

    @property
    def is_over(self) -> bool:
        return self._proxy.closed

    # Implemented by `Relay`

    @abstractmethod
    def apply(self, events: list[Event]) -> None:
        """Does what the core decided."""

    @abstractmethod
    async def _secure(self, side: Side, outbox: Outbox) -> None:
        """Speaks TLS with a side that is in `_handshakes`."""

    @abstractmethod
    def _end_of(self, side: Side, lost: OSError | None) -> None:
        """The input of a side has ended. ``lost``: why the connection is lost, if it is."""

    @abstractmethod
    async def _read_slowly(self) -> None:
        """Waits before reading more of a client that has had too many refusals."""

    @abstractmethod
    def _client_lost(self, error: OSError) -> None:
        """The client cannot be reached any more."""

    # Reading

    def _read_on(self, side: Side) -> None:
        """Reads this side from now on: with the reactor, or with a pump."""
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
        """Reads one side as long as it may be read, and writes the resulting output to both sides."""
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
        self._pumps = _without(self._pumps, outbox)  # input that comes at once may need another pump
        handed_over = outbox.stream.hand_over(self, side)
        if not handed_over:
            self._pumps |= {outbox}
        return handed_over

    async def _read(self, side: Side, outbox: Outbox) -> bool:
        """One round of a pump. Returns False if it was the last."""
        lost: OSError | None = None
        try:
            data = await outbox.stream.receive()
        except trio.ClosedResourceError:
            # Otherwise the server was reset while the client is still served, or the client is lost.
            return side in self._handshakes
        except OSError as error:
            lost, data = error, b""
        if self._times is not None:
            self._times.heard(side)
        self._input(side, data, lost)
        if not self._written():
            await self._flush(side)
        if not data and side is CLIENT:
            self._pause(side)  # for ever; but the connection may be lost
        elif side is CLIENT and self._proxy.tally.slow:
            await self._read_slowly()
        return bool(data)

    def _pause(self, side: Side) -> None:
        self._paused |= {side}
        if side is CLIENT and not self._proxy.closed:
            self._watched().begin()

    def _resume(self, side: Side) -> None:
        """The core allows a paused side to be read again. Reading begins after the current work, because its
        output must be written first."""
        if self._reactor is None:
            self._start_pump(side)
        else:
            self._paused = _without(self._paused, side)
            self._reactor.later(partial(self._read_resumed, side, self._outbox(side)))

    def _read_resumed(self, side: Side, outbox: Outbox) -> None:
        if self._failed or self._proxy.closed or outbox is not self._outbox(side):
            return
        try:
            if side in self._proxy.may_read:
                self._read_on(side)
            else:
                self._paused |= {side}
        except Exception as error:
            self._fail(error)

    def _watched(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(self._client, self._client_lost, self._is_client_paused, self._start)
        return self._watch

    def _is_client_paused(self) -> bool:
        return CLIENT in self._paused

    # Reading by the reactor: see `Reader`

    def take(self, side: Side, data: bytes) -> bool:
        try:
            if self._times is not None:
                self._times.heard(side)
            proxy, client, server = self._proxy, self._client, self._servers.outbox
            if (
                self._passes
                and not client.waiting
                and not server.waiting
                and data
                and (octets := proxy.pass_on(side, data)) is not None
            ):
                if side is CLIENT:
                    written = server.send(octets)
                elif proxy.answers:
                    written = self._answer(octets)
                else:
                    written = client.send(octets)
                    if octets[:4] == _BYE and proxy.closed:
                        self._closed()
                        return False
                    if proxy.has_rest:  # now handle the next line of the client
                        if (octets := proxy.pass_rest()) is None:
                            self.apply(proxy.receive_rest())
                            return self._write(side)
                        written = server.send(octets) and written
                if not written:
                    self._block(side)
                return written
            if data:
                self.apply(proxy.receive_from(side, data))
            else:
                self._input(side, data)
            return self._write(side)
        except Exception as error:
            self._fail(error)
        return False

    def _write(self, side: Side) -> bool:
        """Writes the output that an input of this side caused. Returns True if the side may be read again."""
        proxy, client, server = self._proxy, self._client, self._servers.outbox
        written = not server.waiting or server.flush_now()
        if client.waiting and not client.flush_now():
            written = False
        if self._over:  # `Session.finish` writes the rest within a time limit
            self._settle()
            return False
        if not written and self._block(side):
            return False
        if self._reports.unsaid:
            self._settle()
        if side is CLIENT and proxy.tally.slow:
            self._start(self._read_client_later)
            return False
        if proxy.flows or (proxy.may_read_client() if side is CLIENT else proxy.may_read_server()):
            return True
        self._paused |= {side}
        return False

    async def _read_client_later(self) -> None:
        await self._read_slowly()
        if not self._proxy.closed:
            self._read_on(CLIENT)

    def _closed(self) -> None:
        """The reply to QUIT was passed on: both sides must be closed."""
        self._over = True
        self._servers.end(abort=False)
        self._start_going_on()
        self._settle()

    def _answer(self, octets: bytes) -> bool:
        """Writes the reply to a message that was passed on. Returns True if all of it was written."""
        client, proxy, reports = self._client, self._proxy, self._reports
        tells = reports.tells_messages
        if tells:
            reports.answered(proxy.take_answered())
        written = client.send(octets)
        if written and client.broken is None:
            proxy.forget_answered()
            self._settle()
        elif not tells:
            reports.answered(proxy.take_answered())  # if it is never sent, that must be reported
        return written

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
        """Makes a task of the session raise this exception. The core is not used any more."""
        self._failed = True
        self._client.stream.interrupt()
        self._servers.outbox.stream.interrupt()
        self._start(_raise, error)
        if self._nursery is None and self._sleeper is None and self._host is None:
            self._deadline.end("internal error")  # the session is still connecting to its first server

    def _block(self, side: Side) -> bool:
        """The output that this side's input caused cannot be written at once. Returns True if the side must
        not be read before it is written: see `_flush`."""
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

    def _left(self, side: Side) -> None:
        """A server was left: stops reading it. Output that blocked a side may have been dropped."""
        self._paused, self._blocked = _without(self._paused, side), _without(self._blocked, side)
        self._handshakes = _without(self._handshakes, side)
        self._start_going_on()

    def _start_going_on(self) -> None:
        """Output that blocked a side may have been dropped."""
        if self._blocked:
            self._start(self._flush_and_go_on, self._client)

    def _shake_hands_with(self, side: Side) -> None:
        """Makes the pump of this side do a handshake."""
        self._outbox(side).stream.interrupt()  # at once: after the next write the peer may begin
        self._handshakes |= {side}
        self._start_pump(side)

    def _shook_hands_with(self, side: Side) -> None:
        self._handshakes = _without(self._handshakes, side)

    def _go_on(self) -> None:
        """Writes what can be written, and reads the sides again that this unblocks."""
        written = self._written()
        ready = self._blocked if written or not self._client.waiting else _NONE
        if not written:
            ready = ready & {SERVER}
            self._wait_for_room()
        self._blocked = self._blocked - ready or _NONE
        for side in ready:
            self._read_on(side)

    def _outbox(self, side: Side) -> Outbox:
        return self._client if side is CLIENT else self._servers.outbox

    # Input

    def _input(self, side: Side, data: bytes, lost: OSError | None = None) -> None:
        """Gives the core the result of a read: octets, the end, or the loss of the connection."""
        if data:
            self.apply(self._proxy.receive_from(side, data))
            return
        if side is CLIENT and lost is None and isinstance(self._client.broken, OSError):
            lost = self._client.broken  # a failed write has already got the error
        if side is CLIENT and lost is not None:
            self._client_lost(lost)
        else:
            self._end_of(side, lost)

    # Writing

    async def _flush(self, side: Side) -> None:
        """Writes the output that a side's input caused, and waits until it is written: this is the
        back-pressure."""
        if not self._proxy.closed:
            server, client = self._servers.outbox, self._client
            if not server.flush_now():
                if side is CLIENT:
                    with self._watched().unread():
                        await server.flush()
                else:
                    # Output that the server's replies released. If the server's pump waited here for a server
                    # that waits for us to read, neither would ever go on (RFC 2920 §3.1).
                    # Config.max_pipelined limits what can pile up.
                    self._start(server.flush)
            if not client.flush_now():
                await client.flush()
        self._settle()

    def _written(self) -> bool:
        """Writes what the kernel takes at once, nearly always everything; returns True if nothing is left."""
        if not self._proxy.closed and not (self._servers.outbox.flush_now() & self._client.flush_now()):
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        """All decisions of the core have been written."""
        if self._proxy.closed:
            if self._sleeper is None:
                self._deadline.end("the dialogue is over")
            self._wake()
            return
        if self._reports.unsaid:
            self._reports.told()
        self._deadline.move()


def _without(found: frozenset[T], one: T) -> frozenset[T]:
    return found - {one} or _NONE


async def _raise(error: Exception) -> None:
    """Raises in a task of the session an exception from the reactor."""
    raise error
