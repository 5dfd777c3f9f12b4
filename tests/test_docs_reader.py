"""README, followed as a beginner does: each command in its order, each output compared."""

from __future__ import annotations

import shutil
from pathlib import Path

from pages import ROOT
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
