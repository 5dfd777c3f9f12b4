"""Tells the service manager what the service does, with systemd's ``sd_notify`` protocol: one datagram for
each notice. Nothing is sent if ``NOTIFY_SOCKET`` is not set. See sd_notify(3) and sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

import attrs
import trio

__all__ = ["Notifier"]


@attrs.frozen
class Notifier:
    """Notifies the service manager. Make it with `of_environment`; otherwise it sends nothing."""

    address: str = ""
    """The unix socket of the manager; one that begins with ``@`` is abstract. Empty: there is none."""
    watchdog: float | None = None
    """The manager restarts the service if it gets no notice for so many seconds; None: it does not watch."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Notifier:
        """Made from the variables that the manager sets."""
        variables = os.environ if environment is None else environment
        address = variables.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, _watchdog(variables))

    def ready(self, status: str) -> None:
        """The service accepts clients; ``status`` is a line for people."""
        self._send(f"READY=1\nSTATUS={_line(status)}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """The settings are read again; `ready` ends that."""
        clock = getattr(time, "CLOCK_MONOTONIC", None)  # the clock that systemd uses
        now = time.clock_gettime_ns(clock) // 1000 if clock is not None else 0
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reloading")

    def stopping(self, status: str) -> None:
        """The service accepts no more clients, and ends."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """A line for people, which ``systemctl status`` shows."""
        self._send(f"STATUS={_line(status)}")

    async def beat(self) -> None:
        """Says regularly that the service is alive, twice as often as the manager asks, until it is
        cancelled. Returns at once if the manager does not ask."""
        if self.watchdog is None:
            return
        while True:
            self._send("WATCHDOG=1")
            await trio.sleep(self.watchdog / 2)

    def _send(self, text: str) -> None:
        """Raises nothing: the service does not depend on its manager."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), address)


def _watchdog(variables: Mapping[str, str]) -> float | None:
    said, whose = variables.get("WATCHDOG_USEC", ""), variables.get("WATCHDOG_PID", "")
    if not (said.isascii() and said.isdecimal() and int(said)) or whose not in ("", str(os.getpid())):
        return None
    return int(said) / 1_000_000


def _line(text: str) -> str:
    return " ".join(text.split())
