"""Prints what ``smtp-proxy check`` finds, as soon as it is found."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import attrs
import click

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.text.masking import plain
from trio_proxy.text.output import write_line

from .problem_order import in_order

__all__ = ["Findings"]


@attrs.define
class Findings:
    """Prints what is right on standard output, and what is wrong on standard error."""

    config_is_wrong: bool
    """True if the settings file has mistakes. An option that seems to be missing may be in the part that
    could not be read."""
    wrong: bool = attrs.field(default=False, init=False)
    unavailable: bool = attrs.field(default=False, init=False)
    _held: list[str] | None = attrs.field(default=None, init=False)

    def good(self, what: str, text: str) -> None:
        write_line(f"  {what:<11} {plain(text)}")

    def warn(self, text: str) -> None:
        _say(f"warning: {text}")

    def problems(self, problems: Iterable[Problem]) -> None:
        """Settings, rules or files that are wrong."""
        for problem in in_order(problems):
            self.wrong = True
            _say(str(problem))

    def unreached(self, text: str) -> None:
        """The upstream server cannot be used."""
        if self._held is not None:
            self._held.append(text)
            return
        self.unavailable = True
        _say(text)

    @contextmanager
    def holding(self) -> Generator[list[str]]:
        """Within this context `unreached` adds to the list given: the caller decides later if these are
        errors."""
        held: list[str] = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None


def _say(line: str) -> None:
    click.echo(plain(line), err=True)
