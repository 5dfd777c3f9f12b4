"""Lines on standard output. If nobody reads them any more, the mail goes on."""

from __future__ import annotations

import os
import sys

__all__ = ["write", "write_line"]


def write_line(line: str) -> None:
    """One line, at once."""
    write(line + "\n")


def write(text: str) -> None:
    """Text as it is, at once. When nobody reads any more, nothing more is written."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # A closed pipe, a full disk. What is buffered goes to the null device, so that the interpreter
        # does not complain of it at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
