"""Converts tables of a settings file to attrs classes: strictly, and reports all mistakes at once. A mistake
is reported with file, line, key and value, and what would be right. Values of keys that name a secret
(``password``, ``token``, ``signing_key``) are never shown.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

import attrs
from cattrs import Converter

from sansio_smtp.names import closest
from sansio_smtp.rules.lint.problems import Problem, did_you_mean
from trio_proxy.text.masking import MASK, is_secret, is_table, masked, plain, secrets_of, shown
from trio_proxy.text.units import Duration, Size

from .rule_table import RuleTable
from .toml_values import NO_VALUE, Kind, Mistake, Wrong, apply, describe, make_converter, reason
from .unknown_values import late_mistake

__all__ = ["Duration", "RuleTable", "Size", "field_kind", "fill", "structure"]

T = TypeVar("T")
_UNQUOTED: Final = re.compile(r"true|false|-?[0-9]{1,9}(\.[0-9]{1,9})?")
_WITHOUT_QUOTES: Final = ("expected a whole number", "expected a number", "expected true or false")
_FOR_BOOLS: Final = {"true": ("yes", "on", "1"), "false": ("no", "off", "0")}
"""What TOML says → what people write for it."""
_MOST_NAMES: Final = 20
"""Longer lists are of no help in one line."""
_A_LIST: Final = "expected a list of texts in quotes"
_ANY_KIND: Final[Kind] = Any


def _nowhere(_: str) -> str:
    return ""


def structure(
    cls: type[T],
    table: Mapping[str, Any],
    *,
    file: str,
    table_name: str,
    lines: Mapping[str, int],
    base: T | None = None,
    other_place: Callable[[str], str] = _nowhere,
) -> tuple[T | None, list[Problem]]:
    """Returns an instance of an attrs class with the fields that the table sets, or None and all mistakes.

    A key is the name of a parameter of ``__init__``. The field's annotation says which values fit: str, int,
    float, bool, Path, dates, `Size`, `Duration`, ``re.Pattern``, enums by value, Literal, attrs classes,
    lists, tuples, sets and dicts of these, unions. A relative path is relative to the folder of ``file``. If
    the field's converter has an annotated parameter, that annotation counts. Fields that are not in
    ``__init__`` are not settings.

    ``lines``: see `RuleTable`. ``base``: an instance with the values of fields that the table does not set.
    ``other_place``: from a key that the class does not have to the place where it belongs, as a text; empty
    if it belongs nowhere.
    """
    converter = make_converter(_nested, Path(file).parent)
    values, mistakes = _read(converter, cls, table, complete=base is None, other_place=other_place)
    made: T | None = None
    if mistakes:
        late = late_mistake(cls, values, _meant(cls, table) - values.keys(), base)
        mistakes += [Mistake((), reason(late), quotes=True)] if late is not None else []
    else:
        try:
            made = cls(**values) if base is None else attrs.evolve(base, **values)  # type: ignore[misc]
        except Exception as error:  # a rule's own code: any exception counts as a mistake in the table
            mistakes.append(Mistake((), reason(error), quotes=True))
    return made, _problems(mistakes, table, file, table_name, lines)


def fill(
    cls: type, table: Mapping[str, Any], *, file: str, table_name: str, lines: Mapping[str, int]
) -> tuple[dict[str, Any], list[Problem]]:
    """Like `structure`, but returns the values that could be read, by key, and all mistakes in the rest."""
    values, mistakes = _read(make_converter(_nested, Path(file).parent), cls, table, complete=False)
    return values, _problems(mistakes, table, file, table_name, lines)


def _nested(converter: Converter, value: Any, cls: Kind) -> Any:
    if not is_table(value):
        raise Wrong.value(value, "expected a table")
    values, mistakes = _read(converter, cls, value, complete=True)
    if mistakes:
        late = late_mistake(cls, values, _meant(cls, value) - values.keys())
        raise Wrong(*mistakes, *([Mistake((), reason(late), quotes=True)] if late is not None else []))
    return cls(**values)


# Fields


def _read(
    converter: Converter,
    cls: Kind,
    table: Mapping[str, Any],
    *,
    complete: bool,
    other_place: Callable[[str], str] = _nowhere,
) -> tuple[dict[str, Any], list[Mistake]]:
    """Arguments for the class, and all mistakes. ``complete``: fields without a default must not be
    missing."""
    fields = {field.alias or field.name: field for field in attrs.fields(cls) if field.init}
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for key, value in table.items():
        if key not in fields:
            mistakes.append(Mistake((key,), f'unknown key "{key}"{_known(key, fields)}{other_place(key)}'))
            continue
        try:
            values[key] = _value(converter, cls, fields[key], value)
        except Wrong as wrong:
            mistakes += wrong.below(key)
    mistakes += _validate(cls, {key: (fields[key], table[key], value) for key, value in values.items()})
    if complete:
        mistakes += [
            Mistake((key,), f'missing key "{key}": expected {describe(field_kind(cls, field))}')
            for key, field in fields.items()
            if field.default is attrs.NOTHING and key not in _meant(cls, table)
        ]
    wrong_keys = {mistake.path[0] for mistake in mistakes if mistake.path}
    return {key: value for key, value in values.items() if key not in wrong_keys}, mistakes


def _meant(cls: Kind, table: Mapping[str, Any]) -> set[str]:
    """The keys that the table sets, also if they are misspelt."""
    names = [field.alias or field.name for field in attrs.fields(cls) if field.init]
    return {key if key in names else closest(key, names) for key in table}


def _known(key: str, names: Mapping[str, object]) -> str:
    if hint := did_you_mean(key, names):
        return hint
    if len(names) > _MOST_NAMES:
        return "; smtp-proxy --help names all settings"
    return f"; known: {', '.join(names)}" if names else "; there are no keys here"


def _value(converter: Converter, cls: Kind, field: attrs.Attribute[Any], value: Any) -> Any:
    kind = field_kind(cls, field)
    try:
        return apply(converter, value, kind)
    except Wrong:
        raise
    except Exception as error:  # cattrs has no hook for the type, or fails to look for one
        if _convert_of(field) is not None:
            return value  # the converter handles the value
        raise Wrong.value(value, f"a {describe(kind)} cannot be written in a settings file") from error


def _validate(cls: Kind, given: Mapping[str, tuple[attrs.Attribute[Any], Any, Any]]) -> list[Mistake]:
    """The mistakes that converters and validators find. Each is called alone, because ``__init__`` would stop
    at the first mistake."""
    try:
        half_made = object.__new__(cls)
    except TypeError:  # the class is abstract, or makes its instances in another way
        return []
    converted: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for key, (field, raw, value) in given.items():
        convert = _convert_of(field)
        if isinstance(convert, attrs.Converter):
            continue  # it may need the instance; __init__ calls it
        try:
            converted[key] = convert(value) if convert else value
        except Exception as error:  # a rule's own code
            found = list(_wrong_entries(convert, value, raw))
            mistakes += [each for one in found for each in one.below(key)] or [
                Mistake((key,), reason(error), raw, quotes=True)
            ]
        else:
            object.__setattr__(half_made, field.name, converted[key])
    for key in converted:
        field, raw, _ = given[key]
        try:
            if field.validator is not None:
                field.validator(half_made, field, converted[key])
        except AttributeError:
            continue  # it reads a field that is not set yet; __init__ calls it
        except Exception as error:  # a rule's own code
            mistakes.append(Mistake((key,), reason(error), raw, quotes=True))
    return mistakes


def _wrong_entries(convert: Any, value: Any, raw: Any) -> Iterator[Wrong]:
    """The entries of a list at which a converter fails, if it takes lists of any length."""
    if not isinstance(value, list | tuple):
        return
    make = tuple if isinstance(value, tuple) else list
    if _failure(convert, make(())) is not None:
        return
    for number, entry in enumerate(cast("Sequence[object]", value)):
        if (error := _failure(convert, make((entry,)))) is not None:
            wrong = Wrong.value(raw[number], reason(error), quotes=True)
            yield Wrong(*wrong.below(number))


def _failure(convert: Any, value: Any) -> Exception | None:
    try:
        convert(value)
    except Exception as error:  # a rule's own code
        return error
    return None


def field_kind(cls: Kind, field: attrs.Attribute[Any]) -> Kind:
    """The annotation of the values that a field takes in a settings file."""
    kind = _parameter(_convert_of(field))
    if kind is not None:
        return kind
    try:
        return _evaluated(cls, field)
    except Exception:  # a name that exists for type checkers only
        return field.type


def _convert_of(field: Any) -> Any:
    return field.converter


def _parameter(convert: Any) -> Kind:
    """The annotation of a converter's parameter; None if there is no converter, or no annotation."""
    function = getattr(convert, "converter", convert)  # attrs.Converter wraps one
    try:
        parameter = next(iter(inspect.signature(function).parameters))
        return typing.get_type_hints(function, include_extras=True).get(parameter)
    except (TypeError, ValueError, NameError, StopIteration):  # functions in C have no signature
        return None


def _evaluated(cls: Kind, field: attrs.Attribute[Any]) -> Kind:
    if field.type is None:
        return _ANY_KIND
    owner = next((base for base in cls.__mro__ if field.name in getattr(base, "__annotations__", ())), cls)
    holder: Any = SimpleNamespace(__annotations__={"field": field.type})
    return typing.get_type_hints(holder, _names(owner), include_extras=True)["field"]


def _names(cls: type) -> dict[str, Any]:
    """The names in the class's own module, even if the module is not in ``sys.modules``."""
    for member in vars(cls).values():
        function = inspect.unwrap(member) if callable(member) else member
        # Methods that attrs wrote know only the names that existed when the class was made.
        if not inspect.isfunction(function) or function.__code__.co_filename.startswith("<attrs"):
            continue
        if function.__globals__.get("__name__") == cls.__module__:
            return function.__globals__
    return vars(sys.modules.get(cls.__module__, SimpleNamespace()))


# Problems


def _problems(
    mistakes: list[Mistake], table: Mapping[str, Any], file: str, table_name: str, lines: Mapping[str, int]
) -> list[Problem]:
    secrets = tuple(secrets_of(table))
    found = (
        Problem(
            file,
            _line(mistake.path, lines),
            plain(_text(mistake, table_name, secrets if mistake.quotes else ())),
        )
        for mistake in mistakes
    )
    return sorted(found, key=lambda problem: problem.line)


def _text(mistake: Mistake, table_name: str, secrets: tuple[str, ...]) -> str:
    if mistake.value is NO_VALUE:
        where = ".".join((table_name, *(str(key) for key in mistake.path[:-1])))
        return f"[{where}] {masked(mistake.text, secrets)}"
    name = ""
    for key in mistake.path:
        name += f"[{key}]" if isinstance(key, int) else f".{key}" if name else key
    secret = any(isinstance(key, str) and is_secret(key) for key in mistake.path)
    value = f'"{MASK}"' if secret else shown(mistake.value)
    hint = "" if secret else _rewritten(mistake)
    text = mistake.text
    if isinstance(mistake.value, str):
        text = text.removeprefix(f"{mistake.value!r}: ")  # as for an option, whose error quotes it
    return masked(f"[{table_name}] {name} = {value}: {text}{hint}", secrets)


def _rewritten(mistake: Mistake) -> str:
    """What to do with a number, or with true or false, that stands in quotes, or with a text that stands in
    no list; else empty."""
    value = mistake.value
    wants = any(what in mistake.text for what in _WITHOUT_QUOTES)
    is_written = isinstance(value, str) and _UNQUOTED.fullmatch(value) is not None
    if wants and is_written:
        return f"; write it without quotes: {value}"
    if "expected true or false" in mistake.text:
        words = [word for word, meant in _FOR_BOOLS.items() if str(value).lower() in meant]
        return f"; write {words[0]}" if words else ""
    return f"; write [{shown(value)}]" if isinstance(value, str) and mistake.text == _A_LIST else ""


def _line(path: tuple[str | int, ...], lines: Mapping[str, int]) -> int:
    """The line of the innermost key that has one."""
    keys = [key for key in path if isinstance(key, str)]
    while keys:
        if line := lines.get(".".join(keys)):
            return line
        keys.pop()
    return lines.get("", 0)
