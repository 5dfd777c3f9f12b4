"""Checks that each module of the core is fully covered by its own test module, including branches. Total
coverage says little, because tests may run a module without checking it. Usage::

    python tests/individual_coverage.py [module ...]

where a module is named like ``content`` or ``rules/headers``.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sansio_smtp"
TESTS = ROOT / "tests" / "core"

OTHER_NAMES = {"__init__": "public_api"}
"""Modules whose test module is not named after them. An ``__init__`` that only imports needs none."""

ELSEWHERE = {"testing"}
"""Subpackages that are tested otherwise: see tests/test_testing.py."""


def all_modules() -> list[str]:
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not only_imports(path)]
    return sorted(path.with_suffix("").as_posix() for path in paths if path.parts[0] not in ELSEWHERE)


def only_imports(path: Path) -> bool:
    """Returns True for an ``__init__`` with only a docstring, imports and ``__all__``."""
    return path.name == "__init__.py" and all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in ast.parse(path.read_text("utf-8")).body
    )


def tests_of(module: str) -> list[Path]:
    """``test_x.py``, and ``test_x_*.py`` where one file would be too long; below the same directory."""
    *directories, name = module.split("/")
    place = TESTS.joinpath(*directories)
    name = OTHER_NAMES.get(name, name)
    return sorted(place.glob(f"test_{name}.py")) + sorted(place.glob(f"test_{name}_*.py"))


def scratch_file(module: str, kind: str, scratch: Path) -> Path:
    return scratch / f"{module.replace('/', '.')}.{kind}"


def run(*arguments: str, scratch: Path, module: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "COVERAGE_FILE": str(scratch_file(module, "coverage", scratch)),
        "COVERAGE_RCFILE": str(scratch_file(module, "ini", scratch)),
        # Plugins for other tests take longer to load than these tests take to run.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Hypothesis draws the same examples each time, so that coverage does not depend on chance.
        "CI": "true",
    }
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def write_settings(module: str, scratch: Path) -> None:
    """Writes the settings of pyproject.toml, but measures only this module."""
    report = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
    settings = ConfigParser(interpolation=None)
    settings["run"] = {"branch": "true", "include": str(PACKAGE / f"{module}.py")}
    settings["report"] = {"exclude_also": "\n".join(["", *report["exclude_also"]])}
    with scratch_file(module, "ini", scratch).open("w") as file:
        settings.write(file)


def check(module: str, scratch: Path) -> str:
    """Returns the problem of a module; empty if there is none."""
    tests = tests_of(module)
    if not tests:
        return f"{module}: no test module"
    write_settings(module, scratch)
    pytest = ("pytest", "-q", "-c", os.devnull, f"--rootdir={ROOT}", "--noconftest", "-W", "error")
    pytest += ("-o", "markers=slow")  # slow tests are run too
    tested = run(
        "coverage",
        "run",
        "-m",
        *pytest,
        "-p",
        "no:cacheprovider",
        *map(str, tests),
        scratch=scratch,
        module=module,
    )
    if tested.returncode:
        return f"{module}: its tests fail\n{tested.stdout[-2000:]}{tested.stderr[-2000:]}"
    report = scratch_file(module, "json", scratch)
    told = run("coverage", "json", "-o", str(report), scratch=scratch, module=module)
    if told.returncode:
        return f"{module}: {told.stdout}{told.stderr}"
    (found,) = json.loads(report.read_text())["files"].values()
    return missing(module, found)


def missing(module: str, found: dict[str, Any]) -> str:
    lines = ", ".join(str(line) for line in found["missing_lines"])
    branches = ", ".join(f"{start}->{end}" for start, end in found["missing_branches"])
    parts = [f"lines {lines}"] * bool(lines) + [f"branches {branches}"] * bool(branches)
    return f"{module}: not covered by its own tests: {'; '.join(parts)}" if parts else ""


def main() -> int:
    modules = sys.argv[1:] or all_modules()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(pool.map(lambda module: check(module, Path(scratch)), modules))
    for module, problem in zip(modules, problems, strict=True):
        print(problem or f"{module}: 100 %")
    return 1 if any(problems) else 0


if __name__ == "__main__":
    sys.exit(main())
