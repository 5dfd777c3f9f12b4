"""`Pool`: idle connections to servers, which clients that came before have left, for those that come next.

::

    session ── Release ──> put(key, kept) ──> [ idle ] ──> take(key) ──> another session
                                                 │
                                                 ├─ the server says something, or closes it
                                                 ├─ it has been idle for too long
                                                 └─ the service stops                ──> QUIT, closed

A connection goes to a session only under the key with which it was put in: the server, and what TLS is on it.
Who the clients are does not matter: the core gives back no connection whose next user could notice the one
before. The reactor watches idle connections without a task; elsewhere each has one.
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
"""Rules may name any number of servers; of more than this, no connections are kept."""
_QUIT: Final = b"QUIT\r\n"


@attrs.frozen(eq=False)
class Kept:
    """A connection to a server that has answered all that it was sent, the last time RSET."""

    stream: Stream
    greeting: bytes
    """What the server has said first."""
    tls: TlsInfo | None = None
    uses: int = 1
    """Number of clients that it has served."""


@attrs.define(eq=False)
class Pool:
    """Keeps up to ``most`` idle connections for each key, each for ``seconds`` at most, and for ``uses``
    clients in all. It keeps none before `serve` runs, and none after."""

    most: int
    seconds: float
    uses: int
    _idle: dict[Hashable, list[_Idle]] = attrs.field(factory=dict[Hashable, "list[_Idle]"], init=False)
    """Key → its idle connections, the one that was used last at the end."""
    _oldest: dict[_Idle, None] = attrs.field(factory=dict["_Idle", None], init=False)
    """All of them, the one that has been idle for longest first."""
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
        """The connection with this key that was used last; None if there is none. It is the caller's."""
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
        """Has a task read a stream that could not be handed over."""
        self._scope = trio.CancelScope()
        nursery.start_soon(self._watch, self._scope)

    async def _watch(self, scope: trio.CancelScope) -> None:
        with scope:
            if scope.cancel_called:
                return  # it was taken before this task has had its turn
            try:
                await self.kept.stream.receive()
            except OSError:
                pass
            except trio.ClosedResourceError:
                return  # it was taken, or closed
            self._pool.drop(self)

    def leave(self) -> None:
        """It is not idle any more: what comes now is not read here."""
        self.kept.stream.interrupt()
        if self._scope is not None:
            self._scope.cancel(reason="the connection is taken, or closed")

    def take(self, side: Side, data: bytes) -> bool:
        self._pool.drop(self)  # nothing was asked for: it is a farewell, or the end
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
