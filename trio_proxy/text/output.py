"""Writes to standard output. A closed pipe or a full disk does not stop the mail."""

from __future__ import annotations

import os
import sys

__all__ = ["write", "write_line"]


def write_line(line: str) -> None:
    """Writes one line and flushes it."""
    write(line + "\n")


def write(text: str) -> None:
    """Writes text as it is and flushes it. After an error nothing more is written. Raises nothing."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # A closed pipe or a full disk. What is buffered goes to the null device, so that the interpreter
        # reports no error at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
