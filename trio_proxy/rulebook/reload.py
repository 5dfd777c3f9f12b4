"""Holds the current rules, and replaces them with newly loaded ones while connections go on.

A connection keeps the rules with which it began, so several generations of rules may exist at a time::

    load ──▶ enter ──▶ current ──────────▶ replaced ──────────────▶ closed
     │         │       new connections     connections that began   running() of its objects is
     │         │       use it              with it still use it     left; nothing refers to it
     └─────────┴──▶ failed: it is closed, and the current one stays

Exactly one generation is current from the start to the end of the service. A new one becomes current in one
step, after ``running()`` of all its objects has been entered; if any of this fails, nothing changes. A
replaced generation is closed when its last connection has ended, not earlier: a rule must not be asked after
the resources that it needs are closed. When the service ends, all generations are closed.

Files are compared twice a second (`trio_proxy.storage.stamps`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import attrs
import structlog
import trio

from sansio_smtp.rules.lint.problems import Problem, RuleError
from sansio_smtp.rules.ruleset import RuleSet
from trio_proxy.storage.stamps import Stamps, stamps_of

from .load import LoadedRules
from .token_rule import TokenRule

__all__ = ["RESTART", "RuleBook"]

log = structlog.stdlib.get_logger("smtp_proxy")
RESTART: Final = "restart the service"
"""Stands in a problem that a restart removes."""

_DONE: Final = "done"
_REFUSED: Final = "refused"
_LOOK_SECONDS: Final = 0.5
_START_SECONDS: Final = 30.0
"""The time for entering ``running()`` of one object of the rules."""
_END_SECONDS: Final = 5.0
"""The time for leaving all of them when the service ends."""


@attrs.define(eq=False)
class _Generation:
    """The rules of one loading, until the last connection that uses them has ended."""

    loaded: LoadedRules
    stamps: Stamps
    """Those of its files, as they were loaded."""
    at: str = attrs.field(factory=lambda: time.strftime("%H:%M:%S"))
    """The time of day at which the rules were loaded, for the log."""
    unused: trio.Event = attrs.field(factory=trio.Event)
    """Set when the resources of the rules should be closed."""
    _users: int = attrs.field(default=0, init=False)
    """Connections that may still ask these rules."""
    _is_replaced: bool = attrs.field(default=False, init=False)

    def __enter__(self) -> RuleSet:
        """A connection may ask these rules until `__exit__`. All connections use the generation itself as
        their context, because a generator would take 0.7 KB for each."""
        self._users += 1
        return self.loaded.ruleset

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        self._close_if_unused()

    def replaced(self) -> None:
        """Other rules are current: no further connection gets these."""
        self._is_replaced = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_replaced and not self._users:
            self.unused.set()


@attrs.define(eq=False)
class _Asked:
    """A caller that waits for a reload."""

    answered: trio.Event = attrs.field(factory=trio.Event)
    why_not: str = ""

    def answer(self, why_not: str) -> None:
        self.why_not = why_not
        self.answered.set()


class RuleBook:
    """Holds the current rules, and replaces them on demand."""

    def __init__(self, load: Callable[[], LoadedRules], *, worker: int = 0) -> None:
        """Calls ``load`` here and for each reload. Raises the `RuleError` of the first call. ``worker`` is
        the number of this worker for the log; 0: there are no workers."""
        self._load = load
        self._worker = {"worker": worker} if worker else {}
        self._reloads: Counter[str] = Counter()
        self._wanted = trio.Event()
        self._asked: list[_Asked] = []
        self._stamps: Stamps = {}
        self._tell: Callable[[LoadedRules], None] = lambda _: None
        self._current = self._generation()
        self._living = WeakSet((self._current,))

    @property
    def current(self) -> RuleSet:
        """The rules for a connection that begins now."""
        return self._current.loaded.ruleset

    @property
    def token_rules(self) -> tuple[TokenRule, ...]:
        """The current rules that provide access tokens."""
        return self._current.loaded.token_rules

    @property
    def summary(self) -> str:
        """See `LoadedRules.summary`."""
        return self._current.loaded.summary

    def readings(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """How often rules were reloaded, by result, for a metric."""
        for result in (_DONE, _REFUSED):
            yield (result,), self._reloads[result]

    def use(self) -> AbstractContextManager[RuleSet]:
        """Gives the rules for a connection, which may be asked within this context."""
        return self._current

    def tell(self, replaces: Callable[[LoadedRules], None]) -> None:
        """``replaces`` is called with the new rules in the step in which new connections get them. If it
        raises, the present rules stay."""
        self._tell = replaces

    def reload(self) -> None:
        """Asks `serve` to load the rules again. If that fails, it is logged, and the present rules stay."""
        self._wanted.set()

    async def reloaded(self) -> str:
        """Asks `serve` to load the rules again, and waits for the result. Returns why the present rules stay;
        empty if they do not."""
        asked = _Asked()
        self._asked.append(asked)
        self.reload()
        await asked.answered.wait()
        return asked.why_not

    async def serve(
        self, *, watch: bool = False, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keeps the objects of the rules running, and loads the rules again after `reload`, and with
        ``watch`` also when one of their files has changed. Ends when it is cancelled.

        Raises `RuleError`, before it has started, if ``running()`` of an object fails.
        """
        failed: RuleError | None = None
        async with trio.open_nursery() as nursery:
            contexts, end = await nursery.start(_keep_contexts)
            try:
                await self._enter(self._current, contexts)
            except RuleError as error:
                failed = error
            else:
                task_status.started()
                if watch:
                    nursery.start_soon(self._watch)
                await self._reload_when_wanted(contexts)
            finally:
                for generation in self._living:
                    generation.unused.set()
                end.set()
        if failed is not None:  # raised here: within the nursery it would be wrapped in an exception group
            raise failed

    # Generations

    async def _reload_when_wanted(self, contexts: trio.Nursery) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            asked, self._asked = self._asked, []
            why_not = await self._replace(contexts)
            for each in asked:
                each.answer(why_not)

    async def _replace(self, contexts: trio.Nursery) -> str:
        """Returns why the present rules stay; empty if they do not."""
        try:
            generation = self._generation()
            self._living.add(generation)
            await self._enter(generation, contexts)
            self._tell(generation.loaded)
        except RuleError as error:
            for problem in error.problems:
                log.error(str(problem), **self._worker)
            fields = self._refused(str(error.problems[0]))
            if not any(RESTART in problem.text for problem in error.problems):
                fields["restart"] = "would fail"
            log.error("reload refused", **fields)
            return str(error.problems[0])
        except Exception:
            log.exception("reload refused", **self._refused("internal error"))
            return "internal error, see the log"
        old, self._current = self._current, generation
        old.replaced()
        self._reloads[_DONE] += 1
        changed = ", ".join(_changed(old.stamps, generation.stamps))
        fields = {"changed": changed, **self._worker} if changed else self._worker
        log.warning("rules reloaded", rules=generation.loaded.summary, **fields)
        return ""

    def _refused(self, problem: str) -> dict[str, Any]:
        """Counts a reload that was refused, and returns the fields of the line about it."""
        self._reloads[_REFUSED] += 1
        kept = f"rules and servers loaded at {self._current.at}"
        return {"problem": problem, "kept": kept, **self._worker}

    def _generation(self) -> _Generation:
        # Taken before reading, so that a change during the reading is noticed later.
        before = self._stamps = stamps_of(self._stamps)
        try:
            loaded = self._load()
        except RuleError as error:
            # Watch the files with mistakes, which may be new: they will be corrected.
            named = (Path(problem.file) for problem in error.problems if problem.file)
            self._stamps = {**stamps_of(named), **before}
            raise
        now = stamps_of(loaded.files)
        self._stamps = {file: before.get(file, now[file]) for file in now}
        return _Generation(loaded, self._stamps)

    async def _enter(self, generation: _Generation, contexts: trio.Nursery) -> None:
        for thing in generation.loaded.objects:
            try:
                with trio.fail_after(_START_SECONDS):
                    await contexts.start(_keep, thing, generation.unused)
            except Exception as error:
                generation.unused.set()  # leaves the contexts that were already entered
                text = f"{type(thing).__name__}: running() failed: {_said(error)}"
                raise RuleError([Problem("", 0, text)]) from error

    # Files

    async def _watch(self) -> None:
        before = self._stamps
        while True:
            await trio.sleep(_LOOK_SECONDS)
            now = stamps_of(self._stamps)
            if now == before != self._stamps:  # the same twice: writing has ended
                self.reload()
            before = now


async def _keep_contexts(task_status: trio.TaskStatus[tuple[trio.Nursery, trio.Event]]) -> None:
    """Gives a nursery that is not cancelled from outside, and an event that ends it, so that everything in it
    is closed in order."""
    end = trio.Event()
    with trio.CancelScope(shield=True) as scope:
        async with trio.open_nursery() as nursery:
            task_status.started((nursery, end))
            await end.wait()
            scope.deadline = trio.current_time() + _END_SECONDS


async def _keep(
    thing: Any, unused: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs ``running()`` of an object of the rules until the rules are unused. A failure after entering is
    only logged."""
    opened = False
    try:
        async with thing.running():
            opened = True
            task_status.started()
            await unused.wait()
    except* Exception:
        if not opened:
            raise
        log.exception("what a rule needs has broken down; reload the rules", rule=type(thing).__name__)


def _changed(before: Stamps, now: Stamps) -> list[str]:
    """The names of the files that are new or have changed."""
    return sorted({file.name for file, stamp in now.items() if file not in before or before[file] != stamp})


def _said(error: Any) -> str:
    while parts := getattr(error, "exceptions", ()):  # a group, as nurseries raise it
        error = parts[0]
    if isinstance(error, trio.TooSlowError):
        return f"it was not there within {_START_SECONDS:.0f} s"
    return " ".join(f"{type(error).__name__}: {error}".split())
