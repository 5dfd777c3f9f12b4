"""Each object is changed by its own methods: no module assigns an attribute of another module's object.

Two looks at the same rule. The static one reads the source: what is assigned, deleted, or changed by a method
of list, set or dict must belong to ``self`` or to an object of a class of the same module. The dynamic one
plays all dialogue scripts and sees who sets the attributes of the core.
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

import sansio_smtp
from sansio_smtp.testing import parse, play

ROOT = Path(sansio_smtp.__file__).parent.parent
MUTATORS = {
    *("append", "extend", "insert", "remove", "clear", "pop", "popleft", "popitem", "appendleft"),
    *("add", "discard", "update", "setdefault", "sort", "reverse", "move_to_end"),
}
"""Methods of lists, deques, sets and dicts that change them."""

BY_DESIGN = [
    (r"(.*scope|silence)\.(deadline|shield)", "a cancel scope of Trio is moved by assignment"),
    (r"sys\..*|module\.__file__", "what Python keeps of modules can be changed in no other way"),
    (r"carrier\.__annotations__", "a function that is made to be asked for its annotations"),
    (
        r"msg\.body|msg\.headers\.remove|tx\.data(\[key\]|\.get\(_Others\)\.addresses\.append)",
        "the API of rules",
    ),
]
"""What looks like such an assignment, and why it is none or must be."""

# The static look


def findings(source: str) -> list[str]:
    """What a module changes of objects that are not its own, one line each."""
    tree = ast.parse(source)
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return sorted(_findings(tree, classes, {}), key=lambda line: int(line.partition(":")[0]))


def _findings(node: ast.AST, classes: set[str], own: dict[str, bool]) -> Iterator[str]:
    """``own``: for each name whether it holds an object of this module."""
    for child in ast.iter_child_nodes(node):
        inner = own
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = own | _names(child, classes)
        elif isinstance(child, ast.ClassDef):
            fields = [node for node in child.body if isinstance(node, ast.AnnAssign)]
            inner = own | {f"self.{ast.unparse(f.target)}": _is_own(f.annotation, classes) for f in fields}
        for target, what in _changed(child):
            owner = _owner(target)
            if owner is not None and not inner.get(owner, owner in ("self", "cls")):
                yield f"{child.lineno}: {what}"  # type: ignore[attr-defined]
        yield from _findings(child, classes, inner)


def _names(
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, classes: set[str]
) -> dict[str, bool]:
    """The parameters and variables of a function: whether each is said to be, or made as, one of our own."""
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


def _changed(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """The objects of which a statement or call changes something, and its words."""
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
        elif isinstance(target, ast.Attribute) or _is_item_of_attribute(target):
            yield target, ast.unparse(target)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in MUTATORS
        and isinstance(node.func.value, ast.Attribute)
    ):
        yield node.func.value, ast.unparse(node.func)


def _is_item_of_attribute(target: ast.expr) -> bool:
    while isinstance(target, ast.Subscript):
        target = target.value
        if isinstance(target, ast.Attribute):
            return True
    return False


def _owner(target: ast.expr) -> str | None:
    """The name of the object that has the attribute: ``x`` in ``x.y``; ``self.x`` in ``self.x.y``."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return ast.unparse(target.value) if isinstance(target, ast.Attribute) else None


FOLDERS = sorted(
    {
        path.relative_to(ROOT).parent.as_posix()
        for package in ("sansio_smtp", "trio_proxy")
        for path in (ROOT / package).rglob("*.py")
    }
)


LEFT: dict[str, str] = {
    "sansio_smtp/rules": "a loop over stages of the same module, which the static look cannot see",
    "sansio_smtp/testing": "a player and a session fill in what they compare and tell",
    "trio_proxy/rulebook": "a host fills in calls, a reload the generations of rules",
    "trio_proxy/services": "a milter's edits are completed in the client",
    "trio_proxy/trial": "a trial is filled in by those who run it",
}
"""Where something is left to do, and what."""


def marked(folder: str) -> Any:
    reason = LEFT.get(folder)
    return pytest.param(folder, marks=pytest.mark.xfail(reason=reason, strict=True)) if reason else folder


@pytest.mark.parametrize("folder", [marked(folder) for folder in FOLDERS])
def test_no_module_changes_the_objects_of_another(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{finding}"
        for path in sorted((ROOT / folder).glob("*.py"))
        for finding in findings(path.read_text(encoding="utf-8"))
        if not any(re.fullmatch(pattern, finding.partition(": ")[2]) for pattern, _ in BY_DESIGN)
    ]
    assert found == []


OWN = "class Own:\n    other: Own\n    far: Far\n"


@pytest.mark.parametrize(
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
    ],
)
def test_the_static_look(source: str, is_found: bool) -> None:
    assert bool(findings(OWN + source)) is is_found


# The dynamic look


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
    """Notes who sets an attribute of such an object from outside."""
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
