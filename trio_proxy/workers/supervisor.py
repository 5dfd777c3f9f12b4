"""Decides which workers to start, drain and kill: a state machine without processes or a clock.

::

    STARTING ── ready ──> READY ── a newer worker is ready, or stop ──> DRAINING ── ended ──> forgotten
        │                   │
        └──────── ended ────┴──> replaced after a pause, which doubles with each further one

The workers of one start, or of one restart, are a *generation*. The first worker of a generation is started
alone. If it ends before it is ready, the generation is abandoned: at the start the service ends with the exit
status of that worker, at a restart the old workers go on. If it becomes ready, others follow, and for each
ready worker an old one is drained. So the wanted number of workers accepts clients at any time.

Every input takes the time, in seconds of any clock, and returns the actions to do, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from itertools import count as counting
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "ENDS",
    "PATIENCE_SECONDS",
    "Action",
    "Drain",
    "Finish",
    "Kill",
    "Restarted",
    "Say",
    "Start",
    "Supervisor",
]

ENDS: Final = "the service is about to end"
"""Why there is no restart after `Supervisor.stop`."""
PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The seconds before a crashed worker is replaced: after the first crash, the second, and so on."""
CALM_SECONDS: Final = 60.0
"""A crash after so many seconds without one counts as the first."""
START_SECONDS: Final = 120.0
"""The time for a worker to become ready. Each object of its rules may take 30 seconds to open."""
PATIENCE_SECONDS: Final = 10.0
"""How long a replaced worker waits for its clients: most have finished by then, and none is sent away. Only
then does its grace period begin."""
KILL_SECONDS: Final = 10.0
"""The time for a drained worker to end after its grace period."""


@attrs.frozen
class Start:
    """Start a process."""

    number: int
    is_first: bool
    """True if it is the first of its generation, which prints the warnings about settings."""


@attrs.frozen
class Drain:
    """Make a worker accept no more clients, and end when its clients are served."""

    number: int
    hurry: bool
    """True if the service ends: idle clients are sent away at once."""


@attrs.frozen
class Kill:
    """End a process at once."""

    number: int


@attrs.frozen
class Say:
    """Log a line."""

    text: str
    level: str = "warning"
    values: dict[str, Any] = attrs.field(factory=dict[str, Any])


@attrs.frozen
class Restarted:
    """A restart has ended."""

    why_not: str = ""
    """Empty if it worked."""


@attrs.frozen
class Finish:
    """All workers have ended."""

    status: int
    """The exit status of the service."""


Action: TypeAlias = Start | Drain | Kill | Say | Restarted | Finish


class _State(Enum):
    STARTING = auto()
    READY = auto()
    DRAINING = auto()


@attrs.define
class _Worker:
    number: int
    generation: int
    deadline: float
    """The time at which it is killed if its state has not changed."""
    grace: float
    """Its grace period: it has its own settings."""
    state: _State = _State.STARTING
    is_late: bool = False
    """True if it is killed because of its deadline."""

    def enter(self, state: _State, deadline: float) -> None:
        self.state, self.deadline = state, deadline

    def serve(self, deadline: float, grace: float) -> None:
        """It accepts clients."""
        self.enter(_State.READY, deadline)
        self.grace = grace

    def give_up(self) -> None:
        self.is_late = True


@attrs.define
class Supervisor:
    """The workers of a service. Make it, call `start`, then the other methods when something happens."""

    count: int
    """How many workers should accept clients."""
    grace: float
    """Seconds that a drained worker may take."""
    silence: float | None = None
    """A worker that sends nothing for so many seconds counts as dead; None: it may be silent."""
    _workers: dict[int, _Worker] = attrs.field(factory=dict[int, _Worker], init=False)
    _numbers: Iterator[int] = attrs.field(factory=lambda: counting(1), init=False)
    _generation: int = attrs.field(default=1, init=False)
    _trial: int | None = attrs.field(default=None, init=False)
    """The first worker of a generation, until it is ready."""
    _is_tried: bool = attrs.field(default=False, init=False)
    """True if a worker of the current generation has been ready."""
    _restarts: bool = attrs.field(default=False, init=False)
    """True while a restart goes on."""
    _before: tuple[int, int] = attrs.field(default=(1, 0), init=False)
    """The generation and the number of workers before the restart."""
    _is_stopping: bool = attrs.field(default=False, init=False)
    _status: int = attrs.field(default=0, init=False)
    _crashes: int = attrs.field(default=0, init=False)
    _last_crash: float = attrs.field(default=float("-inf"), init=False)
    _not_before: float = attrs.field(default=float("-inf"), init=False)

    # State for readers

    @property
    def ready_workers(self) -> list[int]:
        """The numbers of the workers that accept clients."""
        return [worker.number for worker in self._of(_State.READY)]

    @property
    def is_serving(self) -> bool:
        """True if at least one worker accepts clients, and the service is not stopping."""
        return bool(self.ready_workers) and not self._is_stopping

    @property
    def is_restarting(self) -> bool:
        """True while a restart goes on."""
        return self._restarts

    @property
    def is_stopping(self) -> bool:
        """True from `stop` on."""
        return self._is_stopping

    @property
    def next_look(self) -> float:
        """The latest time for the next call of `look`; infinite if there is nothing to wait for."""
        times = [worker.deadline for worker in self._workers.values() if not worker.is_late]
        if self._lacks():
            times.append(self._not_before)
        return min(times, default=float("inf"))

    # Inputs

    def start(self, now: float) -> list[Action]:
        """The service begins."""
        return self._fill(now)

    def ready(self, number: int, now: float, grace: float | None = None) -> list[Action]:
        """A worker now accepts clients; ``grace`` is its grace period, if it has told it."""
        worker = self._workers.get(number)
        if worker is None or worker.state is not _State.STARTING:
            return []
        worker.serve(self._silent_at(now), self.grace if grace is None else grace)
        if self._trial == number:
            self._trial, self._is_tried = None, True
        return [*self._drain_others(now), *self._fill(now), *self._end_restart()]

    def heard(self, number: int, now: float) -> None:
        """A worker has sent something."""
        worker = self._workers.get(number)
        if worker is not None and worker.state is _State.READY:
            worker.enter(_State.READY, self._silent_at(now))

    def ended(self, number: int, status: int, now: float, problem: str = "") -> list[Action]:
        """A process has ended; ``status`` is negative if a signal has ended it. ``problem`` says why it could
        not start, if it has told it."""
        worker = self._workers.pop(number)
        if self._is_stopping:
            return [] if self._workers else [Finish(self._status)]
        if worker.state is _State.DRAINING:
            if status:
                return [
                    Say("a drained worker has failed", values={"worker": number, "status": _said(status)})
                ]
            return []
        if self._trial == number:
            return self._give_up(worker, status, now, problem)
        return self._replaced(worker, status, now, problem)

    def restart(self, now: float, count: int | None = None) -> list[Action]:
        """Replace all workers with new ones, with ``count`` of them if that is given."""
        count = count or self.count
        if self._is_stopping:
            return [Restarted(ENDS)]
        if self._restarts or not self._is_tried:
            return [Restarted("no worker has become ready since the last start")]
        self._before = self._generation, self.count
        self._generation += 1
        self.count, self._restarts, self._is_tried = count, True, False
        self._not_before = now  # the new program or settings may end the crashes
        return [Say("restarting the workers", values={"workers": count}), *self._fill(now)]

    def stop(self, now: float) -> list[Action]:
        """End the service when its clients are served."""
        if self._is_stopping:
            return []
        actions: list[Action] = []
        if self._restarts:
            self._restarts = False
            actions.append(Restarted(ENDS))
        self._is_stopping = True
        for worker in self._workers.values():
            last = now + worker.grace + KILL_SECONDS
            worker.enter(
                _State.DRAINING, min(last, worker.deadline) if worker.state is _State.DRAINING else last
            )
            actions.append(Drain(worker.number, hurry=True))
        return actions if self._workers else [*actions, Finish(self._status)]

    def quit(self, now: float, status: int) -> list[Action]:
        """End the service at once, with this exit status."""
        self._is_stopping, self._status = True, status
        return [*map(Kill, self._workers)] if self._workers else [Finish(status)]

    def look(self, now: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        for worker in self._workers.values():
            if now >= worker.deadline and not worker.is_late:
                worker.give_up()
                actions += [Say(_LATE[worker.state], values={"worker": worker.number}), Kill(worker.number)]
        return [*actions, *self._fill(now)]

    # Results

    def _fill(self, now: float) -> list[Action]:
        """Starts missing workers: the first worker of a generation alone; then all others at the start, or
        one at a time while old ones serve."""
        actions: list[Action] = []
        while self._lacks() and now >= self._not_before:
            number = next(self._numbers)
            self._workers[number] = _Worker(number, self._generation, now + START_SECONDS, self.grace)
            if not self._is_tried:
                self._trial = number
            actions.append(Start(number, is_first=not self._is_tried))
        return actions

    def _lacks(self) -> bool:
        """True if another worker of this generation is needed, and may be started."""
        if self._is_stopping or self._trial is not None:
            return False
        if not self._is_tried:
            return True
        starting = len(self._of(_State.STARTING))
        serving = len(self._of(_State.READY))
        current = sum(
            worker.generation == self._generation and worker.state is not _State.DRAINING
            for worker in self._workers.values()
        )
        return current < self.count and starting < max(1, self.count - serving)

    def _drain_others(self, now: float) -> list[Action]:
        """Drains workers of earlier generations, one for each new one that is ready."""
        if not self._is_tried:
            return []
        ready = self._of(_State.READY)
        others = [worker for worker in ready if worker.generation != self._generation]
        if len(ready) - len(others) < self.count:
            enough = max(self.count, self._before[1])  # the restart may change the number of workers
            surplus = others[: max(0, len(ready) - enough)]
        else:
            surplus = others
        for worker in surplus:
            worker.enter(_State.DRAINING, now + PATIENCE_SECONDS + worker.grace + KILL_SECONDS)
        return [Drain(worker.number, hurry=False) for worker in surplus]

    def _end_restart(self) -> list[Action]:
        ready = self._of(_State.READY)
        if len(ready) < self.count or any(each.generation != self._generation for each in ready):
            return []
        if not self._restarts:
            return []
        self._restarts = False
        return [Say("all workers are new", values={"workers": self.count}), Restarted()]

    def _give_up(self, worker: _Worker, status: int, now: float, problem: str) -> list[Action]:
        """The first worker of its generation has failed."""
        self._trial = None
        if not self._restarts:
            self._is_stopping, self._status = True, status if status > 0 else 1
            return [Finish(self._status)]
        why = "the first new worker has not become ready"
        values = {"status": _said(status), "problem": problem or _NO_PROBLEM}
        self._restarts, self._is_tried = False, True
        self._generation, self.count = self._before
        actions: list[Action] = [
            Say(f"{why}; the old workers go on", "error", values),
            Restarted(f"{why} ({_said(status)}): {problem or 'see the log'}"),
        ]
        return [*actions, *self._fill(now)]

    def _replaced(self, worker: _Worker, status: int, now: float, problem: str) -> list[Action]:
        """A worker has crashed, or has ended before it was ready."""
        calm = now - self._last_crash >= CALM_SECONDS
        self._crashes = 1 if calm else self._crashes + 1
        self._last_crash = now
        pause = PAUSES[min(self._crashes, len(PAUSES)) - 1]
        self._not_before = now + pause
        values = {"worker": worker.number, "status": _said(status), "replaced_after": f"{pause:g} s"}
        if worker.state is not _State.STARTING:
            return [Say("a worker has crashed", "error", values), *self._fill(now)]
        values["problem"] = problem or _NO_PROBLEM
        return [Say("a worker could not start", "error", values), *self._fill(now)]

    def _of(self, state: _State) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.state is state]

    def _silent_at(self, now: float) -> float:
        return float("inf") if self.silence is None else now + self.silence


_NO_PROBLEM: Final = "see the lines before this one"
_LATE: Final = {
    _State.STARTING: "a worker has not become ready in time and is killed",
    _State.READY: "a worker does not answer and is killed",
    _State.DRAINING: "a worker has not ended in time and is killed",
}


def _said(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
