"""The matrix: every fault of every party in every phase, in every world in which it can happen.

Of a world that differs from others in a few phases only, these are run, and a sample of the rest: see
`World.focus`."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Final

import attrs

from .dialogue import PHASES
from .machine import MACHINE_WAYS
from .rules import RULE_PHASES
from .scanners import SCANNER_WAYS
from .tokens import TOKEN_WAYS
from .ways import CLIENT_WAYS, EARLY, IMPOSSIBLE, SERVER_WAYS
from .worlds import WORLDS, World

__all__ = ["SAMPLE", "Cell", "cells"]

SAMPLE: Final = (
    "memory/server/reset/dot",
    "memory/server/cut/dot",
    "memory/client/half-close/content",
    "held-memory/rule/raise/message",
)
"""Cells that stand for all where there is little time; see also `cells`."""
_SERVICE_WAYS: Final = ("stop", "crash")
_RELOADS: Final = ("right", "broken")
_BETWEEN: Final = ("content", "handshake", "after", "idle")
"""Phases in which nothing happens to the service or the machine: their neighbours are the same to them."""
_SAMPLED: Final = {"server": SERVER_WAYS, "client": CLIENT_WAYS}
_EVERY: Final = 4
_PLACES: Final = {
    (kind, name): place
    for kind, names in {**_SAMPLED, "world": WORLDS, "phase": PHASES}.items()
    for place, name in enumerate(names)
}
_NOT_FOR_MACHINE: Final = ("connect",)
"""The client's own socket would be the one that cannot be had."""


@attrs.frozen
class Cell:
    world: World
    party: str
    fault: str
    phase: str

    def __str__(self) -> str:
        return f"{self.world.name}/{self.party}/{self.fault}/{self.phase}"

    @property
    def is_exclusive(self) -> bool:
        """True if it changes something that others need: nothing may run beside it."""
        return self.party == "machine"


def cells(*patterns: str) -> list[Cell]:
    """The cells whose names fit one of the patterns; all of them without any."""
    found = [cell for world in WORLDS.values() for cell in _of(world)]
    return [cell for cell in found if not patterns or any(fnmatch(str(cell), each) for each in patterns)]


def _of(world: World) -> Iterator[Cell]:
    for party in world.parties:
        for fault, phase in _PARTIES[party](world):
            if _is_chosen(world, party, fault, phase):
                yield Cell(world, party, fault, phase)


def _is_chosen(world: World, party: str, fault: str, phase: str) -> bool:
    """Returns True for all but those of which a sample is tried: see `World.focus`."""
    if not world.focus or phase in world.focus or party not in _SAMPLED:
        return True
    places = _PLACES["world", world.name], _PLACES[party, fault], _PLACES["phase", phase]
    return sum(places) % _EVERY == 0


def _server(world: World) -> Iterator[tuple[str, str]]:
    impossible = IMPOSSIBLE["server"]
    for phase in world.server_phases:
        if world.kept and phase == "quit":
            continue  # it is not told
        for way in SERVER_WAYS:
            if way in impossible.get(phase, ()) or (way == "alert" and not world.tls):
                continue
            if way == "refuse" and phase == "connect" and world.io == "memory":
                continue
            if way == "early" and (world.pipelined or world.chunks) and phase in ("dot", "data"):
                continue
            if way == "early" and world.reloads:
                continue  # the client may never come to the phase in which the reload is due
            yield way, phase


def _client(world: World) -> Iterator[tuple[str, str]]:
    impossible = IMPOSSIBLE["client"]
    for phase in world.phases:
        for way in CLIENT_WAYS:
            if way in impossible.get(phase, ()) or (way == "alert" and not world.encrypts):
                continue
            if way == "early" and (
                phase not in EARLY or world.pipelined or (world.chunks and phase == "rcpt")
            ):
                continue
            yield way, phase


def _can_be_early(world: World, phase: str) -> bool:
    """Returns True if a client can send what comes after this without waiting for the reply."""
    return phase in EARLY and not world.pipelined and not (world.chunks and phase == "rcpt")


def _rule(world: World) -> Iterator[tuple[str, str]]:
    for phase, ways in RULE_PHASES.items():
        for way in ways:
            yield way, phase


def _scanner(world: World) -> Iterator[tuple[str, str]]:
    for phase, ways in SCANNER_WAYS.items():
        for way in ways:
            yield way, phase


def _tokens(world: World) -> Iterator[tuple[str, str]]:
    for way in TOKEN_WAYS:
        yield way, "auth"


def _service(world: World) -> Iterator[tuple[str, str]]:
    for phase in world.phases:
        if phase not in _BETWEEN:
            for way in _SERVICE_WAYS:
                yield way, phase


def _reload(world: World) -> Iterator[tuple[str, str]]:
    for phase in world.phases:
        for way in _RELOADS:
            yield way, phase


def _machine(world: World) -> Iterator[tuple[str, str]]:
    for phase in world.phases:
        if phase not in (*_NOT_FOR_MACHINE, *_BETWEEN):
            for way in MACHINE_WAYS:
                yield way, phase


_PARTIES: Final = {
    "server": _server,
    "client": _client,
    "rule": _rule,
    "scanner": _scanner,
    "tokens": _tokens,
    "service": _service,
    "reload": _reload,
    "machine": _machine,
}
