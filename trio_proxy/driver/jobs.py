"""The jobs of a session: tasks that run only while something has to wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

__all__ = ["Jobs"]

Job = Callable[..., Awaitable[object]]


class Jobs(ABC):
    """Tasks in a nursery that is open as long as there is one. In between the session's own task sleeps: a
    session at rest has one task and no nursery, which together take 2 KiB; a nursery with two tasks takes 7
    more."""

    __slots__ = ("_jobs", "_nursery", "_running", "_sleeper")

    def __init__(self) -> None:
        self._jobs: tuple[tuple[Job, tuple[Any, ...]], ...] = ()  # to be started
        self._running = 0  # in the nursery
        self._nursery: trio.Nursery | None = None
        self._sleeper: Task | None = None

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """True if there is nothing more to wait for."""

    def _start(self, job: Job, *arguments: Any) -> None:
        """Starts a task, now or when the session's own task has opened the nursery."""
        if self._nursery is not None:
            self._running += 1
            self._nursery.start_soon(self._run_job, job, arguments)
            return
        self._jobs += ((job, arguments),)
        self._wake()

    async def _work_until_over(self) -> None:
        """Runs the jobs, and sleeps while there is none."""
        while self._jobs or not self.is_over:
            if self._jobs:
                await self._work()
            else:
                self._sleeper = current_task()
                await wait_task_rescheduled(self._leave_sleep)

    async def _work(self) -> None:
        """Runs the jobs, and those that they start, until none is left."""
        async with trio.open_nursery() as self._nursery:
            jobs, self._jobs = self._jobs, ()
            for job, arguments in jobs:
                self._start(job, *arguments)

    async def _run_job(self, job: Job, arguments: tuple[Any, ...]) -> None:
        try:
            await job(*arguments)
        finally:
            self._running -= 1
            if not self._running:
                self._nursery = None  # it closes with its last task, and takes no other then

    def _leave_sleep(self, _: object) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            reschedule(sleeper)
