"""Says why a file that a setting names cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["REMEDY", "no_file", "unreadable"]

REMEDY: Final = "; correct the path"


def unreadable(path: Path, error: OSError, remedy: str = REMEDY) -> str:
    """``cannot be read: `` and the reason. ``remedy``: what to do if there is no such file."""
    if isinstance(error, FileNotFoundError):
        return no_file(path) + remedy
    return f"cannot be read: {error.strerror or error}"


def no_file(path: Path) -> str:
    """The reason if there is no such file. It says where it was looked for, if the path does not."""
    where = "" if path.is_absolute() else f": {path.absolute()}"
    return f"cannot be read: there is no such file{where}"
