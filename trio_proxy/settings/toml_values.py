"""Values of TOML into typed values, without coercion: ``"5"`` is no number.

Hooks for cattrs. Each raises `Wrong` with every mistake that it found.
"""

from __future__ import annotations

import math
import re
from collections import abc
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from enum import Enum
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.errors import StructureHandlerNotFoundError

from sansio_smtp.rules.lint.problems import did_you_mean
from trio_proxy.text.masking import is_list, is_table
from trio_proxy.text.units import Reads

from .credentials import file_named

__all__ = ["NO_VALUE", "Mistake", "Wrong", "apply", "describe", "make_converter", "reason"]

NO_VALUE: Final = object()
Kind = Any
"""What an annotation says: the part after the colon."""
Hook = Callable[[Any, Kind], Any]


@attrs.frozen
class Mistake:
    """Something wrong in a table."""

    path: tuple[str | int, ...]
    """The keys and indexes that lead to it."""
    text: str
    value: Any = NO_VALUE
    """What stands there, if something does."""
    quotes: bool = False
    """True if the text comes from other code, which may have put values into it: secrets are masked."""


class Wrong(Exception):
    """A value, or values in it, that do not fit."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes

    @classmethod
    def value(cls, value: Any, text: str, *, quotes: bool = False) -> Wrong:
        return cls(Mistake((), text, value, quotes))

    def below(self, key: str | int) -> list[Mistake]:
        """The mistakes, seen from the table or list that holds the value under ``key``."""
        return [attrs.evolve(mistake, path=(key, *mistake.path)) for mistake in self.mistakes]


def apply(converter: Converter, value: Any, kind: Kind) -> Any:
    """The value as a ``kind``. Raises `Wrong`, and `StructureHandlerNotFoundError` for a kind that cannot be
    made of TOML."""
    hook = converter.get_structure_hook(kind)
    try:
        return hook(value, kind)
    except (Wrong, StructureHandlerNotFoundError):
        raise
    except BaseValidationError as error:
        raise Wrong.value(value, "; ".join(transform_error(error)), quotes=True) from error
    except Exception as error:
        raise Wrong.value(value, reason(error), quotes=True) from error


def reason(error: Exception) -> str:
    """What an exception says; attrs' own validators put more than a text into theirs."""
    text = str(error.args[0] if error.args and isinstance(error.args[0], str) else error)
    return text if isinstance(error, ValueError | TypeError) and text else f"{type(error).__name__}: {text}"


# What fits


def _is_whole(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63  # what TOML promises to hold


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


_PLAIN: Final[dict[type, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]]] = {
    str: ("a text in quotes", lambda value: isinstance(value, str), str),
    bytes: ("a text in quotes", lambda value: isinstance(value, str), str.encode),
    Path: ("a path in quotes", lambda value: isinstance(value, str) and value.strip("\0") != "", Path),
    bool: ("true or false", lambda value: isinstance(value, bool), bool),
    int: ("a whole number", _is_whole, int),
    float: ("a number", _is_number, float),
    datetime: ("a date and time", lambda value: isinstance(value, datetime), lambda value: value),
    date: ("a date", lambda value: type(value) is date, lambda value: value),
    time: ("a time of day", lambda value: isinstance(value, time), lambda value: value),
}
"""type → what it is called, which values of TOML fit, and how such a value becomes one."""

_LISTS: Final[dict[Any, Callable[[Iterable[Any]], Any]]] = {
    list: list,
    abc.MutableSequence: list,
    tuple: tuple,
    abc.Sequence: tuple,
    abc.Collection: tuple,
    abc.Iterable: tuple,
    set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    abc.Set: frozenset,
}
_TABLES: Final = (dict, abc.Mapping, abc.MutableMapping)


def describe(kind: Kind) -> str:
    """What a value of this kind looks like in TOML, to follow "expected"."""
    origin = _origin(kind)
    if (reads := _reads(kind)) is not None:
        return reads.expected
    if origin is Annotated:
        return describe(get_args(kind)[0])
    if _is_union(kind):
        return " or ".join(dict.fromkeys(describe(member) for member in _members(kind)))
    if origin is Literal:
        return _choices(get_args(kind))
    if _is_enum(origin):
        return _choices(member.value for member in kind)
    if origin in _PLAIN:
        return _PLAIN[origin][0]
    if origin is re.Pattern:
        return "a regular expression in quotes"
    if origin in _LISTS:
        plain = [item for item in get_args(kind) if item is not ...]
        return "a list of texts in quotes" if plain == [str] else "a list"
    if origin in _TABLES:
        return f"a table{_example(kind)}"
    if _is_attrs(origin):
        return "a table"
    return getattr(kind, "__name__", str(kind))


_EXAMPLES: Final[dict[Any, str]] = {str: '"text"', int: "30", float: "0.5", bool: "true"}


def _example(kind: Kind) -> str:
    """`` such as { minute = 30 }``, for a table with keys of any name; empty for other values."""
    key, value = get_args(kind) or (str, Any)
    written = _EXAMPLES.get(value)
    if written is None:
        return ""
    name = get_args(key)[0] if _origin(key) is Literal else "name"
    return f" such as {{ {name} = {written} }}"


def _choices(values: Iterable[Any]) -> str:
    *most, last = (f'"{value}"' if isinstance(value, str) else str(value).lower() for value in values)
    return f"{', '.join(most)} or {last}" if most else last


def _origin(kind: Kind) -> Any:
    """``list`` of ``list[int]``, and ``list`` of ``list``."""
    origin: Any = get_origin(kind)
    return kind if origin is None else origin


def _reads(kind: Kind) -> Reads | None:
    notes: tuple[Any, ...] = kind.__metadata__ if _origin(kind) is Annotated else ()
    return next((note for note in notes if isinstance(note, Reads)), None)


def _is_union(kind: Kind) -> bool:
    return _origin(kind) in (Union, UnionType)


def _members(kind: Kind) -> list[Kind]:
    return [member for member in get_args(kind) if member is not NoneType]


def _is_enum(kind: Kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _is_attrs(kind: Kind) -> bool:
    return isinstance(kind, type) and attrs.has(kind)


# Hooks


def make_converter(structure_class: Callable[[Converter, Any, Kind], Any], folder: Path) -> Converter:
    """A strict converter. ``structure_class`` makes an instance of an attrs class; relative paths are
    relative to ``folder``."""

    def attrs_class(value: Any, kind: Kind) -> Any:
        return structure_class(converter, value, kind)

    def path(value: Any, kind: Kind) -> Path:
        try:
            return folder / file_named(str(_plain(value, kind)))
        except ValueError as error:
            raise Wrong.value(value, str(error), quotes=True) from None

    converter = Converter(forbid_extra_keys=True)
    for kind in _PLAIN:
        converter.register_structure_hook(kind, path if kind is Path else _plain)
    hooks: list[tuple[Callable[[Kind], bool], Hook]] = [
        (_is_attrs, attrs_class),
        (_is_enum, _enum),
        (lambda kind: _origin(kind) is Literal, _literal),
        (lambda kind: _origin(kind) is re.Pattern, _pattern),
        (lambda kind: _reads(kind) is not None, partial(_read, folder)),
    ]
    for predicate, hook in hooks:
        converter.register_structure_hook_func(predicate, hook)
    factories: list[tuple[Callable[[Kind], bool], Callable[[Kind, Converter], Hook]]] = [
        (lambda kind: _origin(kind) in _LISTS, _list),
        (lambda kind: _origin(kind) in _TABLES, _table),
        (_is_union, _union),
    ]
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    return converter


def _plain(value: Any, kind: Kind) -> Any:
    if issubclass(kind, Enum):  # as in class Level(str, Enum)
        return _enum(value, kind)
    base = next(base for base in kind.__mro__ if base in _PLAIN)
    expected, fits, make = _PLAIN[base]
    if not fits(value):
        raise Wrong.value(value, f"expected {expected}")
    return make(value) if kind is base else kind(make(value))


def _enum(value: Any, kind: Kind) -> Any:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    raise _no_choice(value, kind, [member.value for member in kind])


def _literal(value: Any, kind: Kind) -> Any:
    for choice in get_args(kind):
        if type(choice) is type(value) and choice == value:
            return choice
    raise _no_choice(value, kind, get_args(kind))


def _no_choice(value: Any, kind: Kind, choices: Iterable[Any]) -> Wrong:
    texts = [choice for choice in choices if isinstance(choice, str)]
    hint = did_you_mean(_OTHER_WORDS.get(value, value), texts) if isinstance(value, str) else ""
    return Wrong.value(value, f"expected {describe(kind)}{hint}")


_OTHER_WORDS: Final = {"user": "login", "username": "login", "account": "login", "from": "sender"}
"""A word that is more like another choice than like the one that it means → that choice."""


def _pattern(value: Any, kind: Kind) -> Any:
    if not isinstance(value, str):
        raise Wrong.value(value, f"expected {describe(kind)}")
    try:
        return re.compile(value.encode() if get_args(kind) == (bytes,) else value)
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong.value(value, f"not a regular expression: {error}", quotes=True) from error


def _read(folder: Path, value: Any, kind: Kind) -> Any:
    reads = _reads(kind)
    assert reads is not None  # as it was dispatched
    try:
        read = reads.parse(value)
        return read if reads.below is None else reads.below(read, folder)
    except ValueError as error:
        text = str(error)
        raise Wrong.value(value, text, quotes=text != f"expected {reads.expected}") from error


def _list(kind: Kind, converter: Converter) -> Hook:
    origin, kinds = _origin(kind), get_args(kind)
    fixed = origin is tuple and bool(kinds) and kinds[1:] != (...,)
    each: Kind = kinds[0] if kinds else Any

    def structure(value: Any, _: Kind) -> Any:
        if not is_list(value):
            raise Wrong.value(value, f"expected {describe(kind)}")
        if fixed and len(value) != len(kinds):
            raise Wrong.value(value, f"expected a list of {len(kinds)}, not of {len(value)}")
        return _LISTS[origin](
            _each(converter, [(i, item, kinds[i] if fixed else each) for i, item in enumerate(value)])
        )

    return structure


def _table(kind: Kind, converter: Converter) -> Hook:
    key_kind, value_kind = get_args(kind) or (str, Any)

    def structure(value: Any, _: Kind) -> Any:
        if not is_table(value):
            raise Wrong.value(value, f"expected {describe(kind)}")
        mistakes: list[Mistake] = []
        keys: list[Any] = []
        values: list[Any] = []
        try:
            keys = _each(converter, [(key, key, key_kind) for key in value])
        except Wrong as wrong:
            texts = {each.path: f'unknown key "{each.value}"; {each.text}' for each in wrong.mistakes}
            mistakes += (Mistake(path, text) for path, text in texts.items())
        try:
            values = _each(converter, [(key, item, value_kind) for key, item in value.items()])
        except Wrong as wrong:
            mistakes += wrong.mistakes
        if mistakes:
            raise Wrong(*mistakes)
        return dict(zip(keys, values, strict=True))

    return structure


def _each(converter: Converter, items: Iterable[tuple[str | int, Any, Kind]]) -> list[Any]:
    done: list[Any] = []
    mistakes: list[Mistake] = []
    for key, value, kind in items:
        try:
            done.append(apply(converter, value, kind))
        except Wrong as wrong:
            mistakes += wrong.below(key)
    if mistakes:
        raise Wrong(*mistakes)
    return done


def _union(kind: Kind, converter: Converter) -> Hook:
    members = _members(kind)

    def structure(value: Any, _: Kind) -> Any:
        wrongs: list[tuple[Wrong, Kind]] = []
        unknown: list[StructureHandlerNotFoundError] = []
        # What is of a member's very type is that: 5 is an int where a float would do too.
        for member in sorted(members, key=lambda member: member is not type(value)):
            try:
                return apply(converter, value, member)
            except Wrong as wrong:
                wrongs.append((wrong, member))
            except StructureHandlerNotFoundError as error:
                unknown.append(error)
        if not wrongs:
            raise unknown[0]
        # What is wrong inside was meant as that: a list with a wrong item, an address with a wrong port.
        meant = [wrong for wrong, member in wrongs if not _is_misfit(wrong, member)]
        raise meant[0] if meant else Wrong.value(value, f"expected {describe(kind)}")

    return structure


def _is_misfit(wrong: Wrong, kind: Kind) -> bool:
    """True if the value is of another kind altogether, and not one of this kind with a mistake in it."""
    expected = f"expected {describe(kind)}"
    return all(not mistake.path and mistake.text.startswith(expected) for mistake in wrong.mistakes)
