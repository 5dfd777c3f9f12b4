"""The admin pages of a service with workers: each worker sends its counts to the parent, which shows the
sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog
import trio

from trio_proxy.driver.listening import Given, nothing_given
from trio_proxy.metrics.joining import Joined, snapshot
from trio_proxy.text.addresses import Address

from .service import Admin, serve_pages

__all__ = ["AdminOfParent", "AdminOfWorker", "Tell"]

log = structlog.stdlib.get_logger("smtp_proxy")

_SECONDS: Final = 2.0
"""The seconds between two reports of a worker."""


class Tell(Protocol):
    """Sends a notice to the parent."""

    def __call__(self, topic: str, /, **values: Any) -> None: ...


class AdminOfWorker(Admin):
    """Counts in a worker, and reports to the parent."""

    def __init__(self, address: Address, tell: Tell) -> None:
        super().__init__(address)
        self._tell = tell

    async def serve(self) -> None:
        """Reports to the parent regularly until it is cancelled, and then once more."""
        try:
            while True:
                self._tell_all()
                await trio.sleep(_SECONDS)
        finally:
            self._tell_all()

    def _tell_all(self) -> None:
        self._tell("metrics", families=snapshot(self.metrics.registry).decode())


class AdminOfParent:
    """Adds up the counts of the workers, and shows them."""

    def __init__(self, address: Address, given: Given = nothing_given) -> None:
        """See `Admin`."""
        self._address = address
        self._given = given
        self.joined = Joined()

    def told(self, worker: int, values: Mapping[str, Any]) -> None:
        """Takes the counts of a worker."""
        try:
            self.joined.take(worker, str(values.get("families", "")).encode())
        except ValueError:
            log.error("internal error, what a worker has counted cannot be read", worker=worker)

    def gone(self, worker: int) -> None:
        """A worker has ended. Its counts stay."""
        self.joined.left(worker)

    async def serve(self, is_ready: Callable[[], bool]) -> None:
        """Serves the pages until it is cancelled."""
        await serve_pages(self._address, self.joined, is_ready, self._given)
