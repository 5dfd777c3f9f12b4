"""Finds names that a rule file uses in its functions and never defines, such as ``Rejekt``.

Python looks up a global name only when the function runs, so when mail comes. The file has already been
executed, so its namespace says which names exist. A name is reported only if nothing could define it later:

=====================================  ==================================================
the file                               then
=====================================  ==================================================
binds the name somewhere, also in an   the name is never reported: the rest may depend on
``if``, a ``try``, by ``del``          it, and the file may define it again
or by ``global``
mentions ``globals``, ``exec``, …      no name is reported: names may be made of texts
uses the name where ``NameError`` is   that use is not reported
caught, or under ``TYPE_CHECKING``
=====================================  ==================================================

The names come from the compiled code: the compiler knows scopes, and leaves out annotations that are not
evaluated.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
from collections.abc import Collection, Iterator, Mapping
from types import CodeType
from typing import Any, Final

from sansio_smtp.names import did_you_mean

__all__ = ["undefined_names"]

_DYNAMIC: Final = frozenset(("globals", "exec", "eval", "vars", "locals", "__dict__", "f_globals"))
"""If the file mentions one of these names, it may define names that are not written in it."""
_LOADS: Final = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_BINDINGS: Final = frozenset(("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_CONDITIONS: Final = frozenset(("TYPE_CHECKING",))
_FOR_TYPE_CHECKERS: Final = ("reveal_type", "reveal_locals")
_ANNOTATIONS: Final = "__annotate__"
"""The function that Python 3.14 makes of annotations; it runs only when they are read."""


def undefined_names(
    source: str | bytes, namespace: Mapping[str, Any], known: Collection[str]
) -> Iterator[tuple[int, str]]:
    """Line and text for each use of a name that nothing defines. Raises SyntaxError.

    ``known`` are the names of the rules API, which are suggested even if the file imports none of them.
    """
    tree = ast.parse(source)
    code = compile(source, "<rules>", "exec", dont_inherit=True)
    if _is_dynamic(code) or any(map(_may_import_anything, tree.body)):
        return
    defined = {*namespace, *dir(builtins), *_bound(code), *_FOR_TYPE_CHECKERS}
    excused = frozenset(_excused_lines(tree))
    for function in _functions(code):
        for name, line in _global_loads(function):
            if name not in defined and line not in excused:
                yield line, f"{name} is not defined{_hint(name, namespace, known)}"


def _hint(name: str, namespace: Mapping[str, Any], known: Collection[str]) -> str:
    if name in known:
        return f"; write from sansio_smtp.rules import {name}"
    mine = [each for each in namespace if not each.startswith("__")]
    return did_you_mean(name, (*mine, *known)) or did_you_mean(name, dir(builtins))


def _functions(code: CodeType, *, runs_later: bool = False) -> Iterator[CodeType]:
    """The code that runs after the file was executed: each function, and everything defined inside one."""
    for inner in _inside(code):
        if inner.co_name != _ANNOTATIONS:
            later = runs_later or bool(inner.co_flags & inspect.CO_OPTIMIZED)
            if later:
                yield inner
            yield from _functions(inner, runs_later=later)


def _inside(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _everything(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in _inside(code):
        yield from _everything(inner)


def _global_loads(code: CodeType) -> Iterator[tuple[str, int]]:
    """Each name that is looked up outside this code and the code around it, with its line."""
    own = _stored(code)  # the names in the body of a class
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in _LOADS and name not in own and not name.startswith("__"):
            place = instruction.positions
            yield name, (place.lineno if place else None) or code.co_firstlineno


def _stored(code: CodeType) -> frozenset[str]:
    found = (each.argval for each in dis.get_instructions(code) if each.opname in _BINDINGS)
    return frozenset(found)


def _bound(code: CodeType) -> frozenset[str]:
    """The names that the module binds or deletes in any branch, and those that functions declare global and
    bind."""
    inner = (
        each.argval
        for function in _everything(code)
        for each in dis.get_instructions(function)
        if each.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
    )
    return _stored(code) | frozenset(inner)


def _is_dynamic(code: CodeType) -> bool:
    mentioned = {name for each in _everything(code) for name in each.co_names}
    return not mentioned.isdisjoint(_DYNAMIC)


def _may_import_anything(node: ast.stmt) -> bool:
    """Returns True for a statement in which ``from x import *`` may have been left out."""
    inner = (each for each in ast.walk(node) if each is not node)
    return any(isinstance(each, ast.ImportFrom) and each.names[0].name == "*" for each in inner)


def _excused_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            excused = any(map(_catches_name_error, node.handlers))
        else:
            excused = isinstance(node, ast.If) and bool(_names_in(node.test) & _CONDITIONS)
        if excused and isinstance(node, ast.Try | ast.If):
            yield from range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1)


def _catches_name_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or "NameError" in _names_in(handler.type)


def _names_in(node: ast.expr) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
