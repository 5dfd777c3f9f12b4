"""The parent of the workers: it owns the listening sockets, and starts, drains and replaces workers. The
`Supervisor` decides what to do; this module has the processes, the signals and the clock. The parent serves
no clients and loads no rules, so that only workers run code that may fail.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs
import structlog
import trio

from trio_proxy.process.manager import log_stopped
from trio_proxy.process.notify import Notifier
from trio_proxy.text.addresses import Address

from .channel import Channel
from .supervisor import ENDS, Action, Drain, Finish, Kill, Restarted, Say, Start, Supervisor

__all__ = ["Parent", "Plan", "Planner"]

log = structlog.stdlib.get_logger("smtp_proxy")

_RELOAD_SECONDS: Final = 120.0
_STATUS_SECONDS: Final = 5.0
_LAST_WORDS_SECONDS: Final = 1.0
_INTERRUPTED: Final = 130

StartProcess = Callable[..., Awaitable[tuple[trio.Process, Channel]]]
Listener = Callable[[int, Mapping[str, Any]], None]


@attrs.frozen
class Plan:
    """The settings of the parent."""

    count: int
    """How many workers accept clients."""
    sockets: Sequence[tuple[Address, socket.socket]]
    """The addresses on which they listen."""
    not_applied: str = ""
    """The changed settings that new workers do not apply, and what applies them, for people."""


class Planner(Protocol):
    """Reads the settings of the parent."""

    def plan(self) -> Plan:
        """Reads the current settings, and binds new addresses. If they cannot be used, raises ValueError with
        a text for people."""
        ...

    def settle(self, plan: Plan) -> None:
        """Uses this plan from now on, and closes the sockets of others."""

    def close(self) -> None:
        """Closes all sockets."""


@attrs.define(eq=False)
class _Child:
    """A worker, as the parent sees it."""

    number: int
    process: trio.Process | None = None
    channel: Channel | None = None
    is_unwanted: bool = False
    """True if it was killed before it was started."""
    clients: int = 0
    cut_off: int = 0
    """How many clients it has cut off, as it has told."""
    version: str = ""
    """The version of the program that it runs."""
    problem: str = ""
    """Why it cannot start."""

    def runs(self, version: str) -> None:
        self.version = version

    def fails(self, problem: str) -> None:
        self.problem = problem

    def beats(self, clients: int) -> None:
        self.clients = clients

    def stops(self, cut_off: int) -> None:
        self.clients, self.cut_off = 0, cut_off


class Parent:
    """The parent of the workers. Make it, then await `run`."""

    def __init__(
        self,
        plan: Plan,
        planner: Planner,
        *,
        grace: float,
        start: StartProcess,
        notifier: Notifier | None = None,
    ) -> None:
        """``plan`` is used at the start; ``planner`` is asked before each restart. ``start`` starts a
        worker."""
        self._start_process = start
        self._plan = plan
        self._planner = planner
        self._notifier = notifier or Notifier()
        self._supervisor = Supervisor(plan.count, grace, self._notifier.watchdog)
        self._children: dict[int, _Child] = {}
        self._handlers: dict[str, Listener] = {
            "beat": self._beat,
            "ready": self._ready,
            "cannot_start": self._cannot_start,
            "stopped": self._stopped,
        }
        self._outcome: _Outcome | None = None
        self._restarting = trio.Lock()
        self._when_gone: list[Callable[[int], None]] = []
        self._when_reloaded: list[Callable[[], None]] = []
        self._changed = trio.Event()
        self._status: int | None = None
        self._was_serving = False
        self._stop_began: float | None = None
        self._cut_off = 0  # clients, since the stop began
        self._nursery: trio.Nursery | None = None
        self._reloading = trio.Lock()
        self.not_applied = ""
        """The changed settings that the last reload or restart did not apply, and what applies them."""

    # For other modules

    def on(self, topic: str, handler: Listener) -> None:
        """``handler`` is called with the number of a worker and the values of its notice on this topic."""
        self._handlers[topic] = handler

    def when_gone(self, handler: Callable[[int], None]) -> None:
        """``handler`` is called with the number of each worker that has ended."""
        self._when_gone.append(handler)

    def when_reloaded(self, handler: Callable[[], None]) -> None:
        """``handler`` is called when all workers use new settings: after a reload or a restart."""
        self._when_reloaded.append(handler)

    async def ask_all(self, topic: str, *, seconds: float, **values: Any) -> dict[int, Mapping[str, Any]]:
        """Number of a worker → its answer, for all workers that serve clients, also for draining ones.
        Workers that do not answer in time are left out."""
        answers: dict[int, Mapping[str, Any]] = {}

        async def ask(child: _Child, channel: Channel) -> None:
            answer = await channel.ask(topic, seconds=seconds, **values)
            if answer is not None:
                answers[child.number] = answer

        async with trio.open_nursery() as nursery:
            for child in self._children.values():
                if child.channel is not None:
                    nursery.start_soon(ask, child, child.channel)
        return answers

    def tell_all(self, topic: str, **values: Any) -> None:
        """Sends a notice to all workers."""
        for child in self._children.values():
            if child.channel is not None:
                child.channel.tell(topic, **values)

    @property
    def is_serving(self) -> bool:
        """True if at least one worker accepts clients, and the service is not stopping."""
        return self._supervisor.is_serving

    @property
    def addresses(self) -> list[Address]:
        """Where the workers accept clients, as the settings write it."""
        return [*dict.fromkeys(address for address, _ in self._plan.sockets)]

    # Requests to the service

    async def restart(self) -> str:
        """Replaces all workers with new ones. Returns why that failed; empty if it did not."""
        async with self._restarting:
            if self._supervisor.is_stopping:
                return ENDS
            before = self._plan
            try:
                self._plan = self._planner.plan()
            except ValueError as error:
                log.error("the workers are not restarted", problem=str(error))
                return str(error)
            outcome = self._outcome = _Outcome()
            self._do(self._supervisor.restart(trio.current_time(), self._plan.count))
            await outcome.came.wait()
            if outcome.why_not:
                self._plan = before
            self._planner.settle(self._plan)
            if not outcome.why_not:
                self.not_applied = self._plan.not_applied
                if self.not_applied:
                    log.warning("some changed settings are not applied", settings=self.not_applied)
                self._have_reloaded()
            return outcome.why_not

    async def reload(self) -> str:
        """Makes the workers read settings, rules and certificates again, one after the other, until one
        fails. Returns the reason; empty if none has failed."""
        async with self._reloading:
            self._notifier.reloading()
            why = await self._reload()
            self._notifier.ready(self.status + (f"; the last reload failed: {why}" if why else ""))
        return why

    async def _reload(self) -> str:
        done, self.not_applied = 0, ""
        for number in self._supervisor.ready_workers:
            child = self._children[number]
            answer = None
            if child.channel is not None:
                answer = await child.channel.ask("reload", seconds=_RELOAD_SECONDS)
            if answer is None:
                continue  # it has ended; its replacement has read everything again
            if why := str(answer.get("why_not", "")):
                if done:
                    log.error("some workers have reloaded and some not: restart them", reloaded=done)
                return why
            done += 1
            self.not_applied = str(answer.get("not_applied", ""))
        self._have_reloaded()
        return ""

    def _have_reloaded(self) -> None:
        for handler in self._when_reloaded:
            handler()

    def stop(self) -> None:
        """Ends the service when its clients are served. New clients are refused: while any process has a
        socket open, they would be connected and get no greeting."""
        self._notifier.stopping("waiting for messages in flight")
        if self._stop_began is None:
            self._stop_began = trio.current_time()
        self._do(self._supervisor.stop(trio.current_time()))
        self._planner.close()

    def quit(self) -> None:
        """Ends the service at once."""
        self._do(self._supervisor.quit(trio.current_time(), _INTERRUPTED))

    async def run(self) -> int:
        """Starts the workers, and returns the exit status of the service when the last one has ended."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._signals)
            nursery.start_soon(self._look)
            nursery.start_soon(self._notifier.beat)
            nursery.start_soon(self._tell_status)
            self._do(self._supervisor.start(trio.current_time()))
        assert self._status is not None
        return self._status

    # Actions

    def _do(self, actions: Iterable[Action]) -> None:
        assert self._nursery is not None
        for action in actions:
            match action:
                case Start(number, is_first):
                    child = self._children[number] = _Child(number)
                    self._nursery.start_soon(self._attend, child, is_first)
                case Drain(number, hurry):
                    self._drain(self._children[number], hurry)
                case Kill(number):
                    self._kill(self._children[number])
                case Say(text, level, values):
                    getattr(log, level)(text, **values)
                case Restarted(why_not):
                    self._restarted(why_not)
                case Finish(status):
                    self._status = status
                    if self._stop_began is not None:
                        log_stopped(self._stop_began, self._cut_off)
                    self._nursery.cancel_scope.cancel(reason="all workers have ended")
        self._tell_readiness()
        self._changed.set()

    async def _attend(self, child: _Child, is_first: bool) -> None:
        """Runs a worker from its start to its end."""
        if self._supervisor.is_stopping:  # it was not started before the stop, and its sockets are closed
            self._ended(child, 0)
            return
        try:
            started = await self._start_process(child.number, self._plan.sockets, is_first=is_first)
        except OSError as error:
            if not self._supervisor.is_stopping:
                log.error("a worker cannot be started", error=error.strerror or str(error))
            self._ended(child, 1)
            return
        child.process, child.channel = started
        if child.is_unwanted:
            child.process.kill()
        for topic in self._handlers:
            child.channel.on(topic, self._handler(child, topic))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.channel.serve)
                status = await child.process.wait()
                # Read its last lines, to the end of the channel.
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_SECONDS
        finally:
            child.channel.close()
        self._ended(child, status)

    def _handler(self, child: _Child, topic: str) -> Callable[[Mapping[str, Any]], None]:
        def handle(values: Mapping[str, Any]) -> None:
            self._handlers[topic](child.number, values)

        return handle

    def _ended(self, child: _Child, status: int) -> None:
        del self._children[child.number]
        for handler in self._when_gone:
            handler(child.number)
        if self._stop_began is not None:
            of_killed = child.clients if status < 0 else 0  # it has told nothing at its end
            self._cut_off += child.cut_off + of_killed
        self._do(self._supervisor.ended(child.number, status, trio.current_time(), child.problem))

    def _drain(self, child: _Child, hurry: bool) -> None:
        if child.channel is None:
            self._kill(child)  # it was not started completely, so it has no clients
        else:
            child.channel.tell("stop", hurry=hurry)

    def _kill(self, child: _Child) -> None:
        child.is_unwanted = True
        if child.process is not None:
            with suppress(ProcessLookupError):
                child.process.kill()

    def _restarted(self, why_not: str) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.come(why_not)

    # Notices of workers

    def _ready(self, number: int, values: Mapping[str, Any]) -> None:
        self._children[number].runs(str(values.get("version", "")))
        grace = values.get("grace")  # None: the worker is of an older version
        self._do(self._supervisor.ready(number, trio.current_time(), None if grace is None else float(grace)))

    def _cannot_start(self, number: int, values: Mapping[str, Any]) -> None:
        self._children[number].fails(str(values.get("problem", "")))

    def _beat(self, number: int, values: Mapping[str, Any]) -> None:
        self._supervisor.heard(number, trio.current_time())
        self._children[number].beats(int(values.get("clients", 0)))

    def _stopped(self, number: int, values: Mapping[str, Any]) -> None:
        self._children[number].stops(int(values.get("cut_off", 0)))

    # Time and signals

    async def _look(self) -> None:
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self._supervisor.next_look):
                await self._changed.wait()
                continue
            self._do(self._supervisor.look(trio.current_time()))

    async def _signals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(*numbers) as signals:
                task_status.started()
                async for number in signals:
                    if number == signal.SIGHUP:
                        nursery.start_soon(self.reload)
                    elif number == signal.SIGUSR2:
                        nursery.start_soon(self.restart)
                    elif self._supervisor.is_stopping:
                        self.quit()
                    else:
                        name = signal.Signals(number).name
                        log.warning("stopping; a second signal quits at once", signal=name)
                        self.stop()

    # The service manager

    def _tell_readiness(self) -> None:
        if self._supervisor.is_serving and not self._was_serving:
            self._was_serving = True
            self._notifier.ready(self.status)

    async def _tell_status(self) -> None:
        said = ""
        while True:
            await trio.sleep(_STATUS_SECONDS)
            if (text := self.status) != said and not self._supervisor.is_stopping:
                self._notifier.status(text)
                said = text

    @property
    def status(self) -> str:
        """The state of the service, as a line for people."""
        clients = sum(child.clients for child in self._children.values())
        serving = len(self._supervisor.ready_workers)
        versions = sorted({child.version for child in self._children.values() if child.version})
        more = "; restarting them" if self._supervisor.is_restarting else ""
        return (
            f"{serving} of {self._supervisor.count} workers accept clients; {clients} clients; "
            f"version {', '.join(versions) or 'unknown'}{more}"
        )


@attrs.define(eq=False)
class _Outcome:
    came: trio.Event = attrs.field(factory=trio.Event, init=False)
    why_not: str = attrs.field(default="", init=False)

    def come(self, why_not: str) -> None:
        self.why_not = why_not
        self.came.set()
