"""Finds comparisons that nothing fits, such as ``to == "boss@example.com"``: a path equals no text.

Addresses are in their normal form, so a text whose domain has capitals equals none either. The body and its
lines are octets: they equal no text, and to look for a text in them fails. Uncertain cases are not reported:
a parameter that the function assigns, a value that is known only when the rule is asked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from sansio_smtp.rules.phases import PhaseInfo
from sansio_smtp.rules.views import Recipient, Sender, Transaction

from .attributes import Kind, keeps_parameters, kind_of, kinds_of_parameters
from .source import Definition, Source

__all__ = ["wrong_comparisons"]

_PATHS: Final = (Sender, Recipient)
_WITH_DOMAIN: Final = ("address", "domain")
"""The attributes of a path that hold the domain, which is in lower case there."""
_SIGNS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_COLLECTIONS: Final = (list, tuple, set, frozenset, dict)
_AMONG: Final = (ast.In, ast.NotIn)
_NEGATED: Final = (ast.NotEq, ast.NotIn)


def wrong_comparisons(
    source: Source, function: Definition, phase: PhaseInfo, *, takes_self: bool
) -> Iterator[tuple[int, str]]:
    """Line and text for each comparison that has always the same result. ``takes_self``: see `Found`."""
    if not all(keeps_parameters(source, each) for each in function.decorator_list):
        return
    kinds = kinds_of_parameters(function, phase, takes_self=takes_self)
    kinds |= _recipients_of_loops(function, kinds)
    for node in ast.walk(function):
        if isinstance(node, ast.Compare):
            for (left, right), operator in zip(
                pairwise((node.left, *node.comparators)), node.ops, strict=True
            ):
                if problem := _problem(source, kinds, left, operator, right):
                    yield node.lineno, problem


def _problem(
    source: Source, kinds: dict[str, Kind], left: ast.expr, operator: ast.cmpop, right: ast.expr
) -> str:
    sign = _SIGNS.get(type(operator), "")
    if not sign:
        return ""
    among = isinstance(operator, _AMONG)
    if among and _is_recipients(right, kinds):
        return _in_recipients(source, left, operator, right)
    if octets := _octets_and_text(source, kinds, left, operator, right):
        return octets
    sides = (ast.unparse(left), ast.unparse(right))
    for place, (path, other) in enumerate([(left, right)] if among else [(left, right), (right, left)]):
        texts = _texts(source, other, among=among)
        if texts and (kind := _path_kind(path, kinds)) is not None:
            meant = [f"{each}.address" if number == place else each for number, each in enumerate(sides)]
            return (
                f"{f' {sign} '.join(sides)} is always {isinstance(operator, _NEGATED)}: "
                f"a {kind.__name__} is no text; write {f' {sign} '.join(meant)}"
            )
        if isinstance(path, ast.Attribute) and path.attr in _WITH_DOMAIN and _path_kind(path.value, kinds):
            for text in texts:
                if (normal := _with_lower_domain(text, path.attr)) != text:
                    return (
                        f'{ast.unparse(path)} is never "{text}": domains are in lower case; write "{normal}"'
                    )
    return ""


def _octets_and_text(
    source: Source, kinds: dict[str, Kind], left: ast.expr, operator: ast.cmpop, right: ast.expr
) -> str:
    """What is wrong if one side is octets, such as a line of the body, and the other a text."""
    sides = [left, right]
    for number, side in enumerate(sides):
        other = sides[1 - number]
        if kind_of(side, kinds) is not bytes or not _texts(source, other, among=False):
            continue
        among = isinstance(operator, _AMONG)
        if among and side is left:
            continue  # to look for octets in a text fails too, but what is meant is not certain
        sign = f" {_SIGNS[type(operator)]} "
        result = "fails" if among else f"is always {isinstance(operator, _NEGATED)}"
        meant = sign.join(_as_octets(each) if each is other else ast.unparse(each) for each in sides)
        return (
            f"{sign.join(map(ast.unparse, sides))} {result}: {ast.unparse(side)} is octets (bytes), and "
            f"{ast.unparse(other)} is a text; write {meant}"
        )
    return ""


def _as_octets(text: ast.expr) -> str:
    """A text of the file, written as octets."""
    value = text.value if isinstance(text, ast.Constant) else None
    is_plain = isinstance(value, str) and value.isascii()
    return f"b{value!r}" if is_plain else f"{ast.unparse(text)}.encode()"


def _in_recipients(source: Source, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
    if not _texts(source, left, among=False):
        return ""
    text, rcpts, sign = ast.unparse(left), ast.unparse(right), _SIGNS[type(operator)]
    return (
        f"{text} {sign} {rcpts} is always {isinstance(operator, _NEGATED)}: a Recipient is no text; "
        f"write {text} {sign} [to.address for to in {rcpts}]"
    )


def _recipients_of_loops(function: Definition, kinds: dict[str, Kind]) -> dict[str, Kind]:
    """The names that are bound once, in a loop over the recipients of a transaction."""
    bound = [
        each.id
        for each in ast.walk(function)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    ]
    return {
        node.target.id: Recipient
        for node in ast.walk(function)
        if isinstance(node, ast.For | ast.comprehension)
        and isinstance(node.target, ast.Name)
        and bound.count(node.target.id) == 1
        and _is_recipients(node.iter, kinds)
    }


def _path_kind(node: ast.expr, kinds: dict[str, Kind]) -> Kind | None:
    """The class of a path, if the expression is certainly one."""
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
        return Recipient if _is_recipients(node.value, kinds) else None
    kind = kind_of(node, kinds)
    return kind if kind in _PATHS else None


def _is_recipients(node: ast.expr, kinds: dict[str, Kind]) -> bool:
    return (
        isinstance(node, ast.Attribute) and node.attr == "rcpts" and kind_of(node.value, kinds) is Transaction
    )


def _texts(source: Source, node: ast.expr, *, among: bool) -> list[str]:
    """The texts that this expression names, if it is a text, or with ``among`` a collection of texts."""
    try:
        value: Any = ast.literal_eval(node)
    except (TypeError, ValueError):
        value = source.meaning(node)
    if not among:
        return [value] if isinstance(value, str) else []
    if type(value) not in _COLLECTIONS or not all(isinstance(each, str) for each in value):
        return []
    return list(value)


def _with_lower_domain(text: str, attribute: str) -> str:
    local, at, domain = text.rpartition("@")
    return local + at + domain.lower() if at or attribute == "domain" else text
