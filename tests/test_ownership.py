"""Only an object's own methods change it: no module assigns an attribute of another module's object. Two
tests check this rule. The static test reads the source: attributes that are assigned, deleted, or changed by
a method of list, set or dict must belong to ``self`` or to an object of a class in the same module. The
dynamic test plays all dialogue scripts and notices which code sets attributes of the core.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from each import each

import sansio_smtp
from sansio_smtp.testing import parse, play

ROOT = Path(sansio_smtp.__file__).parent.parent
MUTATORS = {
    *("append", "extend", "insert", "remove", "clear", "pop", "popleft", "popitem", "appendleft"),
    *("add", "discard", "update", "setdefault", "sort", "reverse", "move_to_end"),
}
"""Methods of lists, deques, sets and dicts that change them."""

BY_DESIGN = {
    r"(.*scope|silence)\.(deadline|shield)": "a cancel scope of Trio is moved by assignment",
    r"(.*context)\.(options|minimum_version|verify_mode|check_hostname)|tls\.context": (
        "the contexts of ssl are configured by assignment, and a connection gets another one so"
    ),
    r"context\.(sni_callback|sslobject_class)|self\.context\.sni_callback": "and so is who hears of names",
    r"sys\.std(out|err)": "the executable has its own, which never fail and never wait",
    r"logging\.logAsyncioTasks": "the standard library is told by assignment what no record needs",
    r"sys\.unraisablehook": "Python asks there what to do with an error that cannot be raised",
    r"sys\.(modules.*|path\.append|dont_write_bytecode)": "Python keeps its modules there",
    r"os\.environ\.pop": "children of a process inherit its variables, and one is for this process alone",
    r"module\.__file__": "a module that is made by hand gets its file by assignment",
    r"msg\.body": "rules replace the body of a message by assignment",
    r"msg\.headers\.remove|fields\.add": "methods of the header section, not of a list or set",
    r"request\.node\.stash\[_STARTER\]|report\.sections": "pytest gives these to plugins to be filled",
    r"tx\.data\[key\]": "a place where rules keep what they know of a transaction",
}
"""Exceptions: an expression that looks like such an assignment → why it is none, or is necessary."""

# The static test


def findings(source: str) -> list[str]:
    """The changes of other modules' objects in a source text, one line for each."""
    tree = ast.parse(source)
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return sorted(_findings(tree, classes, {}, {}), key=lambda line: int(line.partition(":")[0]))


def _findings(
    node: ast.AST, classes: set[str], own: dict[str, bool], aliases: dict[str, ast.Attribute]
) -> Iterator[str]:
    """``own``: name → True if it holds an object of this module. ``aliases``: name → the attribute whose
    value it holds."""
    for child in ast.iter_child_nodes(node):
        inner = own
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = own | _names(child, classes)
            aliases = aliases | _aliases(child)
        elif isinstance(child, ast.ClassDef):
            fields = [node for node in child.body if isinstance(node, ast.AnnAssign)]
            inner = own | {f"self.{ast.unparse(f.target)}": _is_own(f.annotation, classes) for f in fields}
        for target, what in _changed(child, aliases):
            owner = _owner(target)
            if not inner.get(owner, owner in ("self", "cls")):
                yield f"{child.lineno}: {what}"  # type: ignore[attr-defined]
        yield from _findings(child, classes, inner, aliases)


def _names(
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, classes: set[str]
) -> dict[str, bool]:
    """The parameters and variables of a function → True if annotated or made as an object of this module."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = {a.arg: _is_own(a.annotation, classes) or a.arg in ("self", "cls") for a in parameters}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            made = isinstance(node.value, ast.Call) and _makes_own(node.value.func, classes)
            names |= {target.id: made for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = _is_own(node.annotation, classes)
    return names


def _aliases(function: ast.AST) -> dict[str, ast.Attribute]:
    """Finds names such as ``x`` in ``x = a.y``: a change of the list ``x`` changes ``a``."""
    pairs = [
        pair
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        for pair in _pairs(target, node.value)
    ]
    return {
        target.id: value
        for target, value in pairs
        if isinstance(target, ast.Name) and isinstance(value, ast.Attribute)
    }


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=False)
    else:
        yield target, value


def _makes_own(function: ast.expr, classes: set[str]) -> bool:
    return ast.unparse(function) in ("cls", "type(self)") or _is_own(function, classes)


def _is_own(node: ast.AST | None, classes: set[str]) -> bool:
    """Returns True for ``Own``, ``Own[T]``, ``Own | None`` and ``Own.make``."""
    if isinstance(node, ast.BinOp):
        sides = [side for side in (node.left, node.right) if ast.unparse(side) != "None"]
        return all(_is_own(side, classes) for side in sides)
    if isinstance(node, ast.Subscript | ast.Attribute):
        return _is_own(node.value, classes)
    return isinstance(node, ast.Name) and node.id in classes


def _changed(node: ast.AST, aliases: dict[str, ast.Attribute]) -> Iterator[tuple[ast.Attribute, str]]:
    """The attributes that a statement or call changes, and its text."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.AsyncFor):
        targets = [node.target]
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Tuple | ast.List):
            targets += target.elts
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
        elif isinstance(target, ast.Attribute):
            yield target, ast.unparse(target)
        elif isinstance(target, ast.Subscript) and (attribute := _attribute(target, aliases)):
            yield attribute, ast.unparse(target)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in MUTATORS
        and (attribute := _attribute(node.func.value, aliases))
    ):
        yield attribute, ast.unparse(node.func)


def _attribute(node: ast.expr, aliases: dict[str, ast.Attribute]) -> ast.Attribute | None:
    """The attribute ``x.y`` in ``x.y[0]``, or in ``z[0]`` after ``z = x.y``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    return node if isinstance(node, ast.Attribute) else None


def _owner(target: ast.Attribute) -> str:
    """The name of the object that has the attribute: ``x`` in ``x.y``; ``self.x`` in ``self.x.y``."""
    return ast.unparse(target.value)


FOLDERS = sorted(
    {
        path.relative_to(ROOT).parent.as_posix()
        for package in ("sansio_smtp", "trio_proxy")
        for path in (ROOT / package).rglob("*.py")
    }
)


def findings_in(folder: str) -> list[tuple[str, str]]:
    """For each finding of the static test: the module with the line, and the changed attribute."""
    return [
        (f"{path.relative_to(ROOT)}:{line}", what)
        for path in sorted((ROOT / folder).glob("*.py"))
        for line, _, what in (each.partition(": ") for each in findings(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_changes_the_objects_of_another(folder: str) -> None:
    found = findings_in(folder)
    assert [each for each in found if not any(re.fullmatch(known, each[1]) for known in BY_DESIGN)] == []


@pytest.mark.slow
def test_every_exception_is_needed() -> None:
    found = {what for folder in FOLDERS for _, what in findings_in(folder)}
    assert [known for known in BY_DESIGN if not any(re.fullmatch(known, what) for what in found)] == []


OWN = "class Own:\n    other: Own\n    far: Far\n"


@each(
    ("source", "is_found"),
    [
        ("def f(x):\n    x.y = 1", True),
        ("def f(x):\n    x.y += 1", True),
        ("def f(x):\n    x.y: int = 1", True),
        ("def f(x):\n    del x.y", True),
        ("def f(x):\n    x.y[0] = 1", True),
        ("def f(x):\n    del x.y[0][1:]", True),
        ("def f(x):\n    a, (x.y, *b) = 1", True),
        ("def f(x):\n    for x.y in (): pass", True),
        ("def f(x):\n    x.y.append(1)", True),
        ("def f(x):\n    x.y.z.clear()", True),
        ("def f(x):\n    x.y[0].append(1)", True),
        ("def f(x):\n    y = x.y\n    y.append(1)", True),
        ("def f(x):\n    y, z = x.y, 1\n    del y[0]", True),
        ("def f(x):\n    def g():\n        y[0] = 1\n    y = x.y", True),
        ("def f(x: Far):\n    x.y = 1", True),
        ("def f(x: Own | Far):\n    x.y = 1", True),
        ("x = lambda x: x.y.pop()", True),
        ("class A:\n    def f(self):\n        self.x.y = 1", True),
        ("class A:\n    def f(self):\n        self.x.y.append(1)", True),
        ("class A(Own):\n    far: Far\n    def f(self):\n        self.far.y = 1", True),
        ("def f():\n    x = Far()\n    x.y = 1", True),
        (
            "class A:\n    def f(self):\n        self.y = 1\n        self.z.append(2)\n        del self.z[0]",
            False,
        ),
        ("class A:\n    other: Own\n    def f(self):\n        self.other.y = 1", False),
        ("class A:\n    @classmethod\n    def f(cls):\n        a = cls()\n        a.y = 1", False),
        ("def f(x: Own):\n    x.y = 1", False),
        ("def f(x: Own | None):\n    x.y.append(1)", False),
        ("def f():\n    x = Own()\n    x.y = 1", False),
        ("def f():\n    x: Own = g()\n    x.y = 1", False),
        ("def f(x):\n    x.append(1)\n    x[0] = 1\n    y = x.y", False),
        ("class A:\n    def f(self):\n        y = self.y\n        y.append(1)\n        del y[0]", False),
        ("def f(x: Own):\n    y = x.y\n    y[0] = 1", False),
        ("def f(x):\n    y = x.y()\n    y.append(1)\n    y = [*x.y]\n    del y[0]", False),
    ],
)
def test_the_static_look(source: str, is_found: bool) -> None:
    assert bool(findings(OWN + source)) is is_found


# The dynamic test


def classes_of(package: Any) -> list[type]:
    """The classes that a package defines."""
    modules = [
        importlib.import_module(name)
        for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]


def watch(kind: type, found: set[str], patch: pytest.MonkeyPatch) -> None:
    """Records the code that sets an attribute of such an object from outside."""
    original: Callable[[Any, str, Any], None] = kind.__setattr__

    def setattr_(self: Any, name: str, value: Any) -> None:
        frame = sys._getframe(1)
        module = frame.f_globals.get("__name__")
        generated = frame.f_code.co_filename.startswith("<attrs")
        between = frame.f_code.co_name == "setattr_"  # the class below this one is watched too
        if not generated and not between and module not in {base.__module__ for base in type(self).__mro__}:
            found.add(f"{module}: {type(self).__name__}.{name}")
        original(self, name, value)

    patch.setattr(kind, "__setattr__", setattr_)


WATCHED = [kind for kind in classes_of(sansio_smtp) if ".testing" not in kind.__module__]


def test_the_dynamic_look(monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = sansio_smtp.Envelope()
    found: set[str] = set()
    with monkeypatch.context() as patch:
        watch(sansio_smtp.Envelope, found, patch)
        sansio_smtp.Envelope(None)
        assert not found
        envelope.mail = None
        assert found == {f"{__name__}: Envelope.mail"}
        found.clear()
    envelope.mail = None
    assert not found, "undone"


@pytest.mark.slow
def test_nobody_sets_attributes_of_others_in_any_dialogue(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = sorted((ROOT / "tests" / "dialogues").glob("*.txt"))
    found: set[str] = set()
    with monkeypatch.context() as patch:
        for kind in WATCHED:
            watch(kind, found, patch)
        for file in scripts:
            play(parse(file.read_text(encoding="utf-8"), file.name))
    assert len(scripts) > 200
    assert sorted(found) == []
