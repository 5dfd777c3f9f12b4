"""No regular expression has what a supported Python reads wrongly.

Python before 3.11.5 matches ``(?:ab?c)*+`` with ``a``, and Debian 12 has 3.11.2. So a group is never repeated
possessively; an atomic group around the repetition says the same, and is right in all versions.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("sansio_smtp", "trio_proxy", "examples")
POSSESSIVE: Final = re.compile(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+")


def found_in(source: str) -> list[int]:
    """The lines of texts that repeat a group possessively."""
    lines: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            lines += [node.lineno] * bool(POSSESSIVE.search(text))
    return sorted(lines)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_group_is_repeated_possessively(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert len(files) > 5
    found = [(file.name, line) for file in files for line in found_in(file.read_text(encoding="utf-8"))]
    assert found == []


def test_the_search_finds_one() -> None:
    source = 'import re\nA = re.compile(r"(?:ab?c)*+d")\nB = re.compile(rb"(a){2,3}+")\nC = rf"{A}(x)++"\n'
    assert found_in(source) == [2, 3, 4]
    assert found_in('A = r"(?>(?:ab?c)*)[a-z]++\\)*+"\n') == []
