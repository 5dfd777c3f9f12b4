"""Finds attributes that a rule class does not have, such as ``self.domians``.

A class has what it and its base classes define, its fields, and what the file sets on any object. Uncertain
cases are not reported: a base class of another file, a class with ``__getattr__``, attributes that are set by
names that only the running program knows, and an object that is given to other code, which may set them.
"""

from __future__ import annotations

import ast
from abc import ABC, ABCMeta
from collections.abc import Iterator
from typing import Final, Generic, TypeGuard

import attrs

from sansio_smtp.names import did_you_mean

from .attributes import assigned, outside_of_guards, set_or_asked_for
from .source import Definition, Source, is_definition

__all__ = ["unknown_on_self"]

_PLAIN: Final = (object, ABC, Generic)
"""Base classes that set no attributes of their own."""
_SELF: Final = "self"
_SETTERS: Final = ("setattr", "vars", "exec", "__dict__", "__setattr__")
"""What sets attributes whose names are not in the text of the file."""
_ONLY_LOOK: Final = ("getattr", "hasattr", "hash", "id", "isinstance", "repr", "str", "type")
"""Functions that may be given the object: they set nothing."""


def unknown_on_self(source: Source, cls: type, entry: object) -> Iterator[tuple[int, str]]:
    """Line and text for each attribute of ``self`` that does not exist. ``entry`` is the class, or an
    instance of it."""
    classes = [above for above in cls.__mro__ if above not in _PLAIN]
    nodes = [node for above in classes for node in _definitions(source, above) if _is_of(above, cls)]
    if len(nodes) != len(classes) or _may_get_more(source, cls, nodes):
        return
    has = {*_names(cls, nodes), *getattr(entry, "__dict__", ())}
    known = has | set_or_asked_for(source.tree)
    for node, method in _methods(nodes):
        if _SELF in assigned(method):
            continue
        for each in outside_of_guards(method):
            if _is_own(each) and not each.attr.startswith("__") and each.attr not in known:
                hint = did_you_mean(each.attr, [name for name in has if not name.startswith("__")])
                yield each.lineno, f"self.{each.attr}: a {node.name} has no {each.attr}{hint}"


def _definitions(source: Source, cls: type) -> list[ast.ClassDef]:
    """The only definition of this name in the file; empty if there are more."""
    found = [
        node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return found if len(found) == 1 else []


def _is_of(above: type, cls: type) -> bool:
    return above.__module__ == cls.__module__


def _may_get_more(source: Source, cls: type, nodes: list[ast.ClassDef]) -> bool:
    """Returns True if an instance may have attributes that cannot be read in the file."""
    asked = any(
        "__getattr__" in vars(above) or "__getattribute__" in vars(above) for above in cls.__mro__[:-1]
    )
    return (
        asked
        or type(cls) not in (type, ABCMeta)
        or any(map(_sets_unseen, ast.walk(source.tree)))
        or any(_is_given(method) for _, method in _methods(nodes))
    )


def _sets_unseen(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id in _SETTERS) or (
        isinstance(node, ast.Attribute) and node.attr in _SETTERS
    )


def _is_given(method: Definition) -> bool:
    """Returns True if other code may get ``self``."""
    harmless: set[int] = set()
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute):
            harmless.add(id(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ONLY_LOOK:
            harmless.update(map(id, node.args))
    names = (node for node in ast.walk(method) if isinstance(node, ast.Name) and node.id == _SELF)
    return any(id(node) not in harmless for node in names)


def _methods(nodes: list[ast.ClassDef]) -> Iterator[tuple[ast.ClassDef, Definition]]:
    """The methods whose first parameter is ``self``, each with its class."""
    for node in nodes:
        for method in filter(is_definition, node.body):
            parameters = (*method.args.posonlyargs, *method.args.args)
            if parameters and parameters[0].arg == _SELF:
                yield node, method


def _names(cls: type, nodes: list[ast.ClassDef]) -> Iterator[str]:
    for above in cls.__mro__:
        yield from vars(above)
    if attrs.has(cls):
        yield from attrs.fields_dict(cls)
    for node in nodes:
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                yield each.target.id


def _is_own(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == _SELF
    )
