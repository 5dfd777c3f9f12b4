"""Finds the tables of a settings file that do not exist, and the tables as which they were meant.

A table whose meaning is clear is moved to where it was meant, so that mistakes in it are found too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from sansio_smtp.names import closest
from trio_proxy.text.masking import is_list, is_table

from .file_schema import ELSEWHERE, SETTINGS_BY_KEY, SUBTABLES, place_for
from .options import ALL_TABLES, LIMITS, RULES
from .ready_names import ready_names
from .route_tables import ROUTE

__all__ = ["is_list_of_tables", "move_unknown_tables"]

TablePath = tuple[str, ...]
"""The names that lead to a table: ``("server", "timeouts")``."""


def move_unknown_tables(tables: dict[str, Any], lines: dict[TablePath, int]) -> Iterator[tuple[int, str]]:
    """Takes each table that does not exist out of ``tables``, and yields its line and what is wrong.

    A table that is clearly meant as another one is put there, if that one is not in the file; what is meant
    for ``[rules]`` is added to it. A table in braces that is the value of a key, and not meant as another
    one, stays. ``lines``: see `lines_of`; it gets the lines of the moved tables.
    """
    rules = _named_rules(tables) | {*ready_names()}
    for path, holder, table in list(_unknown(tables)):
        target = _target(path, table, rules)
        places = "" if _has_all(target, table) else _places_of_keys(path[-1], table)
        if target is None and not places and _is_value(path, table, lines):
            continue  # an unknown key
        del holder[path[-1]]
        yield _line(path, lines), f"unknown table [{'.'.join(path)}]{_hint(path, table, target, places)}"
        if target is not None and not places and is_table(table) and _fits(target, table):
            _move(path, target, table, tables, lines)


def is_list_of_tables(value: object) -> bool:
    """Returns True for what ``[[x]]`` makes."""
    return is_list(value) and bool(value) and all(map(is_table, value))


def _unknown(tables: dict[str, Any]) -> Iterator[tuple[TablePath, dict[str, Any], Any]]:
    """Path, holder and contents of each table that does not exist."""
    for name, table in tables.items():
        if name not in SETTINGS_BY_KEY:
            if is_table(table) or is_list_of_tables(table):
                yield (name,), tables, table
        elif name != RULES and is_table(table):  # each table in [rules] is of a rule
            for key, inner in table.items():
                is_unknown = key not in SETTINGS_BY_KEY[name] and key not in ELSEWHERE
                if is_unknown and (is_table(inner) or is_list_of_tables(inner)):
                    yield (name, key), table, inner


def _named_rules(tables: dict[str, Any]) -> set[str]:
    """The names of the rules that the file uses; each may have a table of settings."""
    rules = tables.get(RULES)
    files = rules.get("files") if is_table(rules) else None
    named: list[Any] = files if is_list(files) else [files]
    return {
        Path(each.removeprefix("ready:")).stem.replace("-", "_") for each in named if isinstance(each, str)
    }


def _line(path: TablePath, lines: dict[TablePath, int]) -> int:
    below = (line for each, line in lines.items() if each[: len(path)] == path)
    return min(below, default=0)


def _is_value(path: TablePath, table: Any, lines: dict[TablePath, int]) -> bool:
    """True if the table is the value of a key, as in ``x = {y = 1}``: then what is in it has no lines."""
    return bool(table) and not any(len(each) > len(path) and each[: len(path)] == path for each in lines)


# What was meant


def _target(path: TablePath, table: object, rules: Collection[str]) -> TablePath | None:
    """The table as which this one was meant; None if that is not known."""
    *above, name = path
    if is_table(table) and table and table.keys() <= SETTINGS_BY_KEY[LIMITS].keys():
        return (LIMITS,)
    nested = {key: (holder, key) for holder, key in map(_split, SUBTABLES)}
    here = [key for key, (holder, _) in nested.items() if [holder] == above]
    name = name.replace("-", "_")
    if name in SETTINGS_BY_KEY or name == ROUTE:
        return (name,)
    if name in rules:
        return (RULES, name)
    like = closest(name, here) or closest(name, [*rules, *nested, *SETTINGS_BY_KEY])
    if not like:
        return None
    return nested.get(like) or ((like,) if like in SETTINGS_BY_KEY else (RULES, like))


def _split(dotted: str) -> tuple[str, str]:
    holder, _, key = dotted.partition(".")
    return holder, key


def _has_all(target: TablePath | None, table: object) -> bool:
    """Returns True if all keys of the table are known where it was meant."""
    if target is None or not is_table(table):
        return False
    return (target[0] == RULES and len(target) == 2) or table.keys() <= {*_keys(target)}


def _fits(target: TablePath, table: dict[str, Any]) -> bool:
    """Returns True if the contents say that this table was meant."""
    if target[0] == RULES and len(target) == 2:
        return True
    known = _keys(target)
    return any(
        closest(key, known) or (target == (RULES,) and is_table(value)) for key, value in table.items()
    )


def _keys(target: TablePath) -> Collection[str]:
    return SUBTABLES[".".join(target)] if len(target) == 2 else SETTINGS_BY_KEY.get(target[0], {})


def _places_of_keys(name: str, table: object) -> str:
    """Where the keys of a table belong, if each of them has a place; else empty."""
    if not is_table(table) or not table:
        return ""
    places = [place_for(key, value=value) or place_for(f"{name}_{key}") for key, value in table.items()]
    return "".join(dict.fromkeys(places)) if all(places) else ""


def _hint(path: TablePath, table: object, target: TablePath | None, places: str) -> str:
    name = path[-1]
    if path == ("tls",) and is_table(table) and table.keys() <= {"mode"}:
        return _TLS
    if places:
        return places
    if target is not None:
        brackets = f"[[{ROUTE}]]" if target == (ROUTE,) else f"[{'.'.join(target)}]"
        return f"; did you mean {brackets}?"
    return place_for(name) or f"; known: {', '.join(ALL_TABLES)}"


_TLS: Final = (
    '; for TLS with clients write tls = "encrypt" below [server], for TLS to the server upstream_tls'
)


def _move(
    path: TablePath,
    target: TablePath,
    table: dict[str, Any],
    tables: dict[str, Any],
    lines: dict[TablePath, int],
) -> None:
    holder: Any = tables if len(target) == 1 else tables.setdefault(target[0], {})
    if not is_table(holder):
        return
    there = holder.get(target[-1])
    if there is None:
        holder[target[-1]] = table
    elif target == (RULES,) and is_table(there):  # it may be there only because of [rules.NAME]
        holder[target[-1]] = table | there
    else:
        return
    moved = {(*target, *each[len(path) :]): line for each, line in lines.items() if each[: len(path)] == path}
    lines |= moved | lines
