"""The rules that are in force, and how others take their place while connections go on.

A connection keeps the rules that it began with; what these hold open is closed when the last such connection
has ended. Files are looked at twice a second: that sees every way in which an editor or a deployment changes
them, also on network file systems and behind symbolic links, and costs a few system calls.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import attrs
import structlog
import trio

from sansio_smtp.rules.lint.problems import Problem, RuleError
from sansio_smtp.rules.ruleset import RuleSet

from .load import LoadedRules

__all__ = ["RuleBook", "reload_on_hangup"]

log = structlog.stdlib.get_logger("smtp_proxy")

_LOOK_SECONDS: Final = 0.5
_START_SECONDS: Final = 30.0
"""For what a rule needs to be there."""
_END_SECONDS: Final = 5.0
"""For all of that to be closed when the service ends."""

Stamps: TypeAlias = Mapping[Path, tuple[int, ...] | None]
"""What changes when a file does; None where there is no file."""


@attrs.define(eq=False)
class _Generation:
    """Rules, from when they were loaded until nobody uses them any more."""

    loaded: LoadedRules
    at: str = attrs.field(factory=lambda: time.strftime("%H:%M:%S"))
    """The time of day at which they were loaded, for the log."""
    unused: trio.Event = attrs.field(factory=trio.Event)
    """Set when what the rules hold open is to be closed."""
    _users: int = attrs.field(default=0, init=False)
    """Connections that may still ask these rules."""
    _is_replaced: bool = attrs.field(default=False, init=False)

    @contextmanager
    def used(self) -> Generator[RuleSet]:
        """A connection may ask these rules as long as this context lasts."""
        self._users += 1
        try:
            yield self.loaded.ruleset
        finally:
            self._users -= 1
            self._close_if_unused()

    def replaced(self) -> None:
        """Other rules are in force: no further connection gets these."""
        self._is_replaced = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_replaced and not self._users:
            self.unused.set()


class RuleBook:
    """Holds the rules that are in force."""

    def __init__(self, load: Callable[[], LoadedRules]) -> None:
        """Calls ``load``, here and for each reload. Raises `RuleError`, as it does."""
        self._load = load
        self._wanted = trio.Event()
        self._stamps: Stamps = {}
        self._current = self._generation()
        self._living = WeakSet((self._current,))

    @property
    def current(self) -> RuleSet:
        """What a connection gets that begins now."""
        return self._current.loaded.ruleset

    @property
    def summary(self) -> str:
        """See `LoadedRules.summary`."""
        return self._current.loaded.summary

    @contextmanager
    def use(self) -> Generator[RuleSet]:
        """The rules for a connection, which may ask them as long as this context lasts."""
        with self._current.used() as rules:
            yield rules

    def reload(self) -> None:
        """Has the rules loaded anew, soon. If that fails, the log says why and the present ones stay."""
        self._wanted.set()

    async def serve(
        self, *, watch: bool = False, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keeps open what the rules need, and loads them anew when that is wanted; with ``watch`` also when
        one of their files has changed. Ends when it is cancelled.

        Raises `RuleError`, before it has started, if what the rules need cannot be had.
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
        if failed is not None:  # not from within: it would come in a group
            raise failed

    # Generations

    async def _reload_when_wanted(self, contexts: trio.Nursery) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self._replace(contexts)

    async def _replace(self, contexts: trio.Nursery) -> None:
        try:
            generation = self._generation()
            self._living.add(generation)
            await self._enter(generation, contexts)
        except RuleError as error:
            for problem in error.problems:
                log.error(str(problem))
            log.error(f"keeping the rules loaded at {self._current.at}")
        except Exception:
            log.exception(f"internal error, keeping the rules loaded at {self._current.at}")
        else:
            old, self._current = self._current, generation
            old.replaced()
            log.warning("rules reloaded", rules=generation.loaded.summary)

    def _generation(self) -> _Generation:
        # Before they are read: what is changed after that will be seen.
        before = self._stamps = _stamps(self._stamps)
        try:
            loaded = self._load()
        except RuleError as error:
            # What is wrong will be put right there; it may be in a file that is new.
            named = (Path(problem.file) for problem in error.problems if problem.file)
            self._stamps = {**_stamps(named), **before}
            raise
        now = _stamps(loaded.files)
        self._stamps = {file: before.get(file, now[file]) for file in now}
        return _Generation(loaded)

    async def _enter(self, generation: _Generation, contexts: trio.Nursery) -> None:
        for thing in generation.loaded.objects:
            try:
                with trio.fail_after(_START_SECONDS):
                    await contexts.start(_keep, thing, generation.unused)
            except Exception as error:
                generation.unused.set()  # those that are there already are left again
                text = f"{type(thing).__name__}: running() failed: {_said(error)}"
                raise RuleError([Problem("", 0, text)]) from error

    # Files

    async def _watch(self) -> None:
        before = self._stamps
        while True:
            await trio.sleep(_LOOK_SECONDS)
            now = _stamps(self._stamps)
            if now == before != self._stamps:  # twice the same: nobody is writing any more
                self.reload()
            before = now


async def reload_on_hangup(
    book: RuleBook, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Loads the rules anew at each SIGHUP."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            book.reload()


async def _keep_contexts(task_status: trio.TaskStatus[tuple[trio.Nursery, trio.Event]]) -> None:
    """A nursery that outlives the cancellation of what surrounds it, to close everything in order."""
    end = trio.Event()
    with trio.CancelScope(shield=True) as scope:
        async with trio.open_nursery() as nursery:
            task_status.started((nursery, end))
            await end.wait()
            scope.deadline = trio.current_time() + _END_SECONDS


async def _keep(
    thing: Any, unused: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Keeps open what an object of the rules needs. Once it was open, its end is the end of nothing else."""
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


def _said(error: Any) -> str:
    while parts := getattr(error, "exceptions", ()):  # a group, as nurseries raise it
        error = parts[0]
    if isinstance(error, trio.TooSlowError):
        return f"it was not there within {_START_SECONDS:.0f} s"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _stamps(files: Iterable[Path]) -> Stamps:
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
