"""Finds a text that a rule object was given in place of a list of texts, such as ``domains="old.example"``.

Python would take such a text for a list of its letters, and ``"old" in domains`` would be true. A settings
file is checked when it is read; this is for objects that are made in a rule file or in a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

import attrs

from .verdict_types import annotation_of

__all__ = ["texts_for_lists"]

_WRITTEN: Final[dict[Any, str]] = {
    tuple: "({},)",
    list: "[{}]",
    set: "{{{}}}",
    frozenset: "frozenset([{}])",
}
"""Kind of list → how one with a single text is written."""
_LEAST: Final = 4
"""A shorter list of single letters may be meant."""


def texts_for_lists(instance: object, names: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong, for each attribute of an attrs class that is annotated as a list and holds a text, or
    the letters of one. ``names``: those of the module of the class, for its annotations."""
    cls = type(instance)
    for field in attrs.fields(cls) if attrs.has(cls) else ():
        value = getattr(instance, field.name, None)
        text = value if isinstance(value, str) else _spelled(value)
        if not text:
            continue
        carrier = SimpleNamespace(__annotations__={"return": field.type}, __globals__=names)
        kinds = _kinds(annotation_of(carrier))
        if kinds and all(kind in _WRITTEN for kind in kinds):
            kind, shown = kinds[0], repr(text) if field.repr else "text"
            given = f"{cls.__name__}({field.alias or field.name}={shown})"
            yield f"{given}: a text in place of a {kind.__name__}; write {_WRITTEN[kind].format(shown)}"


def _spelled(value: Any) -> str:
    """The domain or address whose letters a list has, as ``tuple("old.example")`` makes it; else empty."""
    if not isinstance(value, tuple | list):
        return ""
    entries = cast("Sequence[object]", value)
    letters = [each for each in entries if isinstance(each, str) and len(each) == 1]
    is_name = len(letters) == len(entries) >= _LEAST and any(mark in letters for mark in ".@")
    return "".join(letters) if is_name else ""


def _kinds(annotation: Any) -> list[Any]:
    """The classes that an annotation names, without their parameters and without None."""
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return [get_origin(each) or each for each in members if each is not NoneType]
