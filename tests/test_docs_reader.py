"""README and the tutorial, followed as a beginner does: each command in its order, each output compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import ROOT, text
from reader import Reader, free_ports, prepared

_TESTS = r"pytest -q$"
"""README's command for all tests: these would start themselves."""


def test_readme_can_be_pasted_from_its_first_line(tmp_path: Path) -> None:
    """With the installation that runs the tests; `tests/compat/readme` makes one, as README says."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    ports = free_ports("2525")
    variables = prepared(tmp_path) | {"SMTP_PROXY_LISTEN": f"127.0.0.1:{ports['2525']}"}
    with Reader(tmp_path, variables, ports=ports, without=_TESTS) as reader:
        reader.follow(ROOT / "README.md")
    assert sum(": run " in step for step in reader.done) >= 5


TUTORIAL = ROOT / "docs" / "tutorial"
STEPS = sorted(TUTORIAL.glob("[0-9]*.md"))


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    ports = free_ports("2525", "2526")
    variables = prepared(tmp_path) | {"SMTP_PROXY_LISTEN": f"127.0.0.1:{ports['2525']}"}
    with Reader(tmp_path, variables, ports=ports) as reader:
        for page in (TUTORIAL / "index.md", *STEPS):
            reader.follow(page)
    shown = sum(len(re.findall(r"^```[a-z]+$", text(page), re.MULTILINE)) for page in TUTORIAL.glob("*.md"))
    assert sum(": ctrl-c" not in step for step in reader.done) == shown, "a block that no file or command is"


def test_each_step_of_the_tutorial_leads_to_the_next() -> None:
    assert len(STEPS) == 7
    listed = re.findall(r"^\d\. \[.*\]\((.*)\)$", text(TUTORIAL / "index.md"), re.MULTILINE)
    assert listed == [step.name for step in STEPS]
    for page, following in zip((TUTORIAL / "index.md", *STEPS), STEPS, strict=False):
        assert re.search(rf"\[step \d\]\({following.name}\)\.?\n", text(page)), page
