"""`Meter`: the interface through which the driver reports what happens, for counting. `NO_METER` counts
nothing.

The driver calls these methods, and knows no library and no names of metrics. With `NO_METER`, the default, a
session makes a few calls without effect at its beginning and end, and none for a message. Nothing here waits
or raises.

Two things happen too often to be reported here: `MeteredSocket` counts octets, and `MeteredOutbox` reports
the replies of a server that are passed on (`SessionMeter.passed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

from sansio_smtp import Event, Side

__all__ = ["NO_METER", "Ending", "Meter", "SessionMeter"]


class Ending(Enum):
    """The cause of the end of a session, if its last reply does not show it."""

    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    ERROR = "error"


class SessionMeter(Protocol):
    """Counts for one session."""

    def begins(self) -> None:
        """The client is connected, and has sent a PROXY header if it must."""

    def replies(self, events: Sequence[Event]) -> None:
        """Takes the events of the core, which include the replies to the client."""

    def passed(self, octets: bytes) -> None:
        """Takes whole replies of the server that were passed on without events."""

    def ends_by(self, ending: Ending) -> None:
        """The session is about to end for this cause. Only the first call counts."""

    def ended(self) -> None:
        """Both connections are closed. Only the first call counts."""


class Meter(Protocol):
    """Counts for the whole service."""

    @property
    def counts(self) -> bool:
        """False if nothing is counted: then frequent events need not be reported."""
        ...

    def session(self) -> SessionMeter:
        """Returns the meter of a new session."""
        ...

    def secured(self, side: Side, version: str) -> None:
        """TLS of this version has begun with this side."""

    def not_secured(self, side: Side) -> None:
        """A TLS handshake with this side has failed."""

    def connected(self, upstream: str, seconds: float, *, kept: bool = False) -> None:
        """A server was connected, in so many seconds. ``kept``: the connection was there already."""

    def not_connected(self, upstream: str) -> None:
        """A server cannot be connected, or cannot be used."""

    def left_out(self, upstream: str) -> None:
        """The settings do not name this server any more."""

    def rule_called(self, rule: str, phase: str, seconds: float) -> None:
        """A rule has run for so long."""

    def rule_decided(self, rule: str, phase: str, verdict: str) -> None:
        """A rule has given a verdict, or has ``failed``."""


class _NoSession:
    def begins(self) -> None: ...

    def replies(self, events: Sequence[Event]) -> None: ...

    def passed(self, octets: bytes) -> None: ...

    def ends_by(self, ending: Ending) -> None: ...

    def ended(self) -> None: ...


_NO_SESSION: Final[SessionMeter] = _NoSession()


class _NoMeter:
    counts = False

    def session(self) -> SessionMeter:
        return _NO_SESSION

    def secured(self, side: Side, version: str) -> None: ...

    def not_secured(self, side: Side) -> None: ...

    def connected(self, upstream: str, seconds: float, *, kept: bool = False) -> None: ...

    def not_connected(self, upstream: str) -> None: ...

    def left_out(self, upstream: str) -> None: ...

    def rule_called(self, rule: str, phase: str, seconds: float) -> None: ...

    def rule_decided(self, rule: str, phase: str, verdict: str) -> None: ...


NO_METER: Final[Meter] = _NoMeter()
"""Counts nothing."""
