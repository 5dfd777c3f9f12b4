"""Finds the line of each key in a TOML text, because ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

__all__ = ["lines_of"]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY: Final = re.compile(r"""[ \t]*(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_VALUE: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}'''  # texts of several lines may end in quotes of their own
    r"""|\'\'\'.*?'{3,5}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
    r"""|\#[^\n]*|[\[{]|[\]}]|\n|[^"'\#\[\]{}\n]+""",
    re.DOTALL,
)


def lines_of(text: str, *, numbered: bool = False) -> dict[tuple[str, ...], int]:
    """The path of each table and key → its line, counted from 1. ``text`` is one that tomllib accepts.

    A key in an inline table has no line of its own; if a key is written several times, the last counts. With
    ``numbered``, keys in the second ``[[x]]`` also have a path that begins with ``("x", "1")``.
    """
    keys = _keys(text, numbered=numbered)
    return {path: text.count("\n", 0, position) + 1 for path, position in keys}


def _keys(text: str, *, numbered: bool) -> Iterator[tuple[tuple[str, ...], int]]:
    table: tuple[str, ...] = ()
    item: tuple[str, ...] | None = None  # a table that may come again, with its number
    counts: dict[tuple[str, ...], int] = {}
    position = _skip(_BLANK, text, 0)
    while position < len(text):
        start = position
        brackets = 2 if text.startswith("[[", start) else int(text[start] == "[")
        path, position = _path(text, start + brackets)
        if brackets:
            table, item = path, None
            yield table, start
            if numbered and brackets == 2:
                count = counts.get(path, 0)
                counts[path], item = count + 1, (*path, str(count))
                yield item, start
            position += brackets
        else:
            yield (*table, *path), start
            if item is not None:
                yield (*item, *path), start
            position = _end_of_value(text, position + 1)
        position = _skip(_BLANK, text, position)


def _path(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """The parts of a dotted key, and where it ends."""
    parts: list[str] = []
    while True:
        end = _skip(_KEY, text, position)
        part = text[position:end].strip()
        parts.append(next(iter(tomllib.loads(f"{part} = 0"))))
        if text[end : end + 1] != ".":
            return tuple(parts), end
        position = end + 1


def _end_of_value(text: str, position: int) -> int:
    depth = 0
    while position < len(text):
        end = _skip(_VALUE, text, position)
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text[position:end], 0)
        if text[position] == "\n" and depth == 0:
            break
        position = end
    return position


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    assert found is not None, f"no TOML at {position}"
    return found.end()
