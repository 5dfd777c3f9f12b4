"""The problems of a rule file or a configuration, each with its place and a text that says how to correct
it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sansio_smtp.names import did_you_mean

__all__ = ["Problem", "RuleError", "did_you_mean"]


@attrs.frozen
class Problem:
    """One mistake, with its file and line; ``line`` is 0 if it has none."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.text}" if where else self.text


class RuleError(Exception):
    """The rules cannot be used. ``problems`` are all mistakes that were found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
