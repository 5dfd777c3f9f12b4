"""The jobs of a session: tasks that run only while something has to wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

__all__ = ["Host", "Jobs"]

Job = Callable[..., Awaitable[object]]


class Host(Protocol):
    """Provides a task for a session that has one only while something waits."""

    def start_task(self) -> None:
        """Starts a task that runs `work`, unless one is running."""

    def end_soon(self) -> None:
        """The dialogue is over. If no task is running, the session ends after the current call."""


class Jobs(ABC):
    """Runs tasks in a nursery that is open only while there are tasks. Between tasks the session's own task
    sleeps, or does not exist (`Host`). An idle session has one task and no nursery, which take 2 KiB; a
    nursery with two tasks takes 7 KiB more."""

    __slots__ = ("_host", "_jobs", "_nursery", "_running", "_sleeper")

    def __init__(self) -> None:
        self._jobs: tuple[tuple[Job, tuple[Any, ...]], ...] = ()  # to be started
        self._running = 0  # in the nursery
        self._nursery: trio.Nursery | None = None
        self._sleeper: Task | None = None
        self._host: Host | None = None

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """True if there is nothing more to wait for."""

    def _start(self, job: Job, *arguments: Any) -> None:
        """Starts a task now, or as soon as the session's own task has opened the nursery."""
        if self._nursery is not None:
            self._running += 1
            self._nursery.start_soon(self._run_job, job, arguments)
            return
        self._jobs += ((job, arguments),)
        if self._host is not None:
            self._host.start_task()
        self._wake()

    async def work(self) -> None:
        """Runs the jobs, and those that are added meanwhile, until none is left."""
        while self._jobs:
            await self._work()

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
                self._nursery = None  # it closes with its last task, and takes no new one then

    def _leave_sleep(self, _: object) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            reschedule(sleeper)
