"""Calls rules in threads. Each rule has its own places, so a rule that hangs takes none from others. A thread
cannot be ended from outside. A call whose time is up is abandoned, and its thread keeps its place until the
rule returns::

    call ──▶ a place is free ──▶ runs in a thread ──▶ returns, also long after it was given up: place is free
      │            ▲
      └─▶ waits ───┘
            └─▶ each place is kept by a call whose time is up: the rule is *down*

While a rule is down, its calls fail at once with `RuleDown`, also those that wait for a place. The rule is
back when a place is free. What must never happen: other rules, the writing of messages or the resolving of
names wait for threads of this rule.
"""

from __future__ import annotations

import os
from typing import Final, cast
from weakref import WeakKeyDictionary

import attrs
import structlog
import trio

from sansio_smtp.rules import Rule

__all__ = ["RuleDown", "RuleThreads"]

log = structlog.stdlib.get_logger("smtp_proxy")

_EACH: Final = 64


class RuleDown(Exception):
    """Every thread of a rule hangs."""

    def __init__(self, threads: int, incident: str) -> None:
        super().__init__(f"all {threads} threads of the rule hang")
        self.incident = incident
        """The incident that all failures share until the rule is back. It is logged once."""


@attrs.define(eq=False)
class RuleThreads:
    """The threads of all rules of a service. A reloaded rule starts with new places."""

    each: int = _EACH
    """The most threads of one rule."""
    _places: WeakKeyDictionary[Rule, _Places] = attrs.field(init=False)
    _busy: set[_Place] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._places = WeakKeyDictionary()
        self._busy = set()

    async def run(self, rule: Rule, seconds: float, arguments: tuple[object, ...]) -> object:
        """Returns or raises what the rule does. Cancel it after ``seconds``; the thread may continue after
        that. Raises `RuleDown`."""
        places = self._places.get(rule)
        if places is None:
            places = self._places[rule] = _Places(rule.name, rule.where, self.each)
        place = _Place(places, trio.current_time() + seconds, self._busy)
        limiter = cast("trio.CapacityLimiter", place)  # it has the two methods that Trio calls
        result: object = await trio.to_thread.run_sync(
            rule.function, *arguments, limiter=limiter, abandon_on_cancel=True
        )
        return result

    async def all_returned(self) -> None:
        """Waits until no thread is busy."""
        for place in tuple(self._busy):
            await place.released.wait()


@attrs.define(eq=False)
class _Places:
    """The places of one rule."""

    name: str
    where: str
    count: int
    incident: str = attrs.field(default="", init=False)
    """The incident while the rule is down; else empty."""
    _limiter: trio.CapacityLimiter = attrs.field(init=False)
    _taken: set[_Place] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._limiter = trio.CapacityLimiter(self.count)
        self._taken = set()

    async def take(self, place: _Place) -> None:
        """Waits for a place. Raises `RuleDown`."""
        while not self._limiter.available_tokens:
            if len(self._taken) < self.count:  # a place was given to a task that has not run yet
                await trio.lowlevel.checkpoint()
                continue
            until = max(each.until for each in self._taken)
            if until <= trio.current_time():
                raise self._down()
            with trio.move_on_at(until):
                await self._limiter.acquire_on_behalf_of(place)
                self._taken.add(place)
                return
        await self._limiter.acquire_on_behalf_of(place)
        self._taken.add(place)

    def give_back(self, place: _Place) -> None:
        self._limiter.release_on_behalf_of(place)
        self._taken.discard(place)
        if self.incident:
            log.warning("rule is back", rule=self.name, where=self.where, incident=self.incident)
            self.incident = ""

    def _down(self) -> RuleDown:
        if not self.incident:
            self.incident = os.urandom(4).hex()
            log.error(
                "rule is down: all its threads hang; its calls fail until one returns",
                rule=self.name,
                where=self.where,
                threads=self.count,
                incident=self.incident,
            )
        return RuleDown(self.count, self.incident)


@attrs.define(eq=False)
class _Place:
    """The place of one call. Trio uses it as a limiter: takes it before the thread begins, and gives it back
    when the thread has ended, also after the call was abandoned."""

    places: _Places
    until: float
    """The time at which the call is abandoned."""
    _busy: set[_Place]
    released: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def acquire_on_behalf_of(self, _: object) -> None:
        await self.places.take(self)
        self._busy.add(self)

    def release_on_behalf_of(self, _: object) -> None:
        self.places.give_back(self)
        self._busy.discard(self)
        self.released.set()
