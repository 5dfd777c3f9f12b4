"""README and the tutorial, followed as a beginner does: each command in its order, each output compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import ROOT, text
from reader import Reader, environment, free_ports, prepared

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


# The reader itself


def follow(tmp_path: Path, page: str) -> list[str]:
    file = tmp_path / "page.md"
    file.write_text(page)
    with Reader(tmp_path, environment(tmp_path), patience=2) as reader:
        reader.follow(file)
    return reader.done


def test_a_page_is_followed_on_several_terminals(tmp_path: Path) -> None:
    done = follow(
        tmp_path,
        "Save this as `it.txt`:\n\n```text\nhello\n```\n\nIn the first terminal:\n\n```sh\ncd /\n```\n\n"
        "In the second terminal:\n\n```sh\ncat it.txt; pwd; date +%H:%M:%S\n```\n\n"
        "```text\n...\nhe...\n.../...\n11:12:13\n```\n",
    )
    assert [step.split()[1] for step in done] == ["save", "run", "run", "see"]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```sh\necho one; echo two\n```\n\n```text\none\n2\n```\n", "-2\n[+]two"),
        ("```sh\ntrue; false\n```\n", "true; false"),
        ("```sh\nsmtp-proxy --rules x.py\n```\n\n```sh\ntrue\n```\n", "what shows that the service runs"),
    ],
    ids=["output", "status", "service"],
)
def test_what_is_not_as_the_page_says_is_found(tmp_path: Path, page: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        follow(tmp_path, page)


def test_ctrl_c_ends_what_runs(tmp_path: Path) -> None:
    (tmp_path / "smtp-proxy").write_text("#!/bin/sh\necho ready\nexec sleep 600\n")
    (tmp_path / "smtp-proxy").chmod(0o755)
    page = (
        "```sh\nPATH=.:$PATH\nsmtp-proxy\n```\n\n```text\nready\n```\n\nPress Ctrl-C.\n\n```sh\ntrue\n```\n"
    )
    assert [step.split()[1] for step in follow(tmp_path, page)] == ["service", "see", "ctrl-c", "run"]
