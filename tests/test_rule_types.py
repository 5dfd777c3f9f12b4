"""Type checkers (mypy --strict and pyright) report a verdict that makes no sense in its phase.

They come with the extra ``lint``: `.ci/run` has them.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from sansio_smtp.rules.phases import PHASES, PhaseInfo
from sansio_smtp.rules.verdicts import Verdict

pytestmark = pytest.mark.typecheck

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "tests" / "rule_types" / "examples.py"
WRONG = "# wrong"

VALUES = {
    **{f"{verdict.__name__}": f"{verdict.__name__}()" for verdict in get_args(Verdict)},
    "Redirect": 'Redirect("host:25")',
    "None": "None",
    "bytes": 'b""',
    "bool": "True",
    "str": '"550 no"',
    "int": "550",
    "tuple[int, str]": '(550, "no")',
}
"""A returned value: its type, and an expression for it."""
FORMS = ("def", "async def")


def legal(phase: PhaseInfo) -> set[str]:
    return {*(verdict.__name__ for verdict in phase.verdicts), "None", *["bytes"] * phase.octets}


def alias(phase: PhaseInfo) -> str:
    return f"{phase.name.partition('_')[0].title()}Verdict" if phase.verdicts else "None"


def matrix() -> Iterator[str]:
    """Each phase, with all allowed and all wrong results: with ``@on``, in functions and in a class, and with
    annotations."""
    aliases = sorted({alias(phase) for phase in PHASES.values()} - {"None"})
    names = [*(verdict.__name__ for verdict in get_args(Verdict)), *aliases, "on"]
    yield f"from sansio_smtp.rules import {', '.join(names)}\n"
    for (phase, kind), form in itertools.product(itertools.product(PHASES.values(), VALUES), FORMS):
        wrong = "" if kind in legal(phase) else f"  {WRONG}"
        name = f"{form[0]}_{phase.name}_{re.sub('[^a-z]', '_', kind.lower())}"
        parameters = ", ".join(f"{parameter}: object" for parameter in phase.parameters)
        yield f'@on("{phase.name}"){wrong}\n'
        yield f"{form} on_{name}({parameters}) -> {kind}:\n    return {VALUES[kind]}\n"
        yield f"{form} as_{name}({parameters}) -> {alias(phase)}:\n    return {VALUES[kind]}{wrong}\n"
        yield f'class C_{name}:\n    @on("{phase.name}"){wrong}\n'
        yield f"    {form} check(self, {parameters}) -> {kind}:\n        return {VALUES[kind]}\n"


def marked(file: Path) -> set[tuple[str, int]]:
    lines = file.read_text().splitlines()
    return {(file.name, number) for number, line in enumerate(lines, 1) if WRONG in line}


def run(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, text=True, capture_output=True, check=False
    ).stdout


def mypy(files: list[Path], scratch: Path) -> set[tuple[str, int]]:
    options = ("--strict", "--config-file=", f"--cache-dir={scratch}", "--output=json")
    found = [json.loads(line) for line in run("mypy", *options, *map(str, files)).splitlines()]
    return {(Path(each["file"]).name, each["line"]) for each in found if each["severity"] == "error"}


def pyright(files: list[Path], scratch: Path) -> set[tuple[str, int]]:
    settings = {
        "include": [file.name for file in files],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "reportMissingTypeStubs": False,
    }
    (scratch / "pyrightconfig.json").write_text(json.dumps(settings))
    told: Any = json.loads(
        run("pyright", "--outputjson", f"--pythonpath={sys.executable}", f"--project={scratch}")
    )
    assert told["summary"]["filesAnalyzed"] == len(files)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in told["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_wrong_is_told_and_nothing_else(checker: Any, tmp_path: Path) -> None:
    generated, examples = tmp_path / "matrix.py", tmp_path / EXAMPLES.name
    generated.write_text("".join(matrix()))
    examples.write_text(EXAMPLES.read_text())
    found = checker([generated, examples], tmp_path)
    expected = marked(generated) | marked(examples)
    assert found - expected == set()
    assert expected - found == set()


def test_the_matrix_is_whole() -> None:
    """Each phase with each verdict, sync and async, three times."""
    text = "".join(matrix())
    functions = len(re.findall(r"^ *(?:async )?def ", text, re.MULTILINE))
    assert functions == len(PHASES) * len(VALUES) * 2 * 3
    illegal = sum(len(VALUES) - len(legal(phase)) for phase in PHASES.values())
    assert text.count(WRONG) == illegal * 2 * 3
