"""The pages of the documentation, cut into the parts that tests check."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import forking

__all__ = [
    "DESIGN",
    "FENCED",
    "MANUAL",
    "PAGES",
    "ROOT",
    "SUPPORTED",
    "Fence",
    "blocks",
    "files_of",
    "is_program",
    "name",
    "prose",
    "run",
    "shown_file",
    "table",
    "tables",
    "text",
    "timeless",
]

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DESIGN, SUPPORTED = (
    ROOT / "docs" / "explanation" / "design.md",
    ROOT / "docs" / "reference" / "supported-smtp.md",
)
_MANUAL_NAMES: Final = (
    "README",
    "operating",
    "options",
    "rules",
    "ready-rules",
    "supported-smtp",
    "testing",
    "tls",
    "recipes",
)
MANUAL: Final = [page for page in PAGES if page.stem in _MANUAL_NAMES]
"""The pages about options."""

FENCED: Final = re.compile(r"^```([a-z]*|\{[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME: Final = re.compile(r"# ([\w-]+\.(?:py|toml|smtp))\n")

_STATUS: Final = "; echo $?"

Fence = tuple[str, str]
"""Language and content."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCED.sub("", text(page))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [body for tag, body in FENCED.findall(text(page)) if tag == language]


def shown_file(body: str) -> str:
    """The name of the file that a block shows, from its first line; empty if it shows none."""
    found = _FILE_NAME.match(body)
    return found[1] if found else ""


def is_program(body: str) -> bool:
    """True of a block of Python that is run as it stands; the others show a file of tests, which a command of
    the page runs."""
    return not shown_file(body).startswith("test_")


def files_of(page: Path, folder: Path) -> Iterator[Fence]:
    """The blocks of a page, one after the other; blocks that show a file are first written to the folder."""
    for language, body in FENCED.findall(text(page)):
        if file := shown_file(body):
            (folder / file).write_text(body, encoding="utf-8")
        yield language, body


def run(command: str, folder: Path) -> str:
    """The output of a command line that begins with ``smtp-proxy`` or ``pytest``, run in a folder. It may end
    with a query of the exit status."""
    program, *arguments = shlex.split(command.removesuffix(_STATUS))
    variables = {**os.environ, "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}
    if program == "smtp-proxy":
        done = forking.run(
            ["-m", "trio_proxy", *arguments], cwd=folder, env=variables, timeout=60, all_to_stdout=True
        )
    else:  # plugins of pytest change the imports
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    return done.stdout + (f"{done.returncode}\n" if command.endswith(_STATUS) else "")


def timeless(output: str) -> str:
    """The output without durations."""
    return re.sub(r" *[0-9]+[.][0-9]+( ms|s)\b", r" 0\1", output)


def table(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    return next(tables(page, heading))


def tables(page: Path, heading: str) -> Iterator[list[list[str]]]:
    """The cells of each table after a heading."""
    _, found, rest = f"\n{text(page)}".partition(f"\n{heading}\n")
    assert found, f"{name(page)} has no heading {heading!r}"
    for each in re.finditer(r"(?:^\|.*\n)+", rest, re.MULTILINE):
        rows = each[0].splitlines()
        yield [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
