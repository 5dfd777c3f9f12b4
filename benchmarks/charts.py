"""Plots in SVG, written by hand: bars in groups, and lines over a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["bars", "lines"]

COLOURS = ("#1f6f8b", "#99a8b2", "#e07a5f", "#3d405b", "#81b29a", "#f2cc8f", "#6d597a", "#b56576", "#7f7f7f")
WIDTH, HEIGHT = 820, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 34, 66
STYLE = "text{font:12px sans-serif;fill:#333}.t{font-weight:bold}.a{stroke:#ccc}"


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _steps(greatest: float) -> list[float]:
    """Round values from 0 to the greatest or just above it."""
    raw = greatest / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [step * number for number in range(math.ceil(greatest / step) + 1)]


def _frame(title: str, legend: Sequence[str], top: float, labels: Sequence[float]) -> list[str]:
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 18, title, "start", "t"),
    ]
    for value in labels:
        y = _y(value, top)
        found.append(f'<line class="a" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        found.append(_text(LEFT - 6, y + 4, f"{value:g}", "end"))
    x, y = float(LEFT), HEIGHT - 34
    for number, name in enumerate(legend):
        room = 26 + 6.6 * len(name)
        if x + room > WIDTH:
            x, y = float(LEFT), y + 17
        found.append(f'<rect x="{x:.0f}" y="{y}" width="10" height="10" fill="{_colour(number)}"/>')
        found.append(_text(x + 14, y + 9, name, "start"))
        x += room
    return found


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, top) / top


def bars(title: str, groups: Mapping[str, Mapping[str, float]], most: float | None = None) -> str:
    """A group for each key, with a bar for each series. Bars above `most` are cut, and show their value."""
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    greatest = max(value for group in groups.values() for value in group.values())
    labels = _steps(min(greatest, most or greatest))
    top = labels[-1]
    found = _frame(title, series, top, labels)
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = room * 0.86 / len(series)
    for place, (name, group) in enumerate(groups.items()):
        start = LEFT + room * (place + 0.07)
        found.append(_text(start + room * 0.43, HEIGHT - BOTTOM + 18, name))
        for number, one in enumerate(series):
            if one not in group:
                continue
            x, y = start + width * number, _y(group[one], top)
            height = HEIGHT - BOTTOM - y
            colour = _colour(number)
            size = f'width="{width * 0.9:.1f}" height="{height:.1f}"'
            found.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{colour}"/>')
            figure = f"{group[one]:.0f}" if group[one] >= 10 else f"{group[one]:.1f}"
            found.append(_text(x + width * 0.45, y - 3, figure))
    return "\n".join([*found, "</svg>", ""])


def lines(title: str, steps: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """A line for each series, with equal distances between steps."""
    labels = _steps(max(value for values in series.values() for value in values))
    top = labels[-1]
    found = _frame(title, list(series), top, labels)
    room = (WIDTH - LEFT - RIGHT) / len(steps)
    places = [LEFT + room * (number + 0.5) for number in range(len(steps))]
    found += [_text(x, HEIGHT - BOTTOM + 18, name) for x, name in zip(places, steps, strict=True)]
    for number, values in enumerate(series.values()):
        points = [(x, _y(value, top)) for x, value in zip(places, values, strict=False)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = _colour(number)
        found.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        found += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return "\n".join([*found, "</svg>", ""])
