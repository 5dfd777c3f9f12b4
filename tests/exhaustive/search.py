"""Breadth-first search through all states of a configuration."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable

import attrs
from twins import Twins

from sansio_smtp import Proxy
from sansio_smtp.joint_states import Snapshot

from .graph import Uncopyable, cloned
from .peers import Broken
from .world import Configuration, Input, World

__all__ = ["Found", "Result", "explore", "replayed"]


@attrs.frozen
class Found:
    """A promise that is broken, with the shortest dialogue that breaks it."""

    configuration: str
    path: tuple[Input, ...]
    what: str


@attrs.define
class Result:
    """What was explored of one configuration."""

    configuration: str
    states: int = 0
    transitions: int = 0
    depth: int = 0
    """All dialogues of so many inputs."""
    whole: bool = False
    """True if there is nothing more, however deep."""
    seconds: float = 0.0
    joint: dict[Snapshot, set[str]] = attrs.field(factory=dict[Snapshot, set[str]])
    """The joint states that were reached, each with what the dialogue waited for."""
    found: list[Found] = attrs.field(factory=list[Found])


Make = Callable[..., Proxy | Twins]
Node = tuple[int, Input]  # the number of the state before, and the input that leads here


def explore(
    configuration: Configuration,
    *,
    make: Make = Twins,
    depth: int | None = None,
    most: int | None = None,
    faults: int = 1,
) -> Result:
    """Visits every state that inputs lead to, the nearest first.

    The search ends at dialogues of ``depth`` inputs or, if that is not given, after ``most`` transitions, by
    default the configuration's own; and after so many sorts of ``faults``.
    """
    if most is None and depth is None:
        most = configuration.most
    return _Search(configuration, make, depth or sys.maxsize, most or sys.maxsize, faults).run()


def replayed(configuration: Configuration, path: Iterable[Input], make: Make = Twins) -> World:
    """The state at the end of a dialogue. Raises `Broken`."""
    world = World.of(configuration, make)
    for text in path:
        world.take(text)
    return world


class _Search:
    def __init__(
        self,
        configuration: Configuration,
        make: Make,
        depth: int,
        most: int,
        faults: int,
    ) -> None:
        self.configuration = configuration
        self.make = make
        self.depth = depth
        self.most = most
        self.faults = faults
        self.nodes: list[Node] = [(-1, "")]
        self.result = Result(configuration.name)
        self.kinds: set[str] = set()

    def run(self) -> Result:
        result, started = self.result, time.monotonic()
        was_frozen = gc.get_freeze_count()
        gc.freeze()
        thresholds = gc.get_threshold()
        gc.set_threshold(20_000, 20, 100)
        world = replayed(self.configuration, self.configuration.start, self.make)
        self.seen = {world.key()}
        level = [0]
        while level and result.depth < self.depth and not self.enough():
            following: list[int] = []
            for number in level:
                following += self.expand(number)
                if self.enough():
                    break
            else:
                result.depth += 1
                result.whole = not following
            level = following
        result.states = len(self.seen)
        result.seconds = time.monotonic() - started
        gc.set_threshold(*thresholds)
        if not was_frozen:
            gc.unfreeze()
        return result

    def enough(self) -> bool:
        return len(self.result.found) >= self.faults or self.result.transitions >= self.most

    def path(self, number: int) -> tuple[Input, ...]:
        path: list[Input] = []
        while number:
            number, text = self.nodes[number]
            path.append(text)
        return (*self.configuration.start, *reversed(path))

    def expand(self, number: int) -> list[int]:
        """The new states that one input leads to from a state."""
        path = self.path(number)
        world = replayed(self.configuration, path, self.make)
        fresh: list[int] = []
        for text in list(world.inputs()):
            after = self.copy(world, path)
            self.result.transitions += 1
            try:
                after.take(text)
                self.result.joint.setdefault(after.proxy.snapshot(), set()).add(after.proxy.waiting_for.name)
                if after.proxy.closed:
                    continue
                key = after.key(text)
            except Broken as broken:
                self.broken(broken, (*path, text))
                continue
            if key not in self.seen:
                self.seen.add(key)
                self.nodes.append((number, text))
                fresh.append(len(self.nodes) - 1)
        return fresh

    def copy(self, world: World, path: tuple[Input, ...]) -> World:
        try:
            copied: World = cloned(world, world.configuration)
        except Uncopyable:
            return replayed(self.configuration, path, self.make)
        return copied

    def broken(self, broken: Broken, path: tuple[Input, ...]) -> None:
        what = str(broken)
        if what not in self.kinds:
            self.kinds.add(what)
            self.result.found.append(Found(self.configuration.name, path, what))
