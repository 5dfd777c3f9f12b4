"""The page docs/how-to/capture.md, as tests run it: on ports of their own, in a directory of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pages import FENCED, ROOT, text

__all__ = ["PAGE", "block_after", "blocks_on", "comparable", "write_files"]

PAGE: Final = ROOT / "docs" / "how-to" / "capture.md"
_FILE: Final = re.compile(r"`([a-z]+\.py)`:\n\n```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A program with its name, which stands at the end of the sentence before it."""
_PORT: Final = re.compile(r"\b2525\b")
_CHANGES: Final = (
    (re.compile(r"\b[0-9]{10}\.[0-9]{6}\.P[0-9]+Q[0-9]+\.[\w.-]+\.eml"), "NAME.eml"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:]{8}([+-][0-9:]{5}|Z)"), "TIME"),
    (re.compile(r"=={10,}[0-9]+=="), "BOUNDARY"),
    (re.compile(r"(?<=127\.0\.0\.1:)[0-9]+"), "PORT"),
    (re.compile(r"^message [0-9]+"), "message N"),
    (re.compile(r'^ "number": [0-9]+', re.MULTILINE), ' "number": N'),
)


def blocks_on(port: int) -> list[tuple[str, str]]:
    """The blocks of the page with their languages, for a proxy on this port."""
    return [(language, _PORT.sub(str(port), body)) for language, body in FENCED.findall(text(PAGE))]


def write_files(folder: Path, port: int) -> list[str]:
    """Writes the files that the page shows, and returns their names."""
    files = {name: _PORT.sub(str(port), body) for name, body in _FILE.findall(text(PAGE))}
    for file, body in files.items():
        (folder / file).write_text(body, encoding="utf-8")
    return list(files)


def block_after(begin: str) -> str:
    """The block of text or JSON whose first line begins so."""
    shown = (body for language, body in blocks_on(2525) if language in ("text", "json"))
    (found,) = (body for body in shown if body.startswith(begin))
    return found


def comparable(output: str) -> str:
    """What a program has printed, or what the page says that it prints, without what differs each time."""
    for pattern, instead in _CHANGES:
        output = pattern.sub(instead, output)
    return output
