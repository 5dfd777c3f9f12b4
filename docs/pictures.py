"""The pictures of the documentation: SVG files in ``docs/pictures``, each made from a source in text.

State diagrams and graphs are laid out by Graphviz (``dot``), which is needed only to make them. Each picture
keeps the hash of its source, so that a stale one is found without it. Colours follow the theme of the reader.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["FOLDER", "graph", "image", "make", "stale_pictures", "states"]

FOLDER = Path(__file__).parent / "pictures"

STYLE = """\
text { fill: #1f2933; font-family: Helvetica, Arial, sans-serif }
.paper { fill: #ffffff; stroke: none }
.box, .node path, .node polygon { fill: #e8f1fb; stroke: #3b6ea5 }
.frame, .cluster path { fill: none; stroke: #8a97a6; stroke-dasharray: 5 3 }
.point ellipse { fill: #1f2933; stroke: #1f2933 }
.line, .edge path { fill: none; stroke: #52606d }
.tip, .edge polygon { fill: #52606d; stroke: #52606d }
.quiet { fill: #52606d }
.label, .edge text { stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.paper { fill: #1a1c1e }
.box, .node path, .node polygon { fill: #20344a; stroke: #7fb2e5 }
.frame, .cluster path { stroke: #7b8794 }
.point ellipse { fill: #e6edf3; stroke: #e6edf3 }
.line, .edge path { stroke: #a9b4c0 }
.tip, .edge polygon { fill: #a9b4c0; stroke: #a9b4c0 }
.quiet { fill: #a9b4c0 }
.label, .edge text { stroke: #1a1c1e }
}
"""
"""It has a background of its own: it can be read also where a page and its reader's settings differ."""

Edge = tuple[str, str, Iterable[str]]
"""From, to, and the alternatives on the arrow."""


def image(name: str, about: str) -> str:
    """The picture in a page of one of the sections."""
    return f"![{about}](../pictures/{name}.svg)"


def states(first: str, edges: Iterable[Edge], ends: Iterable[str] = ()) -> str:
    """The source of a state diagram."""
    lines = ['start [shape=point class="point" width=0.12]', f"start -> {first}"]
    for before, after, labels in edges:
        label = r"\n".join(_wrapped(labels, 26))
        lines.append(f'{before} -> {after} [label=" {label} "]')
    for i, end in enumerate(ends):
        lines += [f'end{i} [shape=point class="point" peripheries=2 width=0.12]', f"{end} -> end{i}"]
    return graph("TB", lines)


def graph(direction: str, lines: Iterable[str]) -> str:
    """The source of a graph, for ``dot``."""
    head = [
        f"rankdir={direction} pad=0.15 nodesep=0.35 ranksep=0.45",
        'graph [fontname="Helvetica" fontsize=12 style="rounded" labeljust=l]',
        'node [fontname="Helvetica" fontsize=12 shape=box style="rounded,filled" height=0.4]',
        'edge [fontname="Helvetica" fontsize=10 arrowsize=0.7]',
    ]
    return "\n".join(["digraph {", *(f"    {line}" for line in (*head, *lines)), "}", ""])


def make(sources: dict[str, Callable[[], str]]) -> None:
    """Makes the pictures that are stale."""
    FOLDER.mkdir(exist_ok=True)
    for name in stale_pictures(sources):
        source = sources[name]()
        drawn = source if source.startswith("<svg") else _laid_out(source)
        about = f"<!-- made by docs/make_diagrams.py from {_hash(source)} -->\n<style>\n{STYLE}</style>"
        text = re.sub(r"(<svg\b[^>]*>)", rf"\1\n{about}", drawn, count=1)
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")


def stale_pictures(sources: dict[str, Callable[[], str]], folder: Path = FOLDER) -> list[str]:
    """The pictures whose source, or the style of all, has changed since they were made."""
    return [name for name, source in sources.items() if not _is_fresh(folder / f"{name}.svg", source())]


def _is_fresh(picture: Path, source: str) -> bool:
    return picture.exists() and f"from {_hash(source)} -->" in picture.read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return hashlib.sha256((source + STYLE).encode()).hexdigest()


def _laid_out(source: str) -> str:
    done = subprocess.run(["dot", "-Tsvg"], input=source, capture_output=True, text=True, check=True)
    svg = done.stdout[done.stdout.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", svg, flags=re.DOTALL)  # titles pop up as names
    return svg.replace("<polygon fill=", '<polygon class="paper" fill=', 1)


def _wrapped(labels: Iterable[str], width: int) -> list[str]:
    alternatives = [textwrap.wrap(label, width, break_on_hyphens=False) for label in labels]
    short = sum(len(words) for words in alternatives) == len(alternatives) > 3
    if short:
        return textwrap.wrap(" / ".join(label.replace(" ", "\N{NO-BREAK SPACE}") for label in labels), width)
    return _joined(alternatives)


def _joined(alternatives: list[list[str]]) -> list[str]:
    *others, last = alternatives
    return [*(line for words in others for line in (*words[:-1], f"{words[-1]} /")), *last]
