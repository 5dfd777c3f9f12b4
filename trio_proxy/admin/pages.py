"""The pages: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from trio_proxy.metrics.joining import Published

from .http import Page, Request

__all__ = ["Pages"]


@attrs.frozen(eq=False)
class Pages:
    """Answers requests."""

    registry: Collector
    """What ``/metrics`` shows."""
    is_ready: Callable[[], bool]
    """Returns True while new clients are accepted. It returns False before the listeners close, so that a
    load balancer stops using this proxy in time."""

    def answer(self, request: Request) -> Page:
        """The page, or 404."""
        page = _PAGES.get(request.path)
        if page is None:
            return Page(f"there is no such page here; there are {', '.join(_PAGES)}\n".encode(), 404)
        return page(self, request)

    def _health(self, _: Request) -> Page:
        return Page(b"ok\n")

    def _readiness(self, _: Request) -> Page:
        return Page(b"ready\n") if self.is_ready() else Page(b"shutting down\n", 503)

    def _metrics(self, request: Request) -> Page:
        encode, kind = choose_encoder(request.accept)
        return Page(encode(Published(self.registry)), kind=kind)


_PAGES: Final[dict[str, Callable[[Pages, Request], Page]]] = {
    "/healthz": Pages._health,  # pyright: ignore[reportPrivateUsage]
    "/readyz": Pages._readiness,  # pyright: ignore[reportPrivateUsage]
    "/metrics": Pages._metrics,  # pyright: ignore[reportPrivateUsage]
}
