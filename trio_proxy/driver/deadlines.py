"""How long a session waits: one deadline, which moves when the dialogue makes progress."""

from __future__ import annotations

from typing import Final

import trio

from sansio_smtp import Proxy, WaitingFor

from .jobs import Host
from .settings import Settings

__all__ = ["Deadline"]

_NEVER: Final = -1


class Deadline:
    """The time limit of one session.

    It moves with progress (commands, replies, pieces of content), not with octets: a client that sends octet
    by octet cannot hold a session open. One scope whose deadline moves costs less than a scope for each read.
    A limit that the reactor checks costs nothing for each input, in place of 1.5 µs. Both kinds may end a
    session a little late, never early.
    """

    __slots__ = (
        "_due",
        "_host",
        "_idle",
        "_progress",
        "_proxy",
        "_reactor",
        "_scope",
        "_seconds",
        "_started",
        "is_over",
    )

    def __init__(self, proxy: Proxy, settings: Settings) -> None:
        self._proxy = proxy
        self._idle = settings.timeouts.idle
        self._seconds = settings.seconds
        self._reactor = settings.reactor
        self._scope: trio.CancelScope | None = None  # made when it is needed: 6 µs with entering and leaving
        self._host: Host | None = None
        self._progress = _NEVER
        self._due = 0.0
        self._started = False
        self.is_over = False
        """True after `end`."""

    @property
    def scope(self) -> trio.CancelScope:
        """The scope of everything that must end with the dialogue."""
        if self._scope is None:
            self._scope = trio.CancelScope()
            if self.is_over:
                self._scope.cancel(reason="the dialogue is over")
        return self._scope

    def serve(self, host: Host) -> None:
        """Use this if the session has a task only while something waits."""
        self._host = host

    def renew(self) -> None:
        """The task of the session has left the scope; its next task gets a new one."""
        self._scope = None

    def start(self) -> None:
        """A server has just been connected: the time to wait for its greeting begins.

        Before the first call there is no limit here: connecting to a server has its own limit.
        """
        self._started, self._progress = True, _NEVER
        if self._reactor is not None:
            self._reactor.sweep(self)
        self.move()

    def move(self) -> None:
        """If the dialogue has made progress, sets the time limit for what it waits for now."""
        if self._reactor is not None or self._proxy.progress == self._progress or not self._started:
            return
        self._progress = self._proxy.progress
        seconds = self._allowed()
        due = trio.current_time() + seconds
        # Moving a deadline costs more than checking it. It may be a little late, never early.
        if not due <= self._due <= due + seconds / 32:
            self._due = self.scope.deadline = due + seconds / 64

    def look(self, now: float) -> None:
        """The same for a reactor, from time to time: ends the session if its time is over."""
        if self._proxy.closed:
            return  # the steps after the dialogue have their own limits
        if self._progress != self._proxy.progress:
            self._progress = self._proxy.progress
            self._due = now + self._allowed()
        elif now >= self._due:
            self.end("time is over")

    def end(self, reason: str) -> None:
        """The dialogue is over: cancels all that still waits for it."""
        self.is_over = True
        if self._scope is not None:
            self._scope.cancel(reason=reason)
        if self._host is not None:
            self._host.end_soon()

    def close(self) -> None:
        """The session has ended."""
        if self._reactor is not None:
            self._reactor.forget(self)

    def _allowed(self) -> float:
        """Seconds for what the dialogue waits for now."""
        waiting_for = self._proxy.waiting_for
        if waiting_for is WaitingFor.COMMAND and self._proxy.envelope.mail is None:
            return self._idle
        return self._seconds[waiting_for]
