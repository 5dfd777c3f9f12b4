"""Reads the settings file, ``proxy.toml``: the settings that `options` declares, and the tables of rules.

All its mistakes are found at once, each with its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.text.masking import MASK, is_secret, is_table, shown
from trio_proxy.text.missing import unreadable

from .file_schema import SCHEMAS, SETTINGS_BY_KEY, SUBTABLES, names_meant, other_place, place_for
from .options import CONFLICTS, RULES, SETTINGS
from .place import Place
from .route_tables import ROUTE, RouteTable, read_routes
from .rule_table import RuleTable
from .tables import fill
from .toml_hints import no_toml
from .toml_lines import lines_of
from .unknown_tables import is_list_of_tables, move_unknown_tables

__all__ = ["ConfigFile", "load_config", "read_config"]

_LARGEST: Final = 1_000_000
"""In octets. A larger file is no settings file."""


@attrs.frozen
class ConfigFile:
    """The contents of a settings file."""

    path: Path
    values: dict[str, Any]
    """Name of the setting → value, as `Kind.read` would make it of a text. It has only the settings that
    stand in the file."""
    rule_settings: dict[str, RuleTable]
    """The ``[rules.NAME]`` tables, unread."""
    routes: tuple[RouteTable, ...] = ()
    """The ``[[route]]`` tables."""
    places: Mapping[str, Place] = attrs.field(factory=dict[str, Place])
    """Name of the setting → its place."""
    unread: frozenset[str] = frozenset()
    """The names of settings that may stand in the file, in a value or a key that could not be read."""


def load_config(path: Path) -> ConfigFile:
    """Reads a settings file. Raises `RuleError` with everything that is wrong in it."""
    config, problems = read_config(path)
    if config is None or problems:
        raise RuleError(problems)
    return config


def read_config(path: Path) -> tuple[ConfigFile | None, list[Problem]]:
    """Reads a settings file. Returns what could be read, None if that is nothing, and all mistakes."""
    file, text = str(path), ""
    try:
        text = _text(path)
        tables, lines = tomllib.loads(text), lines_of(text)
    except (OSError, ValueError, RecursionError) as error:
        return None, [_unreadable(file, error, text)]
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    unread: set[str] = set()
    rule_settings: dict[str, RuleTable] = {}
    routes: tuple[RouteTable, ...] = ()
    if ROUTE in tables:
        routes, problems = read_routes(tables.pop(ROUTE), lines_of(text, numbered=True), file, other_place)
    problems += [Problem(file, line, text) for line, text in move_unknown_tables(tables, lines)]
    for name, table in tables.items():
        here = _below(lines, name)
        line = min(here.values(), default=0)
        if name not in SCHEMAS:
            problems.append(Problem(file, line, _no_key(name, table)))
            unread |= names_meant("", name)
        elif is_list_of_tables(table):
            problems.append(Problem(file, line, f"[[{name}]]: write [{name}], with one pair of brackets"))
            unread |= {setting.name for setting in SETTINGS_BY_KEY[name].values()}
        elif not is_table(table):
            problems.append(Problem(file, line, f"[{name}] is a table: its keys stand on the lines below it"))
        else:
            if name == RULES:
                for key in [key for key, value in table.items() if is_list_of_tables(value)]:
                    text = f"[[{RULES}.{key}]]: write [{RULES}.{key}], with one pair of brackets"
                    problems.append(Problem(file, here.get(key, line), text))
                    table[key] = table[key][0]  # as it was meant
                named = [
                    key
                    for key, value in table.items()
                    if is_table(value) and key not in SETTINGS_BY_KEY[RULES]
                ]
                rule_settings |= {
                    key: RuleTable(table.pop(key), _below(lines, RULES, key), file) for key in named
                }
            unread |= {each for key in table for each in names_meant(name, key)}
            found, mistakes = _read_table(name, table, here, file)
            values |= found
            problems += mistakes
            for key in table.keys() & SETTINGS_BY_KEY[name].keys():
                places[SETTINGS_BY_KEY[name][key].name] = Place(file, here.get(key, 0), table[key])
    problems += _conflicts(values, lines, file)
    problems.sort(key=lambda problem: problem.line)
    return ConfigFile(
        path, values, rule_settings, routes, places, frozenset(unread - values.keys())
    ), problems


# What is no TOML


def _text(path: Path) -> str:
    with path.open("rb") as file:
        octets = file.read(_LARGEST + 1)
    if len(octets) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST:,} bytes; is it a settings file?")
    return octets.decode("utf-8-sig")


def _unreadable(file: str, error: Exception, text: str) -> Problem:
    if isinstance(error, OSError):
        return Problem(file, 0, unreadable(Path(file), error))
    if isinstance(error, UnicodeDecodeError):
        octets: bytes = error.object
        line = octets.count(b"\n", 0, error.start) + 1
        return Problem(file, line, f"not UTF-8: byte 0x{octets[error.start]:02x}; save the file as UTF-8")
    if isinstance(error, RecursionError):
        return Problem(file, 0, "nested too deeply")
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem(file, 0, "a number has too many digits" if "digits" in str(error) else str(error))
    said = str(error).partition(" (at ")[0]
    if found := _POSITION.search(str(error)):
        return Problem(file, int(found[1]), f"column {found[2]}: {no_toml(text, int(found[1]), said)}")
    return Problem(file, 0, f"at its end: {no_toml(text, 0, said)}")


_POSITION: Final = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)")


# Tables and keys


def _no_key(name: str, value: object) -> str:
    known = " or ".join(f"[{table}]" for table in SETTINGS_BY_KEY)
    return f'unknown key "{name}"{place_for(name, value=value) or f"; keys stand below a table: {known}"}'


def _below(lines: Mapping[tuple[str, ...], int], *table: str) -> dict[str, int]:
    """Dotted key → line, for what stands in a table; ``""`` is the table's own."""
    depth = len(table)
    return {".".join(path[depth:]): line for path, line in lines.items() if path[:depth] == table}


def _read_table(
    name: str, table: dict[str, Any], lines: Mapping[str, int], file: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Name of the setting → value for what could be read, and what is wrong."""
    settings = SETTINGS_BY_KEY[name]
    table, problems = _without_astray(name, table, settings, lines, file)
    for key, value in table.items():
        if (subtable := f"{name}.{key}") in SUBTABLES and is_table(value):
            below = {inner.removeprefix(f"{key}."): line for inner, line in lines.items()}
            rest, mistakes = _without_astray(subtable, value, SUBTABLES[subtable], below, file)
            table = {**table, key: rest}
            problems += mistakes
    found, mistakes = fill(SCHEMAS[name], table, file=file, table_name=name, lines=lines)
    if str(table.get("transcript", "")).endswith((".log", ".txt")):  # a name of a file
        mistakes = [attrs.evolve(each, text=f"{each.text}{_more(each.text)}") for each in mistakes]
    values: dict[str, Any] = {}
    for key, value in found.items():
        try:
            values[settings[key].name] = settings[key].kind.from_toml(value, Path(file).parent)
        except ValueError as error:
            shown_value = f'"{MASK}"' if is_secret(key) else shown(table[key])
            text = f"[{name}] {key} = {shown_value}: {error}"
            mistakes.append(Problem(file, lines.get(key, 0), text))
    return values, problems + mistakes


def _without_astray(
    name: str, table: dict[str, Any], known: Collection[str], lines: Mapping[str, int], file: str
) -> tuple[dict[str, Any], list[Problem]]:
    """The table without the keys that belong elsewhere, and where they belong."""
    astray = {
        key: hint
        for key, value in table.items()
        if key not in known and (hint := place_for(key, table=name, value=value))
    }
    problems = [
        Problem(file, lines.get(key, 0), f'[{name}] unknown key "{key}"{hint}')
        for key, hint in astray.items()
    ]
    return {key: value for key, value in table.items() if key not in astray}, problems


def _more(text: str) -> str:
    return next((more for begins, more in _MORE.items() if text.startswith(begins)), "")


_MORE: Final = {
    '[server] transcript = "': "; the transcript goes to standard output, from where it can go to a file"
}
"""The beginning of a complaint → what people who write this need to know."""


def _conflicts(
    values: Mapping[str, Any], lines: Mapping[tuple[str, ...], int], file: str
) -> Iterator[Problem]:
    for conflict in CONFLICTS:
        if conflict.name in values and conflict.other in values:
            setting = SETTINGS[conflict.name]
            line = lines.get((setting.table or "", setting.key), 0)
            yield Problem(file, line, f"[{setting.table}] {setting.key} {conflict.why}")
