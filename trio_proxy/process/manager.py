"""The surroundings of a process that is not a worker: the service manager, if there is one, and signals."""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import attrs
import structlog
import trio

from trio_proxy.text.addresses import Address

from .activation import Activated, activated
from .notify import Notifier

__all__ = ["Manager", "Reload", "log_stopped"]

log = structlog.stdlib.get_logger("smtp_proxy")

Reload = Callable[[], Awaitable[str]]
"""Reads settings, rules and certificates again. Returns why that failed; empty if it did not."""


def log_stopped(began: float, cut_off: int) -> None:
    """Logs that the service has stopped. ``began``: when the stop began, in Trio's time; ``cut_off``: so many
    clients were cut off."""
    log.warning("stopped", seconds=round(trio.current_time() - began, 3), cut_off=cut_off)


@attrs.define(eq=False)
class Manager:
    """The service manager of a single process."""

    notifier: Notifier = attrs.field(factory=Notifier.of_environment)
    number: int = attrs.field(default=0, init=False)
    """The number of the worker; 0: this is the only process."""
    is_first: bool = attrs.field(default=True, init=False)
    """True if this process prints the warnings about settings and the banner."""
    tell: None = attrs.field(default=None, init=False)
    """No function: there is no parent to report to."""
    shared: None = attrs.field(default=None, init=False)
    """None: there are no other workers."""
    numbers: Iterator[int] = attrs.field(factory=lambda: count(1), init=False)
    """The numbers of connections."""
    _activated: Activated = attrs.field(factory=activated)
    _stop_began: float | None = attrs.field(default=None, init=False)

    def given(self, address: Address) -> list[socket.socket]:
        """The sockets for this address that the manager has made. Raises `ListenError`."""
        return self._activated.take(address)

    def check(self) -> None:
        """Called after all addresses have got their sockets. Raises `ListenError` if the manager has given
        another one."""
        self._activated.check()

    def ready(self, clients: Callable[[], int], grace: float) -> None:
        """Clients are accepted from now on; ``clients`` tells how many there are. At a stop they have the
        time ``grace``."""
        self.notifier.ready("accepting clients")

    def stopping(self) -> None:
        """No more clients are accepted."""
        self._stop_began = trio.current_time()
        self.notifier.stopping("waiting for messages in flight")

    def stopped(self, cut_off: int) -> None:
        """All clients are gone; so many of them were cut off. Nothing is logged if the service was not to
        stop."""
        if self._stop_began is not None:
            log_stopped(self._stop_began, cut_off)

    async def serve(
        self,
        stop: Callable[[bool], None],
        reload: Reload,
        not_applied: Callable[[], str],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Does what the manager and signals ask for, until it is cancelled. ``stop`` and ``not_applied`` are
        for workers."""
        numbers = [signal.SIGHUP, signal.SIGUSR2]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.notifier.beat)
            with trio.open_signal_receiver(*numbers) as signals:
                task_status.started()
                async for number in signals:
                    if number == signal.SIGUSR2:
                        log.warning("SIGUSR2 restarts workers, and there are none; see --workers")
                        continue
                    self.notifier.reloading()
                    why = await reload()
                    self.notifier.ready(
                        f"accepting clients; the last reload failed: {why}" if why else "accepting clients"
                    )
