"""Scripts as they are copied: out of a test that is indented, or out of what pytest prints."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from typing import Final

__all__ = ["HEADING", "flush_left"]

HEADING: Final = "The dialogue (C: the client, S: the server, ->: what leaves):"
"""What stands before the script in the note of a test that fails."""
_FLUSH_LEFT: Final = ("C:", "S:", "<", "#")
"""What a line begins with that is not indented in a script."""


def flush_left(text: str) -> str:
    """A script without the indentation that all its lines have, and without the ``E`` with which pytest marks
    each line of an error. Of a whole report of pytest, it is the script after `HEADING`. Lines are still
    counted as before."""
    lines = _reported(text.split("\n"))
    filled = [line for line in lines if line.strip()]
    if all(line.startswith("E ") or line.rstrip() == "E" for line in filled):
        lines = [line.replace("E", " ", 1) for line in lines]
        filled = [line for line in lines if line.strip()]
    if not filled or not filled[0].lstrip(" ").startswith(_FLUSH_LEFT):
        return text  # it cannot be read, and the message is to be about what was written
    common = min(len(line) - len(line.lstrip(" ")) for line in filled)
    return "\n".join(line[common:] for line in lines)


def _reported(lines: list[str]) -> list[str]:
    """With empty lines for what does not belong to the script. A script in a report has no empty line."""
    start = next((at for at, line in enumerate(lines, 1) if line.removeprefix("E").strip() == HEADING), 0)
    if not start:
        return lines
    mark = "E" if lines[start - 1].startswith("E") else ""

    def is_filled(line: str) -> bool:
        return line.startswith(mark) and bool(line.removeprefix(mark).strip())

    rest = list(dropwhile(lambda line: not is_filled(line), lines[start:]))
    return [""] * (len(lines) - len(rest)) + list(takewhile(is_filled, rest))
