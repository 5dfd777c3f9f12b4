"""Reads certificates and keys again while the service runs: when it is told to, and when a file has changed.
New files are used for new connections. Files that cannot be used are logged, and the old ones stay in use: a
renewal writes two files, and after the first they do not fit each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog
import trio

from trio_proxy.storage.stamps import Stamps, stamps_of

from .certificates import CertificateError, Problem

__all__ = ["Certificates", "Renewable"]

log = structlog.stdlib.get_logger("smtp_proxy")

_LOOK_SECONDS: Final = 1.0


class Renewable(Protocol):
    """An object made from files: see `ServerTls` and `UpstreamSecurity`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were read."""
        ...

    def reload(self) -> list[Problem]:
        """Reads the files again; returns why any of them cannot be used."""
        ...

    def prepare(self) -> Callable[[], None]:
        """Reads the files again, and returns a function that starts using them. Raises `CertificateError`
        with all mistakes in them."""
        ...


class Certificates:
    """The certificates of a running service."""

    def __init__(self, things: Sequence[Renewable]) -> None:
        self._things = things
        self._wanted = trio.Event()
        self._stamps: Stamps = stamps_of(self._files)

    def reload(self) -> None:
        """Asks `serve` to read the files again."""
        self._wanted.set()

    async def prepare(self) -> tuple[list[Problem], Callable[[], None]]:
        """Reads the files again, and returns all mistakes in them, and a function that starts using them."""
        stamps = stamps_of(self._files)
        problems: list[Problem] = []
        uses: list[Callable[[], None]] = []
        for thing in self._things:
            try:
                uses.append(await trio.to_thread.run_sync(thing.prepare))
            except CertificateError as error:
                problems += error.problems

        def use() -> None:
            self._stamps = stamps
            for each in uses:
                each()
            log.warning("certificates reloaded", files=[str(file) for file in self._files])

        return problems, use

    async def serve(
        self, *, watch: bool = True, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Reads the files again after `reload`, and with ``watch`` also when one has changed. Ends when it is
        cancelled."""
        async with trio.open_nursery() as nursery:
            if watch and self._stamps:
                nursery.start_soon(self._watch)
            task_status.started()
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                await self._renew()

    async def _renew(self) -> None:
        self._stamps = stamps_of(self._files)  # taken before reading: a change meanwhile is noticed later
        for thing in self._things:
            try:
                problems = await trio.to_thread.run_sync(thing.reload)  # CAs take a tenth of a second
            except Exception:
                log.exception("internal error, keeping the certificates that were in force")
                continue
            for problem in problems:
                log.warning("keeping the certificate that was in force", problem=str(problem))
            if thing.files and not problems:
                log.warning("certificates reloaded", files=[str(file) for file in thing.files])

    async def _watch(self) -> None:
        before = self._stamps
        while True:
            await trio.sleep(_LOOK_SECONDS)
            now = stamps_of(self._files)
            if now == before != self._stamps:  # the same twice: writing has ended
                self.reload()
            before = now

    @property
    def _files(self) -> list[Path]:
        return [file for thing in self._things for file in thing.files]
