"""Puts tables and plots into a page, between marks. All other text of the page is written by hand."""

from __future__ import annotations

import re
from pathlib import Path

from .figures import Figures
from .report import PLOTS, SECTIONS

__all__ = ["as_text", "write"]

_REGION = "<!-- figures: {name} -->\n\n{text}\n\n<!-- end of figures -->"
_FIND = r"<!-- figures: {name} -->\n(?:(?!<!-- )[^\n]*\n)*<!-- end of figures -->"


def write(figures: Figures, page: Path) -> list[str]:
    """Updates the regions that were measured, and returns the names of the new regions and plots. Other
    regions do not change. Plots go into a directory with the name of the page."""
    text = page.read_text(encoding="utf-8")
    renewed = []
    for name, section in SECTIONS.items():
        said = section(figures)
        if not said:
            continue
        found = re.search(_FIND.format(name=name), text)
        if found is None:
            raise ValueError(f"{page} has no region for {name!r}")
        text = text[: found.start()] + _REGION.format(name=name, text=said) + text[found.end() :]
        renewed.append(name)
    page.write_text(text, encoding="utf-8")
    plots = page.with_suffix("")
    plots.mkdir(exist_ok=True)
    for name, plot in PLOTS.items():
        if drawn := plot(figures):
            (plots / f"{name}.svg").write_text(drawn, encoding="utf-8")
            renewed.append(f"{name}.svg")
    return renewed


def as_text(figures: Figures) -> str:
    """All figures, as text for a terminal."""
    said = {name: section(figures) for name, section in SECTIONS.items()}
    return "\n\n".join(f"== {name}\n\n{text}" for name, text in said.items() if text)
