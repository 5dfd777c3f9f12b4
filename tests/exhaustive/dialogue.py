"""Writes a dialogue that was found as a script, and as the command that plays it again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable

import attrs

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Config,
    Connect,
    Event,
    Proxy,
    Release,
    SendToClient,
    SendToServer,
    StartTLS,
)
from sansio_smtp.testing.notation import octets, written
from sansio_smtp.testing.written import Step, asks, ending

from .peers import Broken
from .world import Configuration, Input, World, statements

__all__ = ["command", "script"]


def script(
    configuration: Configuration, path: Iterable[Input], make: Callable[..., Proxy] = Proxy
) -> tuple[list[str], str | None]:
    """The lines of a script, with what really leaves; and what is broken, if anything is."""
    lines = _settings(configuration)
    world = World.of(configuration, make)
    for text in path:
        lines += _happens(text)
        seen: list[Event] = []
        try:
            seen = world.take(text, seen)
        except Broken as broken:
            return [*lines, *_follows(seen, configuration.ask)], str(broken)
        lines += _follows(seen, configuration.ask)
    return lines, None


def command(configuration: Configuration, path: Iterable[Input]) -> str:
    """What plays this dialogue alone."""
    return shlex.join(["python", "tests/exhaustive/explore.py", "--play", configuration.name, *path])


def _settings(configuration: Configuration) -> list[str]:
    lines = [f"# ask: {', '.join(sorted(configuration.ask))}"] if configuration.ask else []
    usual = Config()
    values = {
        field.name: value
        for field in attrs.fields(Config)
        if (value := getattr(configuration.config, field.name)) != getattr(usual, field.name)
    }
    return (
        [*lines, f"# config: {', '.join(f'{name}={value}' for name, value in values.items())}"]
        if values
        else lines
    )


def _happens(text: Input) -> list[str]:
    side, _, said = text.partition(": ")
    if side in ("C", "S") and not said.startswith("<"):
        return [f"{side}: {line}".rstrip() for line in written(octets(said))]
    return [f"    {line}" for line in statements(text)] if text.startswith("!") else [text]


def _follows(events: list[Event], ask: frozenset[str]) -> list[str]:
    step = Step()
    for event in events:
        if isinstance(event, SendToClient):
            step.sent[CLIENT] += event.data
        elif isinstance(event, SendToServer):
            step.sent[SERVER] += event.data
        elif isinstance(event, Close | Release):
            step.closed.append((event.side, ending(event)))
        elif isinstance(event, StartTLS):
            step.tls_due.append(event.side)
        elif isinstance(event, Connect):
            step.connected.append(event.upstream)
        elif isinstance(event, Ask):
            step.asked.append(asks(event.question, ask))
    return [f"    {line}" for line in step.notation()]
