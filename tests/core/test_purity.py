"""The core is pure: it reads no clock, opens no socket, logs nothing, and needs attrs alone."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import attr
import attrs
import pytest

import sansio_smtp

PACKAGE = Path(sansio_smtp.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN = {
    *("asyncio", "concurrent", "email", "http", "io", "logging", "multiprocessing"),
    *("os", "pathlib", "queue", "random", "sched", "secrets", "select"),
    *("selectors", "signal", "smtplib", "socket", "socketserver", "ssl", "subprocess"),
    *("sys", "tempfile", "threading", "time", "trio", "urllib"),
}
"""What would be I/O, a clock, a thread, or chance. docs/explanation/design.md says why none of it is here."""

NOT_LOADED = ["_socket", "_ssl", "asyncio", "email", "http", "logging", "select", "selectors", "smtplib"]
NOT_LOADED += ["socket", "ssl", "subprocess", "trio", "trio_proxy"]
"""Not in the process either: not even by way of attrs or the standard library."""

MAY = {
    # It draws, from what the test gives it.
    "testing": {"random", "hypothesis"},
    # A message of the standard library, for a rule that asks for one: imported then, see below.
    "rules/mime.py": {"email"},
    # One variable of the environment, which switches the function in C off.
    "wire/scan.py": {"os"},
    # Lines are cut in memory, by the fastest there is in C.
    "rules/body.py": {"io"},
}
"""What a subpackage or a module may need besides."""

# -S: no site-packages. -I: no environment, no working directory. All that is added lies in one directory.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import sansio_smtp
proxy = sansio_smtp.Proxy()
proxy.receive_from(sansio_smtp.SERVER, b"220 mx\\r\\n")
(sent, *_) = proxy.receive_from(sansio_smtp.CLIENT, b"EHLO me\\r\\n")
assert sent == sansio_smtp.SendToServer(b"EHLO me\\r\\n"), sent
import sansio_smtp.rules
from sansio_smtp.rules.message import Message
sansio_smtp.rules.RuleSet()
message = Message(b"Subject: =?utf-8?q?=C3=BC?=\\r\\n\\r\\nbody\\r\\n")
message.headers.replace("Subject", lambda text: text + chr(252))
message.headers.add("X-Scanned-By", "smtp-proxy")
assert message.headers.edited
print(sansio_smtp.__file__)
print(*sorted(sys.modules))
"""


def may(file: Path) -> set[str]:
    path = file.relative_to(PACKAGE)
    return MAY.get(path.as_posix(), set()) | MAY.get(path.parts[0], set())


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imported(file: Path) -> set[str]:
    """The top-level names that a file imports from elsewhere, wherever in it."""
    return names_in(ast.walk(tree_of(file)))


def imported_at_once(file: Path) -> set[str]:
    """Those that it imports when it is imported itself."""
    return names_in(outside_functions(tree_of(file)))


def names_in(nodes: Iterable[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module is not None
            found.add(node.module.partition(".")[0])
    return found


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from outside_functions(child)


def test_no_file_names_a_module_that_does_io() -> None:
    for file in FILES:
        assert not imported(file) & (FORBIDDEN - may(file)), file


def test_attrs_is_the_only_dependency() -> None:
    for file in FILES:
        assert imported(file) <= sys.stdlib_module_names | {"attrs", "sansio_smtp"} | may(file), file


def test_email_is_imported_by_one_module_when_it_is_needed() -> None:
    assert [file.name for file in FILES if "email" in imported(file)] == ["mime.py"]
    assert not [file.name for file in FILES if "email" in imported_at_once(file)]


@pytest.mark.parametrize(
    ("source", "at_once"),
    [
        ("import email", True),
        ("class A:\n    from email import policy", True),
        ("if True:\n    import email.policy", True),
        ("def f():\n    import email", False),
        ("class A:\n    def f(self):\n        from email import policy", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import email", False),
    ],
)
def test_the_walk_finds_what_is_imported_at_once(source: str, at_once: bool, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source)
    assert ("email" in imported_at_once(tmp_path / "file.py")) is at_once


def test_no_file_opens_prints_or_imports_by_name() -> None:
    """What the walk over import statements cannot see."""
    for file in FILES:
        calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
        names = {function.id for function in calls if isinstance(function, ast.Name)}
        assert not names & {"open", "print", "input", "__import__", "eval", "exec", "breakpoint"}, file


@pytest.mark.parametrize(
    "source", ["import os.path as x", "def f():\n    from ssl import wrap", "import a, time"]
)
def test_the_walk_finds_imports_wherever_they_are(source: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source)
    assert imported(tmp_path / "file.py") & FORBIDDEN


def test_the_core_does_not_need_its_subpackages() -> None:
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ImportFrom):
                assert not {"testing", "rules"} & set((node.module or "").split("."))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules in a process that has imported the core and used it, with attrs and nothing else."""
    place = tmp_path_factory.mktemp("alone")
    for module in (attr, attrs, sansio_smtp):
        assert module.__file__ is not None
        source = Path(module.__file__).parent
        shutil.copytree(source, place / source.name, ignore=shutil.ignore_patterns("__pycache__", "testing"))
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0, done.stderr
    where, names = done.stdout.splitlines()
    assert Path(where).parent == place / "sansio_smtp"
    return set(names.split())


def test_it_works_with_attrs_alone(loaded: set[str]) -> None:
    assert {"attr", "sansio_smtp.proxy"} <= loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert tops - sys.stdlib_module_names - {"__main__"} == {"attr", "attrs", "sansio_smtp"}


@pytest.mark.parametrize("name", NOT_LOADED)
def test_nothing_that_does_io_is_loaded(name: str, loaded: set[str]) -> None:
    assert name not in loaded
