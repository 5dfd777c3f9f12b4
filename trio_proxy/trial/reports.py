"""The four reports that ``smtp-proxy test`` can write, each while the trials go on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

from trio_proxy.text.output import write_error_line, write_line

from .model import Trial
from .report import coloured, complaints, trial_json, trial_text
from .summary import Tally, line_of

__all__ = ["How", "Report", "report_for"]

How: TypeAlias = Literal["json", "quiet", "lines", "all"]
"""As JSON; what went wrong only; a line for each message; all about each message."""


class Report(Protocol):
    def begin(self, rules: str, warning: str) -> None:
        """The rules are loaded, and are these; ``warning`` is empty if nothing is wrong with them."""

    def add(self, trial: Trial) -> None:
        """A message was tried."""

    def end(self) -> None:
        """There are no more messages."""


def report_for(how: How, total: int) -> Report:
    """The report on so many messages."""
    kinds: dict[How, Callable[[int], Report]] = {
        "json": _Json, "quiet": _Quiet, "lines": _Lines, "all": _All,
    }  # fmt: skip
    return kinds[how](total)


class _Quiet:
    """What was not as expected and which rules failed, on standard error. It is written at the end: meanwhile
    a terminal shows how far the trials are."""

    def __init__(self, _: int) -> None:
        self._lines: list[str] = []

    def begin(self, rules: str, warning: str) -> None:
        if warning:
            self._lines.append(f"warning: {warning}")

    def add(self, trial: Trial) -> None:
        self._lines += complaints(trial)

    def end(self) -> None:
        for line in self._lines:
            write_error_line(line)


class _Json:
    """One object, at the end."""

    def __init__(self, _: int) -> None:
        self._rules = ""
        self._warning = ""
        self._ok = True
        self._tally = Tally()
        self._trials: list[dict[str, Any]] = []

    def begin(self, rules: str, warning: str) -> None:
        self._rules = rules
        self._warning = warning

    def add(self, trial: Trial) -> None:
        self._ok = self._ok and trial.ok
        self._tally.add(trial)
        self._trials.append(trial_json(trial))

    def end(self) -> None:
        whole = {
            "rules": self._rules,
            "ok": self._ok,
            "warning": self._warning or None,
            "summary": self._tally.counts,
            "trials": self._trials,
        }
        write_line(json.dumps(whole, indent=1))


class _All:
    """All about each message, with an empty line before it; at the end the numbers, if there are several."""

    def __init__(self, total: int) -> None:
        self._write = _writer()
        self._total = total
        self._tally = Tally()

    def begin(self, rules: str, warning: str) -> None:
        _begin(self._write, rules, warning)

    def add(self, trial: Trial) -> None:
        self._tally.add(trial)
        self._write("")
        for line in trial_text(trial):
            self._write(line)

    def end(self) -> None:
        if self._total > 1:
            self._write("")
            for line in self._tally.lines():
                self._write(line)


class _Lines:
    """A line for each message, and the numbers at the end."""

    def __init__(self, _: int) -> None:
        self._write = _writer()
        self._tally = Tally()

    def begin(self, rules: str, warning: str) -> None:
        _begin(self._write, rules, warning)
        self._write("")

    def add(self, trial: Trial) -> None:
        self._tally.add(trial)
        for line in line_of(trial):
            self._write(line)

    def end(self) -> None:
        self._write("")
        for line in self._tally.lines():
            self._write(line)


def _begin(write: Callable[[str], None], rules: str, warning: str) -> None:
    write(f"rules  {rules}")
    if warning:
        write(f"warning: {warning}")


def _writer() -> Callable[[str], None]:
    """Writes lines to standard output, in colours if that is a terminal."""
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return lambda line: write_line(coloured(line))
    return write_line
