"""The recipes of a page of docs/how-to, cut into what a reader types."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import attrs
from pages import FENCED, ROOT, text

__all__ = ["RECIPES", "SCANNERS", "Recipe", "recipe", "titles"]

HOW_TO = ROOT / "docs" / "how-to"
RECIPES = HOW_TO / "recipes.md"
SCANNERS = HOW_TO / "scanners.md"
_FILE = re.compile(r"# (/etc/\S+)\n")
_SECTION = re.compile(r"^## (.*)\n", re.MULTILINE)


def titles(page: Path = RECIPES) -> list[str]:
    return _SECTION.findall(text(page))


@attrs.define
class Recipe:
    files: dict[str, str]
    """What they hold, by their names in ``/etc``, such as ``postfix/main.cf``."""
    program: list[str]
    """The options of ``smtp-proxy``."""
    checks: list[list[str]]
    """Commands that show that it works."""
    shown: list[str]
    """What they print, or what the log of a server says."""


def recipe(title: str, substitutions: dict[str, str], page: Path = RECIPES) -> Recipe:
    """The recipe with this title. Each text of the page that has a substitution must stand in it."""
    _, *parts = _SECTION.split(text(page))
    section = dict(zip(parts[::2], parts[1::2], strict=True))[title]
    fences = [body for _, body in FENCED.findall(section)]
    for old in substitutions:
        assert any(old in body for body in fences), f"{old!r} does not stand in {title!r}"
    olds = "|".join(re.escape(old) for old in sorted(substitutions, key=len, reverse=True))
    pattern = re.compile(olds or "(?!)")
    found = Recipe({}, [], [], [])
    for fence in fences:
        body = pattern.sub(lambda match: substitutions[match[0]], fence)
        if file := _FILE.match(body):
            found.files[file[1].removeprefix("/etc/")] = body[file.end() :]
        elif body.startswith("smtp-proxy "):
            assert not found.program
            (found.program,) = _commands(body)
            del found.program[0]
        elif body.startswith("swaks "):
            found.checks += _commands(body)
        else:
            found.shown += body.splitlines()
    return found


def _commands(body: str) -> list[list[str]]:
    return [shlex.split(line) for line in body.replace("\\\n", " ").splitlines()]
