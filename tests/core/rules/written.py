"""Rule files as texts."""

from __future__ import annotations

from typing import Any

from sansio_smtp.rules.loading import Collected, Make, collect

FILE = "folder/my_rules.py"
IMPORTS = (
    "from sansio_smtp.rules import *; import attrs, functools; from contextlib import asynccontextmanager\n"
)
"""One line, so that what follows begins in line 2."""


def executed(text: str) -> dict[str, Any]:
    """The names of a file."""
    namespace: dict[str, Any] = {"__name__": "my_rules"}
    exec(compile(text, FILE, "exec", dont_inherit=True), namespace)
    return namespace


def collected(text: str, *, make: Make | None = None, source: bool = True) -> Collected:
    """What a file gives that begins with `IMPORTS`."""
    text = IMPORTS + text
    return collect(executed(text), file=FILE, source=text if source else None, make=make)


def problems(text: str, **options: Any) -> list[str]:
    """As ``line: text``."""
    return [f"{problem.line}: {problem.text}" for problem in collected(text, **options).problems]


def names(text: str, **options: Any) -> list[str]:
    """The rules of a file in which nothing is wrong, as ``phase name``."""
    found = collected(text, **options)
    assert found.problems == ()
    return [f"{rule.phase} {rule.name}" for rule in found.rules]
