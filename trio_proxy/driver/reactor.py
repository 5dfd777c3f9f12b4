"""The reactor: one task that does the work of all sessions that do not have to wait.

::

    epoll set ──ready──> WatchedStream ── recv ──> Reader.take (core, send) ──┬─ all was written: next socket
    of all sockets                                                            └─ else: a task of the session,
                                                                                 or `Reader.writable`

A session needs no task of its own while its peers are quiet, or send input that can be passed on at once. Its
sockets are in one epoll set, and the task that waits for this set gives the input to the session's `Reader`.
The session runs tasks (`Relay`) only if something has to wait. The set is edge-triggered, and a socket is
added once. Trio's own waiting needs a system call for each wait, and wakes a task. So the task first waits
for an answer in the set itself, for a moment (`_MOMENT`). A single session then needs 0.57 waits of Trio for
each message, and 3.7 without this.

CPU time of one message on a connection that is kept open, 4 KiB, measured on one machine:

====================================  ======
a pair of tasks for each session      430 µs
one set, tasks woken for each event   340 µs
one set, no task for what is usual    250 µs
====================================  ======

With edge triggers the state must be remembered: after an event a stream is readable until a read finds
nothing, or less than it asked for. After the peer's end it stays readable, because no other event comes.

Listening sockets are in the set too. All workers wait for the same ones, and a new client wakes each sleeping
worker. EPOLLEXCLUSIVE would not change that: the kernel uses it only if a process waits for the set itself,
but Trio waits for this set in another set. A worker that is late finds no event, so it does not try to
accept.

A second task checks the deadlines of all sessions (`Sweep`).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Final, Protocol

import attrs
import trio
from trio.lowlevel import Abort, Task, checkpoint, current_task, reschedule, wait_task_rescheduled

from sansio_smtp import Side

from .accepting import Take
from .streams import SEGMENT, USUAL, Reader, SocketStream
from .sweep import TICK, Sweep, Swept

__all__ = ["AVAILABLE", "Reactor", "WatchedStream"]

AVAILABLE: Final = hasattr(select, "epoll")
"""True if this system has epoll."""

_TURN: Final = 0.002
"""For so many seconds the task polls the set before it waits through Trio. An answer usually comes soon, and
waiting through Trio costs more than handling the answer."""
_MOMENT: Final = 0.001
"""The seconds that the last poll of a turn waits, the least that epoll can wait. No other task runs
meanwhile, so it waits only if no other task could run."""
_TURNS_WITHOUT: Final = 8
"""After a moment without input, so many turns are done without one."""
_MOST_EVENTS: Final = 64
"""The most events of one poll, so that other tasks get their turn."""
_CLIENTS_A_LOOK: Final = 4
"""The most clients accepted from one listener in a turn. With only one, new clients would wait while sessions
are busy."""
_READS_A_TURN: Final = 8
"""The most reads from one stream before other streams get their turn."""
_TICKS: Final = 32
"""The number of ticks in the shortest time limit: a limit is late by at most one tick."""

_ENDS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if AVAILABLE else 0
_LOST: Final = select.EPOLLHUP | select.EPOLLERR if AVAILABLE else 0
_OUT: Final = select.EPOLLOUT if AVAILABLE else 0
_WATCHED: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET if AVAILABLE else 0


class Reactor:
    """The epoll set, and all time limits, which are checked once in each ``tick`` (seconds)."""

    def __init__(self, tick: float = TICK) -> None:
        self._set = select.epoll()
        self._watched: dict[int, _Watched] = {}
        self._again: list[WatchedStream] = []
        self._calls: list[Callable[[], None]] = []
        self._in_turn = False
        self._nursery: trio.Nursery | None = None
        self._sweep = Sweep(tick)
        self._tasks = _Tasks()

    @classmethod
    def for_limits(cls, shortest: float) -> Reactor:
        """A reactor for time limits; ``shortest`` is the shortest of them in seconds."""
        return cls(min(TICK, shortest / _TICKS))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves the streams and time limits until it is cancelled."""
        with self._set, self._tasks.counted():
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._sweep.run)
                task_status.started()
                await self._serve()

    def stream(self, sock: socket.socket) -> WatchedStream:
        """A stream over this connected non-blocking socket, which the stream owns from now on. If that is not
        possible, or the reactor has ended, closes the socket and raises OSError."""
        try:
            self._set.register(sock, _WATCHED)
        except (OSError, ValueError) as error:  # ValueError: the set is closed
            sock.close()
            raise OSError(f"the connection cannot be watched: {error}") from error
        stream = self._watched[sock.fileno()] = WatchedStream(sock, self)
        return stream

    def leave(self, sock: socket.socket) -> None:
        """Call this before the socket is closed, which removes it from the set."""
        self._watched.pop(sock.fileno(), None)

    async def accept(self, listener: socket.socket, take: Take) -> None:
        """Takes each client of this listener until it is cancelled. Raises what ``take`` raises."""
        door = _Door(take, partial(self._shut, listener.fileno()))
        self._set.register(listener, select.EPOLLIN)
        self._watched[listener.fileno()] = door
        try:
            await door.shut.wait()
        finally:
            door.close()
        assert door.why is not None
        raise door.why

    def _shut(self, listener: int) -> None:
        """Removes a listener: if other processes have it open too, closing it here does not remove it from
        the set."""
        del self._watched[listener]
        with suppress(OSError, ValueError):  # the listener, or the set, is closed
            self._set.unregister(listener)

    def again(self, stream: WatchedStream) -> None:
        """The stream is still readable, but no event will say so: it gets another turn after the others."""
        self._again.append(stream)
        if not self._in_turn and len(self._again) == 1 and self._nursery is not None:
            self._nursery.start_soon(self._do_what_is_left)

    def later(self, call: Callable[[], None]) -> None:
        """Calls ``call`` after the current work. It must raise nothing."""
        self._calls.append(call)
        if not self._in_turn and len(self._calls) == 1 and self._nursery is not None:
            self._nursery.start_soon(self._do_what_is_left)

    def sweep(self, limit: Swept) -> None:
        """Checks this time limit from now on."""
        self._sweep.add(limit)

    def forget(self, limit: Swept) -> None:
        """Stops checking this time limit."""
        self._sweep.discard(limit)

    async def _serve(self) -> None:
        poll, watched, tasks = self._set.poll, self._watched, self._tasks
        turns_without = 0
        while True:
            if self._again:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._set)
            self._in_turn = True
            moment: float = 0
            end = monotonic() + _TURN
            while events := poll(moment, _MOST_EVENTS):
                for descriptor, mask in events:
                    if one := watched.get(descriptor):  # otherwise it was closed in this turn
                        one.ready(mask)
                if self._calls:
                    self._make_calls()
                if monotonic() > end:
                    break
                moment = 0 if turns_without or self._again or tasks.runnable else _MOMENT
            if turns_without:
                turns_without -= 1
            elif moment and not events:
                turns_without = _TURNS_WITHOUT
            self._read_again()
            self._in_turn = False

    def _read_again(self) -> None:
        again, self._again = self._again, []
        for stream in again:
            stream.read()
        if self._calls:
            self._make_calls()

    def _make_calls(self) -> None:
        while self._calls:
            calls, self._calls = self._calls, []
            for call in calls:
                call()

    async def _do_what_is_left(self) -> None:
        self._read_again()


class _Tasks(trio.abc.Instrument):
    """Counts the tasks that could run now, except those that could already run when it began."""

    runnable: int = 0

    @contextmanager
    def counted(self) -> Generator[None]:
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)

    def task_scheduled(self, task: Task) -> None:
        self.runnable += 1

    def before_task_step(self, task: Task) -> None:
        if self.runnable:
            self.runnable -= 1


class _Watched(Protocol):
    """A socket in the set."""

    def ready(self, mask: int) -> None:
        """Handles an event for the socket."""


@attrs.define(eq=False)
class _Door:
    """A listener in the set."""

    _take: Take
    _leave: Callable[[], None]
    shut: trio.Event = attrs.field(factory=trio.Event, init=False)
    why: Exception | None = attrs.field(default=None, init=False)
    """The exception that ``take`` has raised."""

    def ready(self, mask: int) -> None:
        try:
            for _ in range(_CLIENTS_A_LOOK):
                if not self._take():
                    return
        except Exception as error:
            self.why = error
            self.close()

    def close(self) -> None:
        """No client is taken from now on."""
        if not self.shut.is_set():
            self.shut.set()
            self._leave()


@attrs.define(eq=False)
class WatchedStream(SocketStream):
    """A `Stream` over a socket in the set of a reactor."""

    _reactor: Reactor
    _reader: Reader | None = attrs.field(default=None, init=False)
    """Gets the input without a task. None before `hand_over`, and if a task reads."""
    _side: Side = attrs.field(default=Side.CLIENT, init=False)
    _reads: bool = attrs.field(default=False, init=False)
    """True if the reader accepts more input now."""
    _awaits_room: bool = attrs.field(default=False, init=False)
    """True if the reader must be told when there is room to write."""
    _readable: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    """True if the peer has ended its sending, or the connection is lost."""
    _lost: bool = attrs.field(default=False, init=False)
    _receiver: Task | None = attrs.field(default=None, init=False)
    _sender: Task | None = attrs.field(default=None, init=False)

    # Called by the reactor

    def ready(self, mask: int) -> None:
        """The socket has become readable or writable, or was lost."""
        if mask != _OUT:
            self._readable = True
            if mask & _ENDS:
                self._ended = True
                self._lost = bool(mask & _LOST)
            if self._reads:
                self.read()
            elif self._receiver is not None:
                self._wake_receiver()
            elif self._lost and self._reader is not None:
                self._reader.gone(self._side)
        if mask & _OUT and (self._awaits_room or self._sender is not None):
            self._has_room()

    def _has_room(self) -> None:
        if self._sender is not None:
            self._wake_sender()
        if self._awaits_room and self._reader is not None:
            self._awaits_room = False
            self._reader.writable(self._side)

    def read(self) -> None:
        """Gives input to the reader while there is some, and the reader accepts more."""
        reader, side, reads = self._reader, self._side, 0
        while reader is not None and self._reads:
            most = self._most
            try:
                data = self.sock.recv(most)
            except BlockingIOError:
                self._readable = False
                return
            except OSError as error:
                self._reads = False
                reader.lose(side, error)
                return
            if len(data) < most:
                self._most, self._readable = USUAL, self._ended
            else:
                self._most = SEGMENT
            if not reader.take(side, data) or not data:
                self._reads = False
                if self._lost and not data:  # an end, and a reset after it, in one event
                    reader.gone(side)
                return
            if not self._readable:
                return
            reads += 1
            if reads == _READS_A_TURN:
                self._reactor.again(self)
                return

    # Called by the session

    def hand_over(self, reader: Reader, side: Side) -> bool:
        self._reader, self._side, self._reads = reader, side, True
        if self._readable:
            self.read()
        return True

    def when_writable(self) -> bool:
        self._awaits_room = self._reader is not None
        return self._awaits_room

    async def receive(self) -> bytes:
        self._reader, self._reads = None, False
        interrupts = self._interrupts
        while True:
            await self._until_readable()
            if interrupts != self._interrupts:
                raise trio.ClosedResourceError("another task reads this connection now")
            most = self._most
            try:
                data = self.sock.recv(most)
            except BlockingIOError:
                self._readable = False
                continue
            if len(data) < most:
                self._most, self._readable = USUAL, self._ended
            else:
                self._most = SEGMENT
            return data

    async def receive_some(self, most: int, end: bytes = b"") -> bytes:
        while True:
            await self._until_readable()
            try:
                data = self.sock.recv(most, socket.MSG_PEEK)
            except BlockingIOError:
                self._readable = False
                continue
            wanted = data.find(end) + len(end) if end and end in data else len(data)
            return self.sock.recv(wanted) if wanted else b""

    def interrupt(self) -> None:
        self._interrupts += 1
        self._reads = False

    async def send_some(self, data: memoryview) -> int:
        while not (sent := self.send_now(data)):
            await self._until_writable()
        return sent

    def is_lost(self) -> bool:
        return self._lost or self.sock.fileno() < 0

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            self._reader, self._reads = None, False
            self._reactor.leave(self.sock)
            self.sock.close()
            if self._receiver is not None:
                self._wake_receiver()
            if self._sender is not None:
                self._wake_sender()

    # Waiting

    async def _until_readable(self) -> None:
        """Returns when there may be something to read. Raises trio.ClosedResourceError if it is closed."""
        if self._readable or self.sock.fileno() < 0:
            await checkpoint()
        else:
            self._receiver = current_task()
            await wait_task_rescheduled(self._leave_receiver)
        if self.sock.fileno() < 0:
            raise trio.ClosedResourceError("this side has closed the connection")

    async def _until_writable(self) -> None:
        self._sender = current_task()
        await wait_task_rescheduled(self._leave_sender)
        if self.sock.fileno() < 0:
            raise trio.ClosedResourceError("this side has closed the connection")

    def _wake_receiver(self) -> None:
        task, self._receiver = self._receiver, None
        assert task is not None  # as the caller has seen
        reschedule(task)

    def _wake_sender(self) -> None:
        task, self._sender = self._sender, None
        assert task is not None  # as the caller has seen
        reschedule(task)

    def _leave_receiver(self, _: object) -> Abort:
        self._receiver = None
        return Abort.SUCCEEDED

    def _leave_sender(self, _: object) -> Abort:
        self._sender = None
        return Abort.SUCCEEDED
