"""Finds attributes that the parameters of a rule do not have, such as ``tx.mailfrom`` and ``headers.ad()``.

The phase of a rule determines the class of each parameter, and the annotations of these classes determine the
classes of their attributes. Uncertain cases are not reported: a parameter that the function assigns, an
attribute that the file sets or uses by name, a place where AttributeError is caught.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Final, TypeAlias, Union

import attrs

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.names import did_you_mean
from sansio_smtp.rules import connection, headers, message, views
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import on, threaded
from sansio_smtp.rules.headers import Field, Headers
from sansio_smtp.rules.message import Message
from sansio_smtp.rules.phases import PhaseInfo
from sansio_smtp.rules.views import (
    AuthAttempt,
    ClientCommand,
    Recipient,
    Sender,
    ServerReply,
    Transaction,
)
from sansio_smtp.sasl_client import LoginAttempt

from .source import Definition, Source
from .verdict_types import annotation_of

__all__ = [
    "PARAMETERS",
    "Kind",
    "assigned",
    "keeps_parameters",
    "kind_of",
    "kinds_of_parameters",
    "outside_of_guards",
    "set_or_asked_for",
    "unknown_attributes",
]

Kind: TypeAlias = type[Any]

PARAMETERS: Final[dict[str, Kind]] = {
    "conn": Connection,
    "name": str,
    "attempt": AuthAttempt,
    "tx": Transaction,
    "sender": Sender,
    "to": Recipient,
    "headers": Headers,
    "line": bytes,
    "chunk": bytes,
    "msg": Message,
    "command": ClientCommand,
    "cmd": ClientCommand,
    "answer": ServerReply,
    "results": tuple,
}
"""The class of each parameter of a phase, by the name that `PhaseInfo` gives it."""
_OTHERWISE: Final[dict[tuple[str, str], Kind]] = {("login", "attempt"): LoginAttempt}
"""Phase and parameter → its class, if it differs from that."""
_OF_TEXT: Final = ("endswith", "startswith", "lower", "split", "strip", "partition")
_MEANT: Final[dict[tuple[Kind, str], str]] = {
    **dict.fromkeys(((Recipient, name) for name in _OF_TEXT), "; the address as a text is to.address"),
    **dict.fromkeys(((Sender, name) for name in _OF_TEXT), "; the address as a text is sender.address"),
    (Message, "subject"): '; write msg.headers.get("Subject", "")',
    (Message, "sender"): '; the sender is tx.mail_from, the field From is msg.headers.get("From")',
    (Message, "text"): "; the body is msg.body, in octets; msg.parsed() takes a message apart",
    (Message, "get"): '; write msg.headers.get("Subject")',
    (Message, "as_bytes"): "; all octets are msg.raw",
}
"""Class and attribute → what to write in place of an attribute that people expect."""
_NAMES: Final = {**vars(message), **vars(headers), **vars(connection), **vars(views)}
_KNOWN: Final = frozenset((*PARAMETERS.values(), *_OTHERWISE.values(), Field, TlsInfo))


def unknown_attributes(
    source: Source, function: Definition, phase: PhaseInfo, *, takes_self: bool
) -> Iterator[tuple[int, str]]:
    """Line and text for each attribute that does not exist. ``takes_self``: see `Found`."""
    if not all(keeps_parameters(source, each) for each in function.decorator_list):
        return
    kinds = kinds_of_parameters(function, phase, takes_self=takes_self)
    excused = set_or_asked_for(source.tree)
    for node in outside_of_guards(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr not in excused:
            kind = kind_of(node.value, kinds)
            if kind is not None and node.attr not in (has := _attributes(kind)):
                public = [each for each in has if not each.startswith("_")]
                what = kind.__name__
                hint = _MEANT.get((kind, node.attr)) or did_you_mean(node.attr, public)
                yield (
                    node.lineno,
                    f"{ast.unparse(node)}: a {what} has no {node.attr}{hint}",
                )


def kinds_of_parameters(function: Definition, phase: PhaseInfo, *, takes_self: bool) -> dict[str, Kind]:
    """Name → class of the parameters that the function does not assign."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)][takes_self:]
    return {
        name: _OTHERWISE.get((phase.name, parameter), PARAMETERS[parameter])
        for name, parameter in zip(names, phase.parameters, strict=False)
        if name not in assigned(function)
    }


def keeps_parameters(source: Source, decorator: ast.expr) -> bool:
    """Returns True for decorators of the rules API. Others may call the function with other arguments."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return any(source.meaning(called) is known for known in (on, threaded))


def kind_of(node: ast.expr, kinds: dict[str, Kind]) -> Kind | None:
    """The class of ``name`` or ``name.attribute``, if it is certain."""
    if isinstance(node, ast.Name):
        return kinds.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := kind_of(node.value, kinds)) is not None:
        return _HINTS[owner].get(node.attr)
    return None


def _attributes(kind: Kind) -> frozenset[str]:
    fields = attrs.fields_dict(kind) if attrs.has(kind) else {}
    return frozenset((*dir(kind), *fields))


def _all_hints(kind: Kind) -> dict[str, Kind]:
    """Attribute → its class, if it is a class that rules get."""
    found: dict[str, Any] = {}
    for above in kind.__mro__:
        for name, annotation in vars(above).get("__annotations__", {}).items():
            # Only this annotation: others may use names that exist only for type checkers.
            carrier = SimpleNamespace(__annotations__={"return": annotation}, __globals__=_NAMES)
            found.setdefault(name, _only(annotation_of(carrier)))
        for name, value in vars(above).items():
            if isinstance(value, property):
                found.setdefault(name, _only(annotation_of(value.fget)))
    return {name: each for name, each in found.items() if each in _KNOWN}


def _only(hint: Any) -> Any:
    """``X`` for ``X | None``; other annotations unchanged."""
    if typing.get_origin(hint) in (Union, UnionType):
        members = [each for each in typing.get_args(hint) if each is not NoneType]
        return members[0] if len(members) == 1 else hint
    return hint


def assigned(function: Definition) -> set[str]:
    """The names that the function binds, besides its own parameters."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            found.update(node.names)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.update([node.name] * (node is not function))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            found.add(node.name or "")
        elif isinstance(node, ast.MatchMapping):
            found.add(node.rest or "")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and node is not function:
            found.update(each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg))
    return found


def set_or_asked_for(tree: ast.Module) -> frozenset[str]:
    """The attributes that the file sets, and all texts in it, which may be names for ``hasattr`` and
    ``setattr``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return frozenset(found)


def outside_of_guards(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below this one, without the nodes in a ``try`` that catches AttributeError."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) and any(map(_catches_attribute_error, child.handlers)):
            rest = (*child.handlers, *child.orelse, *child.finalbody)
            for each in rest:
                yield from outside_of_guards(each)
        else:
            yield from outside_of_guards(child)


def _catches_attribute_error(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or "AttributeError" in ast.unparse(handler.type)


_HINTS: Final = {kind: _all_hints(kind) for kind in _KNOWN}
