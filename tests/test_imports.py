"""No module imports itself through others, so that a reader needs to know only the modules below it. Imports
inside functions and under TYPE_CHECKING count too: they hide a cycle from Python, but not from a reader.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sansio_smtp

ROOT = Path(sansio_smtp.__file__).parent.parent
PACKAGES = ["sansio_smtp", "trio_proxy"]

Graph = dict[str, set[str]]


def modules_of(package: Path) -> dict[str, Path]:
    """The modules of a package by their dotted names; a subpackage is the name of its ``__init__``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path) -> Iterator[str]:
    """The dotted names of all imports of a module, anywhere in it: ``a.b.c`` for ``from a.b import c``."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def graph_of(package: Path) -> Graph:
    """Which modules of the package each of them imports."""
    modules = modules_of(package)
    graph: Graph = {name: set() for name in modules}
    for name, path in modules.items():
        for imported in imports_of(name, path):
            # "a.b.c" is the module of that name, or a name in the module "a.b".
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules:
                graph[name].add(target)
    return graph


def reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        new = graph[left.pop()] - found
        found |= new
        left += new
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The groups of modules that import one another, directly or by way of others."""
    below = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in below[name] if name in below[other]))
        for name in graph
        if name in below[name]
    }
    return [list(group) for group in sorted(groups)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_imports(package: str) -> None:
    assert circles(graph_of(ROOT / package)) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import package.second", "import package.first"),
        ("from package.second import x", "from package.first import x"),
        ("from package import second", "from package import first"),
        ("from . import second", "from . import first"),
        ("from .second import x", "def f():\n    from .first import x"),
        ("from .second import x", "if TYPE_CHECKING:\n    from package.first import x"),
        ("from .inner.third import x", "pass"),
    ],
)
def test_every_way_to_make_a_circle_is_found(first: str, second: str, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from .first import x")
    (package / "first.py").write_text(first)
    (package / "second.py").write_text(second)
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "third.py").write_text("from ..first import x")
    if "third" in first:
        assert circles(graph_of(package)) == [["package.first", "package.inner.third"]]
    else:
        assert circles(graph_of(package)) == [["package.first", "package.second"]]


def test_a_module_that_two_others_import_is_no_circle(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from .first import x\nfrom .second import y")
    (package / "first.py").write_text("import package.third")
    (package / "second.py").write_text("from .third import y\nimport os.path")
    (package / "third.py").write_text("")
    assert circles(graph_of(package)) == []
    assert graph_of(package)["package"] == {"package.first", "package.second"}
