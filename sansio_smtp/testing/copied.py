"""Scripts as they are copied: out of a test that is indented, or out of what pytest prints."""

from __future__ import annotations

from typing import Final

__all__ = ["flush_left"]

_FLUSH_LEFT: Final = ("C:", "S:", "<", "#")
"""What a line begins with that is not indented in a script."""


def flush_left(text: str) -> str:
    """A script without the indentation that all its lines have, and without the ``E`` with which pytest marks
    each line of an error. Lines are still counted as before."""
    lines = text.split("\n")
    filled = [line for line in lines if line.strip()]
    if all(line.startswith("E ") or line.rstrip() == "E" for line in filled):
        lines = [line.replace("E", " ", 1) for line in lines]
        filled = [line for line in lines if line.strip()]
    if not filled or not filled[0].lstrip(" ").startswith(_FLUSH_LEFT):
        return text  # it cannot be read, and the message is to be about what was written
    common = min(len(line) - len(line.lstrip(" ")) for line in filled)
    return "\n".join(line[common:] for line in lines)
