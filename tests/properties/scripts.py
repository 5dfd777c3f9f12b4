"""Writes a drawn dialogue as a script (docs/reference/dialogue-scripts.md), so that it can be played.

A property that fails shows the dialogue in which it fails: `tells_dialogue` adds the script to the exception.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import attrs

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Config,
    Connect,
    Event,
    Release,
    SendToClient,
    SendToServer,
    Side,
)
from sansio_smtp.testing.notation import written
from sansio_smtp.testing.recorded import setting_lines, verdict_lines
from sansio_smtp.testing.written import Step, asks, ending

__all__ = ["Log", "telling", "tells_dialogue"]

P = ParamSpec("P")
R = TypeVar("R")

_LETTER: Final = {CLIENT: "C", SERVER: "S"}
_ALONE: Final = """\
To run this test alone: pytest '{test}', with the @reproduce_failure line that is shown here above the test.
To play this dialogue alone: put it into tests/dialogues/NAME.txt, write there what should follow, and run
pytest tests/test_dialogues.py -k NAME"""


@attrs.define(repr=False)
class Log:
    """What has happened, and what followed. It is written only when somebody wants to read it: its repr, so
    that `hypothesis.note` can be given it."""

    ask: frozenset[str]
    config: Config
    _entries: list[tuple[str, Any]] = attrs.field(factory=list[tuple[str, Any]])

    def arrives(self, side: Side, data: bytes) -> None:
        """Octets of a peer."""
        self._entries.append((_LETTER[side], data))

    def happens(self, line: str) -> None:
        """Anything else that happens: a line of the notation."""
        self._entries.append(("happens", line))

    def judged(self, verdict: Any, question: Any) -> None:
        """A question was answered."""
        self._entries.append(("judged", (verdict, question)))

    def follows(self, events: list[Event]) -> None:
        """What the proxy did about it."""
        if events:
            self._entries.append(("follows", events))

    def __repr__(self) -> str:
        return f"The dialogue:\n\n{self.script()}"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For `hypothesis.note`, which would write out the attributes."""
        printer.text(repr(self))

    def script(self) -> str:
        """All of it."""
        lines: list[str] = []
        arrived, data = "", b""
        for kind, what in [*self._entries, ("end", None)]:
            shown = list(_indented(kind, what, self.ask))
            if kind == "follows" and not shown:
                continue
            if arrived and kind != arrived:
                lines += [f"{arrived}: {text}".rstrip() for text in written(data)]
                arrived, data = "", b""
            if kind in _LETTER.values():
                arrived, data = kind, data + what
            elif kind == "happens":
                lines.append(what)
            lines += [f"    {line}" for line in shown]
        return "\n".join([*setting_lines(self.config, self.ask), *lines, ""])


@contextmanager
def telling(*logs: Log) -> Iterator[None]:
    """Adds the dialogues to an exception that leaves the block, once each."""
    try:
        yield
    except Exception as error:
        known = getattr(error, "__notes__", [])
        for log in logs:
            if repr(log) not in known:
                error.add_note(repr(log))
        test = os.environ.get("PYTEST_CURRENT_TEST", "").removesuffix(" (call)")
        alone = _ALONE.format(test=test)
        if alone not in known:
            error.add_note(alone)
        raise


def tells_dialogue(check: Callable[P, R]) -> Callable[P, R]:
    """For a check of worlds: if it fails, it shows their dialogues."""

    @functools.wraps(check)
    def checks(*arguments: P.args, **more: P.kwargs) -> R:
        logs = [argument.log for argument in arguments if isinstance(getattr(argument, "log", None), Log)]
        with telling(*logs):
            return check(*arguments, **more)

    return checks


def _indented(kind: str, what: Any, ask: frozenset[str]) -> Iterator[str]:
    if kind == "judged":
        yield from verdict_lines(*what)
    if kind != "follows":
        return
    step = Step()
    for event in what:
        if isinstance(event, SendToClient):
            step.sent[CLIENT] += event.data
        elif isinstance(event, SendToServer):
            if step.connected:  # to another server than what was sent before
                yield from step.notation()
                step = Step()
            step.sent[SERVER] += event.data
        elif isinstance(event, Close | Release):
            step.closed.append((event.side, ending(event)))
        elif isinstance(event, Connect):
            step.connected.append(event.upstream)
        elif isinstance(event, Ask):
            step.asked.append(asks(event.question, ask))
    yield from step.notation()
