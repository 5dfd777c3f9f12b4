"""Runs rules in tasks that may outlive their sessions, and ends the process if a rule cannot be ended. An
awaited rule runs in a task of the service, not of its session::

    session              task of the rule
    call ──────────────▶ runs
    waits, at most       │  returned or raised ─▶ ended
    the rule's time      │
    time is up ─cancel─▶ │  ends at its next checkpoint ─▶ ended, late
    goes on without it   ▼  never gets there, as one that waits for a thread ─▶ running

So a session never waits longer than the rule's time, even if the rule cannot be cancelled. Such a task stays
until it ends by itself. What must never happen: such tasks prevent the service from ending. When it stops,
`rule_tasks` cancels all tasks, waits two seconds, and then ends the process.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import attrs
import structlog
import trio

from sansio_smtp.rules import Rule
from trio_proxy.text import output

from .threads import RuleThreads

__all__ = ["Call", "RuleTasks", "rule_tasks"]

log = structlog.stdlib.get_logger("smtp_proxy")

_END_SECONDS = 2.0
"""The time for rules to end after they have been cancelled."""


@attrs.define(eq=False)
class Call:
    """One call of an awaited rule: its task and its result."""

    rule: Rule
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Cancels the task."""
    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when the task has ended, maybe long after the session has stopped waiting."""
    is_late: bool = attrs.field(default=False, init=False)
    """True if the time of the rule was up before it returned or raised anything."""
    _results: list[object] = attrs.field(factory=list[object], init=False)
    """The value that the rule returned, in a tuple; empty if it has not returned."""
    _error: BaseException | None = attrs.field(default=None, init=False)

    def returned(self, result: object) -> None:
        """The rule has returned."""
        self._results = [result]

    def raised(self, error: BaseException) -> None:
        """The rule has raised an exception."""
        self._error = error

    def outcome(self, seconds: float) -> object:
        """Ends the waiting for the rule: returns its result, or raises its exception.

        Raises TimeoutError if the rule has done neither in its ``seconds``. Then `is_late` is true.
        """
        if self._error is not None:
            raise self._error
        if not self._results:
            self.is_late = True
            raise TimeoutError(f"no verdict within {seconds:g} s")
        return self._results[0]


@attrs.define(eq=False)
class RuleTasks:
    """The tasks of rules, in a nursery that outlives the sessions."""

    nursery: trio.Nursery
    threads: RuleThreads = attrs.field(factory=RuleThreads)
    """The threads for rules that are called in threads."""
    _calls: set[Call] = attrs.field(factory=set[Call], init=False)

    def start_soon(self, call: Call, run: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Runs ``run(*arguments)`` in a task. It must set ``call.ended``."""
        self._calls.add(call)
        self.nursery.start_soon(self._run, call, run, arguments)

    async def _run(self, call: Call, run: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
        try:
            await run(*arguments)
        finally:
            self._calls.discard(call)

    async def all_ended(self) -> None:
        """Waits until all calls started so far have ended."""
        for call in tuple(self._calls):
            await call.ended.wait()

    @property
    def running(self) -> list[str]:
        """File and line of each rule that has not ended, sorted."""
        return sorted({call.rule.where for call in self._calls if not call.ended.is_set()})


@asynccontextmanager
async def rule_tasks(stack: ExitStack, status: Callable[[], int]) -> AsyncGenerator[RuleTasks]:
    """Gives the tasks for rules. After this context all of them have ended.

    If a rule does not end when it is cancelled, such as one that waits for a thread, the process ends: it
    closes ``stack`` and exits with ``status()``. All sessions must have ended before this context is left.
    """
    async with trio.open_nursery() as nursery:
        tasks = RuleTasks(nursery)
        try:
            yield tasks
        finally:
            nursery.cancel_scope.cancel(reason="the service is shutting down")
            with trio.move_on_after(_END_SECONDS, shield=True):
                await tasks.all_ended()
                await tasks.threads.all_returned()  # those that hang die with the process
            if tasks.running:
                log.error("rules do not end, quitting without them", rules=tasks.running)
                stack.close()
                output.finish()
                os._exit(status())
