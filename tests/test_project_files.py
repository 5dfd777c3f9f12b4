"""The files that a project has for newcomers agree with the package, and are shipped with it."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from each import each

import sansio_smtp

ROOT = Path(__file__).parent.parent
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"


def test_the_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {sansio_smtp.__version__}\n" in text
    assert "\nlicense: MIT\n" in text


def test_pytest_needs_no_plugin_for_an_example() -> None:
    """``pytest examples/test_property.py`` in a clone: without pytest-xdist and pytest-trio it would refuse
    their options."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    assert set(options["ini_options"]) == {"testpaths", "addopts", "filterwarnings", "markers"}
    words = shlex.split(options["ini_options"]["addopts"])
    assert {word for word in words if word.startswith("-")} == {"--strict-markers", "--strict-config", "-m"}


@each(
    ("given", "runs_as"),
    [((None, "no"), ("auto", "loadfile")), ((0, "no"), (0, "loadfile")), ((2, "load"), (2, "load"))],
)
def test_tests_run_on_all_cores(
    pytestconfig: pytest.Config, given: tuple[object, str], runs_as: tuple[object, str]
) -> None:
    conftest: Any = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    option = SimpleNamespace(numprocesses=given[0], dist=given[1])
    config = SimpleNamespace(option=option, pluginmanager=pytestconfig.pluginmanager)
    conftest.pytest_cmdline_main(config)
    assert (option.numprocesses, option.dist) == runs_as
    worker = SimpleNamespace(option=SimpleNamespace(numprocesses=None, dist="no"), workerinput={})
    worker.pluginmanager = pytestconfig.pluginmanager
    conftest.pytest_cmdline_main(worker)
    assert worker.option.numprocesses is None  # a worker starts no others


def test_what_is_shipped_exists() -> None:
    included = BUILD["targets"]["sdist"]["include"]
    assert [name for name in included if not (ROOT / name).exists()] == []
    assert {"CITATION.cff", "CODE_OF_CONDUCT.md", ".github", "deploy"} <= set(included)
    shared = BUILD["targets"]["wheel"]["shared-data"]
    assert shared == {"deploy/man/smtp-proxy.1": "share/man/man1/smtp-proxy.1"}
    assert all((ROOT / name).is_file() for name in shared)


def test_reports_ask_for_a_dialogue() -> None:
    for name in ("bug", "wish"):
        text = (TEMPLATES / f"{name}.yml").read_text(encoding="utf-8")
        assert re.search(r"dialogue script", text)
        assert re.search(r"transcript", text)
        assert "docs/how-to/testing.md" in text
    assert (ROOT / "docs" / "how-to" / "testing.md").is_file()


def test_a_field_of_a_template_has_a_name_and_a_label() -> None:
    """As far as that can be seen without a reader of YAML."""
    for path in TEMPLATES.glob("[!c]*.yml"):
        text = path.read_text(encoding="utf-8")
        fields = re.split(r"^  - type: ", text, flags=re.MULTILINE)[1:]
        assert re.match(r"name: .+\ndescription: .+\nlabels: \[\w+\]\nbody:\n", text), path
        for field in fields:
            if not field.startswith("markdown"):
                assert re.match(
                    r"(textarea|input)\n    id: \w+\n    attributes:\n      label: .+\n", field
                ), path
