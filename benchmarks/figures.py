"""The figures of one run, and their tables: medians with least and greatest values, and ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Figures", "Table", "short"]


def short(value: float) -> str:
    """The value with three significant digits."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


@dataclass
class Table:
    """Rows and columns in the order in which they came. A cell holds a figure for each round."""

    name: str
    cells: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, row: str, column: str, *values: float) -> None:
        self.cells.setdefault((row, column), []).extend(values)

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for _, column in self.cells))

    def median(self, row: str, column: str) -> float | None:
        values = self.cells.get((row, column))
        return statistics.median(values) if values else None

    def ratios(self, row: str, reference: str, column: str) -> list[float]:
        """The ratios of each round: a slow phase of the machine affects both."""
        return self._divided((row, column), (reference, column))

    def ratios_between(self, row: str, column: str, reference: str) -> list[float]:
        """The same for two columns of a row."""
        return self._divided((row, column), (row, reference))

    def _divided(self, cell: tuple[str, str], base: tuple[str, str]) -> list[float]:
        pairs = zip(self.cells.get(cell, ()), self.cells.get(base, ()), strict=False)
        return [value / its_base for value, its_base in pairs if its_base]

    def ratio(self, row: str, reference: str, column: str) -> float | None:
        ratios = self.ratios(row, reference, column)
        return statistics.median(ratios) if ratios else None

    def markdown(self, head: str, units: dict[str, tuple[str, float]] | None = None) -> str:
        """Medians, and in brackets the least and the greatest. A unit has a name and a factor."""
        units = units or {}
        titles = [f"{column}, {units[column][0]}" if column in units else column for column in self.columns]

        def cell(row: str, column: str) -> str:
            factor = units[column][1] if column in units else 1.0
            return spread([value * factor for value in self.cells.get((row, column), ())])

        body = [[row, *(cell(row, column) for column in self.columns)] for row in self.rows]
        return grid([head, *titles], body)

    def ratios_markdown(self, head: str, reference: str, rows: Iterable[str] | None = None) -> str:
        """The ratio of each figure to the reference in the same round."""
        chosen = [row for row in (rows or self.rows) if row != reference]
        body = [
            [row, *(spread(self.ratios(row, reference, column), 2) for column in self.columns)]
            for row in chosen
        ]
        return grid([head, *self.columns], body)


def spread(values: Sequence[float], digits: int | None = None) -> str:
    """``median (least to greatest)``."""

    def said(value: float) -> str:
        if digits is not None and value < 10:
            return f"{value:.{digits}f}"
        return short(value)

    if not values:
        return "-"
    middle = said(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({said(min(values))} to {said(max(values))})"


def grid(titles: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table of Markdown that can also be read as text."""
    rows = [list(titles), *(list(row) for row in body)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(titles))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


@dataclass
class Figures:
    """All tables by name, and other results."""

    tables: dict[str, Table] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        return self.tables.setdefault(name, Table(name))

    def fresh(self, name: str) -> Table:
        """An empty table in place of what was measured before."""
        self.tables.pop(name, None)
        return self.table(name)

    def save(self, file: Path) -> None:
        tables = {
            name: [[row, column, *values] for (row, column), values in table.cells.items()]
            for name, table in self.tables.items()
        }
        file.write_text(
            json.dumps({"facts": self.facts, "tables": tables}, indent=1, ensure_ascii=False) + "\n"
        )

    @classmethod
    def load(cls, file: Path) -> Figures:
        said = json.loads(file.read_text())
        figures = cls(facts=said["facts"])
        for name, cells in said["tables"].items():
            for row, column, *values in cells:
                figures.table(name).add(row, column, *values)
        return figures
