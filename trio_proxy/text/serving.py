"""Writes output in tasks while the service runs, so that no session waits for a reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from .output import sinks
from .sink import MOMENT, Sink

__all__ = ["serving"]


@asynccontextmanager
async def serving(*, gathers: bool = False) -> AsyncGenerator[None]:
    """In this context nothing waits for a reader of standard output or standard error: a task for each writes
    the output that could not be written at once. Does nothing in a program that has not called `take_over`.
    ``gathers``: see `Sink.served`."""
    async with trio.open_nursery() as nursery:
        for sink in sinks():
            await nursery.start(_Writer(sink, gathers).run)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel(reason="nothing more is served")


@attrs.define(eq=False)
class _Writer:
    sink: Sink
    gathers: bool
    _token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token, init=False)
    _wanted: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        with self.sink.served(self._wake, gathers=self.gathers):
            task_status.started()
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                if self.gathers and not self.sink.is_blocked:
                    await trio.sleep(MOMENT)
                    self.sink.write_gathered()
                while self.sink.is_blocked:
                    try:
                        await trio.lowlevel.wait_writable(self.sink.place)
                    except OSError as error:  # the descriptor was closed
                        self.sink.fail(error)
                    else:
                        self.sink.write_gathered()

    def _wake(self) -> None:
        self._token.run_sync_soon(self._start)  # this may be called in a thread

    def _start(self) -> None:
        self._wanted.set()
