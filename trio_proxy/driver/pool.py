"""`Pool`: idle connections to servers, left by earlier sessions for later ones.

::

    session ── Release ──> put(key, kept) ──> [ idle ] ──> take(key) ──> another session
                                                 │
                                                 ├─ the server says something, or closes it
                                                 ├─ it has been idle for too long
                                                 └─ the service stops                ──> QUIT, closed

A session gets a connection only if the key is equal: the server, and the TLS on the connection. It does not
matter who the clients are: the core gives back a connection only if its next user cannot notice the previous
one. The reactor watches idle connections without a task; without a reactor each has a task.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Final

import attrs
import trio

from sansio_smtp import SERVER, Side, TlsInfo

from .streams import Stream

__all__ = ["Kept", "Pool"]

_MOST_SERVERS: Final = 100
"""Rules may name any number of servers; connections are kept for at most so many."""
_QUIT: Final = b"QUIT\r\n"


@attrs.frozen(eq=False)
class Kept:
    """A connection to a server that has answered everything; the last command was RSET."""

    stream: Stream
    greeting: bytes
    """The server's greeting."""
    tls: TlsInfo | None = None
    uses: int = 1
    """The number of clients that it has served."""


@attrs.define(eq=False)
class Pool:
    """Keeps up to ``most`` idle connections for each key, each for at most ``seconds`` and ``uses`` clients.
    It keeps connections only while `serve` runs."""

    most: int
    seconds: float
    uses: int
    _idle: dict[Hashable, list[_Idle]] = attrs.field(factory=dict[Hashable, "list[_Idle]"], init=False)
    """Key → its idle connections; the last was used most recently."""
    _oldest: dict[_Idle, None] = attrs.field(factory=dict["_Idle", None], init=False)
    """All idle connections; the first has been idle for longest."""
    _arrived: trio.Event = attrs.field(factory=trio.Event, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._oldest)

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keeps a connection, or closes it. Raises nothing."""
        is_known = key in self._idle
        if (
            self._nursery is None
            or kept.uses >= self.uses
            or not (is_known or len(self._idle) < _MOST_SERVERS)
        ):
            _say_goodbye(kept.stream)
            return
        idle = _Idle(self, key, kept, trio.current_time() + self.seconds)
        others = self._idle.setdefault(key, [])
        others.append(idle)
        self._oldest[idle] = None
        if len(others) > self.most:
            self.drop(others[0])
        self._arrived.set()
        if not kept.stream.hand_over(idle, SERVER):
            idle.watch_in(self._nursery)

    def take(self, key: Hashable) -> Kept | None:
        """The most recently used connection with this key; None if there is none. It then belongs to the
        caller."""
        others = self._idle.get(key)
        if not others:
            return None
        idle = others[-1]
        self._remove(idle)
        idle.leave()
        return attrs.evolve(idle.kept, uses=idle.kept.uses + 1)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps connections until it is cancelled. Then it closes them."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await self._drop_the_oldest()
        finally:
            self.stop()

    def stop(self) -> None:
        """Closes all connections, and keeps none from now on. Raises nothing."""
        self._nursery = None
        for idle in tuple(self._oldest):
            self.drop(idle)

    def drop(self, idle: _Idle) -> None:
        """Closes an idle connection. Raises nothing."""
        if idle in self._oldest:
            self._remove(idle)
            idle.leave()
            _say_goodbye(idle.kept.stream)

    def _remove(self, idle: _Idle) -> None:
        del self._oldest[idle]
        others = self._idle[idle.key]
        others.remove(idle)
        if not others:
            del self._idle[idle.key]

    async def _drop_the_oldest(self) -> None:
        while True:
            while not self._oldest:
                self._arrived = trio.Event()
                await self._arrived.wait()
            oldest = next(iter(self._oldest))
            await trio.sleep_until(oldest.until)
            self.drop(oldest)


@attrs.define(eq=False)
class _Idle:
    """An idle connection; the `Reader` of its stream, where that can be handed over."""

    _pool: Pool
    key: Hashable
    kept: Kept
    until: float
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)

    def watch_in(self, nursery: trio.Nursery) -> None:
        """Starts a task that reads a stream which could not be handed over."""
        self._scope = trio.CancelScope()
        nursery.start_soon(self._watch, self._scope)

    async def _watch(self, scope: trio.CancelScope) -> None:
        with scope:
            if scope.cancel_called:
                return  # it was taken before this task ran
            try:
                await self.kept.stream.receive()
            except OSError:
                pass
            except trio.ClosedResourceError:
                return  # it was taken, or closed
            self._pool.drop(self)

    def leave(self) -> None:
        """The connection is not idle any more, so it is not read here from now on."""
        self.kept.stream.interrupt()
        if self._scope is not None:
            self._scope.cancel(reason="the connection is taken, or closed")

    def take(self, side: Side, data: bytes) -> bool:
        self._pool.drop(self)  # unasked input: the server says 421, or closes
        return False

    def lose(self, side: Side, error: OSError) -> None:
        self._pool.drop(self)

    def gone(self, side: Side) -> None:
        self._pool.drop(self)

    def writable(self, side: Side) -> None: ...


def _say_goodbye(stream: Stream) -> None:
    with suppress(OSError, trio.ClosedResourceError):
        stream.send_now(_QUIT)
    stream.close()
