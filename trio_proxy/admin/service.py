"""`Admin`: the counters and the admin pages of a service with ``--admin``.

Mail is more important than pages. So if the address is in use, the log says it once, and the address is tried
again from time to time while the service runs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import structlog
import trio
from prometheus_client.registry import Collector

from sansio_smtp import Side
from trio_proxy.account.account import Tell
from trio_proxy.driver.listening import Given, ListenError, listening, nothing_given
from trio_proxy.driver.streams import SocketStream
from trio_proxy.metrics.meter import Meter
from trio_proxy.metrics.registry import Metrics, Readings
from trio_proxy.text.addresses import Address

from .http import serve
from .pages import Pages

__all__ = ["Admin", "serve_pages"]

log = structlog.stdlib.get_logger("smtp_proxy")

_PAUSE: Final = 5.0
"""Seconds until an address that is in use is tried again."""


class Admin:
    """The counters of this process, and the pages that show them at this address."""

    def __init__(self, address: Address, given: Given = nothing_given) -> None:
        """``given`` has the sockets for this address, if they are bound already."""
        self.metrics = Metrics(lambda: self.is_ready)
        self._address = address
        self._given = given
        self._stop: trio.Event | None = None

    @property
    def meter(self) -> Meter:
        """The meter that counts events."""
        return self.metrics

    @property
    def is_ready(self) -> bool:
        """True while new clients are accepted."""
        return self._stop is not None and not self._stop.is_set()

    def counted(
        self, side: Side, stream: Callable[[socket.socket], SocketStream]
    ) -> Callable[[socket.socket], SocketStream]:
        """Returns a function that makes streams as ``stream`` does, and counts their octets for this side."""
        return self.metrics.octets[side].counted(stream)

    @property
    def tell(self) -> Tell:
        """Gets the records of messages."""
        return self.metrics.tell

    def watch(self, name: str, readings: Readings) -> None:
        """See `Metrics.watch`."""
        self.metrics.watch(name, readings)

    def ready_until(self, stop: trio.Event) -> None:
        """New clients are accepted from now on, until ``stop`` is set."""
        self._stop = stop

    async def serve(self) -> None:
        """Serves the pages until it is cancelled."""
        await serve_pages(self._address, self.metrics.registry, lambda: self.is_ready, self._given)


async def serve_pages(
    address: Address, registry: Collector, is_ready: Callable[[], bool], given: Given = nothing_given
) -> None:
    """Serves the pages at this address until it is cancelled: see `Pages`. ``given`` has its sockets, if they
    are bound already."""
    pages = Pages(registry, is_ready)
    has_failed = False
    while True:
        try:
            with listening(address, given) as sockets:
                if has_failed:
                    log.warning("admin pages are served now", address=str(address))
                await serve(sockets, pages.answer)
        except ListenError as error:
            if not has_failed:
                text = "no admin pages yet; the address is tried again until it is free"
                log.error(text, error=str(error))
            has_failed = True
        await trio.sleep(_PAUSE)
