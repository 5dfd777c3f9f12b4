"""The syntax tree of a rule file: the lines of its names, and the objects that they name after execution."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final, TypeAlias, TypeGuard

from sansio_smtp.rules.decorators import Mark, marks_of, on
from sansio_smtp.rules.phases import PHASES

__all__ = ["UNKNOWN", "Definition", "Source", "is_definition", "marks_on", "wrong_definitions"]

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

UNKNOWN: Final = object()
"""A placeholder for a value that is not known before the program runs."""


class Source:
    """The syntax tree of a file with its names. Raises SyntaxError."""

    def __init__(self, text: str | bytes, namespace: Mapping[str, Any]) -> None:
        self.tree = ast.parse(text)
        self._namespace = namespace
        self._hidden = _local_names(self.tree)
        self._definitions = {_first_line(node): node for node in ast.walk(self.tree) if is_definition(node)}

    def definition(self, name: str, first_line: int) -> Definition | None:
        """The function that begins at this line, including its decorators."""
        node = self._definitions.get(first_line)
        return node if node is not None and node.name == name else None

    def meaning(self, node: ast.expr) -> Any:
        """The object that ``name`` or ``module.name`` refers to, or `UNKNOWN`."""
        if isinstance(node, ast.Name):
            return UNKNOWN if node.id in self._hidden else self._namespace.get(node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            owner = self.meaning(node.value)
            return vars(owner).get(node.attr, UNKNOWN) if isinstance(owner, ModuleType) else UNKNOWN
        return UNKNOWN

    def line_of(self, name: str) -> int:
        """The line of the last assignment to a name of the file; 0 if there is none."""
        node = self._assignment(name)
        return node.lineno if node is not None else 0

    def line_of_item(self, name: str, number: int, length: int) -> int:
        """The line of an item in a list of this length; the line of the list if its items are not written
        there."""
        node = self._assignment(name)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.List | ast.Tuple) and len(value.elts) == length:
            return value.elts[number].lineno
        return self.line_of(name)

    def _assignment(self, name: str) -> ast.stmt | None:
        found = None
        for node in self.tree.body:
            if name in _names_given(node):
                found = node
        return found


def wrong_definitions(source: Source, namespace: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Line and text for each rule that a later definition replaces, in the file and in its classes."""
    yield from _lost(source, source.tree.body, namespace)
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            cls = namespace.get(node.name)
            yield from _lost(source, node.body, vars(cls) if isinstance(cls, type) else {})


def is_definition(node: ast.AST) -> TypeGuard[Definition]:
    """Returns True if the node defines a function."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def marks_on(raw: object) -> tuple[Mark, ...]:
    """The marks that ``@on`` has put on a function, also on a static method or a class method."""
    return marks_of(raw) or marks_of(getattr(raw, "__func__", raw))


def _lost(source: Source, body: list[ast.stmt], names: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    written: dict[str, list[Definition]] = {}
    for node in filter(is_definition, body):
        written.setdefault(node.name, []).append(node)
    for name, nodes in written.items():
        marked = [node for node in nodes if _is_marked(source, node)]
        if len(nodes) > 1 and (marked or name in PHASES):
            phase = name if name in PHASES else "rcpt"
            yield (
                nodes[-1].lineno,
                f"{name}() is defined twice; the one in line {nodes[-2].lineno} would never be asked. "
                f'Give each its own name, and write @on("{phase}") before it',
            )
        elif marked and name in names and not marks_on(names[name]):
            yield nodes[0].lineno, f"{name}(): the decorator above @on hides it; write @on above the other"


def _is_marked(source: Source, node: Definition) -> bool:
    calls = (each.func for each in node.decorator_list if isinstance(each, ast.Call))
    return any(source.meaning(function) is on for function in calls)


def _names_given(node: ast.stmt) -> Iterator[str]:
    if is_definition(node) or isinstance(node, ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            names = (each for each in ast.walk(target) if isinstance(each, ast.Name))
            yield from (each.id for each in names if isinstance(each.ctx, ast.Store))
    elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _local_names(tree: ast.Module) -> frozenset[str]:
    """The names that some function assigns: inside it they differ from the module's names."""
    found: set[str] = set()
    for function in ast.walk(tree):
        if is_definition(function) or isinstance(function, ast.Lambda):
            for node in ast.walk(function):
                if node is not function:
                    found.update(_names_taken(node))
    return frozenset(found)


def _names_taken(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif is_definition(node) or isinstance(node, ast.ClassDef):
        yield node.name
