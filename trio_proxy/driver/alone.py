"""`Alone`: runs a session that has a task only while it has to wait for something, and ends without one.

::

    begin ──> no task: the reactor reads ── a job ──> a task, until no job is left ──> no task
                        └──────── the dialogue is over ────────┘
                                          v
              the last octets leave ──> the client is heard until its end ──> closed

Most sessions never need a task: the server is connected at once, all input is passed on at once, and the
client closes the connection soon after QUIT. A task with its scopes would be most of the driver's work for a
connection. One message of 4 KiB in a connection of its own takes 1.40 million instructions of the process
with a task for each session, and 1.11 million this way. An idle session takes 8.1 KB with a task, and 6.5 KB
without.

A session has a task all the time (`Session.run`) if something must be awaited at its beginning or end, such
as rules of phase ``connect`` or ``disconnect``, and always with ``--io tasks``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog
import trio

from sansio_smtp import Side

from .jobs import Host
from .reactor import Reactor
from .streams import Reader

__all__ = ["CLOSING_SECONDS", "SILENCE_SECONDS", "STOPPING_SECONDS", "Alone", "Guest"]

log = structlog.stdlib.get_logger("smtp_proxy")

CLOSING_SECONDS: Final = 10.0
"""The time for sending the last reply and for the client to read it, in all."""
SILENCE_SECONDS: Final = 2.0
"""If a dismissed client sends nothing for this time, nothing more of it is in flight."""
STOPPING_SECONDS: Final = 2.0
"""The time for the last reply after the grace period of a stop: the end of the service waits for it."""


class Guest(Protocol):
    """A session, as `Alone` sees it."""

    def open(self, host: Host) -> None:
        """Begins the session. Raises nothing."""

    async def work(self) -> bool:
        """Runs the jobs that have to wait, until none is left. Returns True if the dialogue is over."""
        ...

    def finish_now(self, reader: Reader) -> bool | None:
        """Sends the last octets. Returns True if the client is still read, and `reader` gets its octets; None
        if all is done; False if something has to wait, or the stream takes no reader."""
        ...

    async def finish(self) -> None:
        """Sends the last octets, and reads the client until it closes, for a limited time."""

    @property
    def latest_end(self) -> float:
        """The time at which it is closed in any case: infinite before the grace period of a stop is over."""
        ...

    def close(self) -> None:
        """Closes all that is open."""


def _nothing() -> None: ...


class Alone:
    """Runs one session. Its methods raise nothing."""

    __slots__ = ("_ended", "_guest", "_has_task", "_is_over", "_last", "_nursery", "_reactor", "_silence")

    def __init__(
        self, guest: Guest, reactor: Reactor, nursery: trio.Nursery, ended: Callable[[], None]
    ) -> None:
        """``nursery`` is for its tasks. ``ended`` is called when all is closed."""
        self._guest: Guest | None = guest
        self._reactor = reactor
        self._nursery = nursery
        self._ended = ended
        self._has_task = False
        self._is_over = False
        self._last = self._silence = 0.0

    def begin(self) -> None:
        if self._guest is not None:
            self._guest.open(self)

    def close(self) -> None:
        """Closes all, now."""
        guest, self._guest, self._is_over = self._guest, None, True
        if guest is None:
            return
        self._reactor.forget(self)
        try:
            guest.close()
        except Exception:
            log.exception("internal error, connection closed")
        finally:
            ended, self._ended = self._ended, _nothing  # leaves no reference cycle
            ended()

    # As the host of the session: see `Host`

    def start_task(self) -> None:
        if not self._has_task and not self._is_over:
            self._has_task = True
            self._nursery.start_soon(self._work)

    def end_soon(self) -> None:
        if not self._has_task and not self._is_over:
            self._reactor.later(self._end)

    async def _work(self) -> None:
        guest = self._guest
        if guest is None:
            return
        over = True
        try:
            over = await guest.work()
        except Exception:
            log.exception("internal error, connection closed")
            self.close()
        except BaseException:  # the service stops
            self.close()
            raise
        self._has_task = False
        if over:
            self._end()

    # The end

    def _end(self) -> None:
        guest = self._guest
        if guest is None or self._has_task or self._is_over:
            return
        self._is_over = True
        now = trio.current_time()
        self._last, self._silence = now + CLOSING_SECONDS, now + SILENCE_SECONDS
        self._reactor.sweep(self)
        try:
            heard = guest.finish_now(self)
        except Exception:
            log.exception("internal error, connection closed")
            heard = None
        if heard is None:
            self.close()
        elif not heard:
            self._reactor.forget(self)
            self._nursery.start_soon(self._finish)

    async def _finish(self) -> None:
        try:
            if self._guest is not None:
                await self._guest.finish()
        except Exception:
            log.exception("internal error, connection closed")
        finally:
            self.close()

    # As the reader of the client, and a time limit: see `Reader` and `Swept`

    def take(self, side: Side, data: bytes) -> bool:
        if data:
            self._silence = trio.current_time() + SILENCE_SECONDS
        else:
            self.close()
        return bool(data)

    def lose(self, side: Side, error: OSError) -> None:
        self.close()

    def gone(self, side: Side) -> None:
        self.close()

    def writable(self, side: Side) -> None: ...

    def look(self, now: float) -> None:
        if self._guest is not None and now >= min(self._last, self._silence, self._guest.latest_end):
            self.close()
