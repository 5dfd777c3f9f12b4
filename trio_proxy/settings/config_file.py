"""The settings file, ``proxy.toml``: what the command line can say, and the settings of rules.

Its mistakes are found all at once, each with its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs

from sansio_smtp.rules.lint.problems import Problem, RuleError, did_you_mean
from trio_proxy.text.addresses import Address
from trio_proxy.text.masking import is_list, is_table
from trio_proxy.text.units import Reads, parse_duration

from .options import CAPTURE_AND_UPSTREAM
from .tables import Duration, RuleTable, Size, fill
from .timeouts import PHASES
from .toml_lines import lines_of

__all__ = ["KEYS", "ConfigFile", "load_config", "read_config"]

_LARGEST: Final = 1_000_000
"""Octets. A file that is larger is something else."""

KEYS: Final[dict[str, tuple[str, str]]] = {
    "listen": ("server", "listen"),
    "upstream": ("server", "upstream"),
    "capture": ("server", "capture"),
    "transcript": ("server", "transcript"),
    "bare_newline": ("server", "bare_newline"),
    "nul": ("server", "nul"),
    "max_message_size": ("server", "max_message_size"),
    "max_connections": ("server", "max_connections"),
    "timeouts": ("server", "timeouts"),
    "grace": ("server", "grace"),
    "verbose": ("server", "verbose"),
    "quiet": ("server", "quiet"),
    "rules": ("rules", "files"),
    "rule_timeout": ("rules", "timeout"),
    "on_rule_error": ("rules", "on_error"),
    "reload": ("rules", "reload"),
    "quarantine": ("rules", "quarantine"),
    "max_held": ("rules", "max_held"),
    "spool": ("rules", "spool"),
}
"""Parameter of the command line → table and key."""


@attrs.frozen
class ConfigFile:
    """What a settings file says."""

    path: Path
    values: dict[str, Any]
    """Parameter of the command line → value, in the type that `Options` has it; ``timeouts`` as the option
    would be given. What the file does not say is not there."""
    rule_settings: dict[str, RuleTable]
    """The ``[rules.NAME]`` tables, unread."""


def load_config(path: Path) -> ConfigFile:
    """Raises `RuleError` with everything that is wrong in the file."""
    config, problems = read_config(path)
    if config is None or problems:
        raise RuleError(problems)
    return config


def read_config(path: Path) -> tuple[ConfigFile | None, list[Problem]]:
    """What could be read, None if that is nothing at all, and what is wrong with the rest."""
    file = str(path)
    try:
        text = _text(path)
        tables, lines = tomllib.loads(text), lines_of(text)
    except (OSError, ValueError, RecursionError) as error:
        return None, [_unreadable(file, error)]
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    rule_settings: dict[str, RuleTable] = {}
    for name, table in tables.items():
        here = _below(lines, name)
        line = min(here.values(), default=0)
        if name not in _SCHEMAS:
            problems.append(Problem(file, line, _no_table(name, table)))
        elif not is_table(table):
            problems.append(Problem(file, line, f"[{name}] is a table: its keys stand on the lines below it"))
        else:
            if name == "rules":
                named = [key for key, value in table.items() if is_table(value) and key not in _RULES_KEYS]
                rule_settings = {
                    key: RuleTable(table.pop(key), _below(lines, name, key), file) for key in named
                }
            found, mistakes = _read_table(name, table, here, file)
            values |= found
            problems += mistakes
            if "capture" in found and "upstream" in found:
                text = f"[server] capture {CAPTURE_AND_UPSTREAM}"
                problems.append(Problem(file, here["capture"], text))
    problems.sort(key=lambda problem: problem.line)
    return ConfigFile(path, values, rule_settings), problems


# Kinds of values


def _address(expected: str, default_port: int | None = None) -> Reads:
    def parse(value: Any) -> Address:
        if not isinstance(value, str):
            raise ValueError(f"expected {expected}")  # noqa: TRY004 - Reads asks for it
        return Address.parse(value, default_port=default_port)

    return Reads(expected, parse)


def _count(smallest: int, what: str) -> Reads:
    expected = f"a whole number of {what}, {smallest} or more"

    def parse(value: Any) -> int:
        if type(value) is not int or not smallest <= value < 2**31:
            raise ValueError(f"expected {expected}")
        return value

    return Reads(expected, parse)


def _some_seconds(value: Any) -> float:
    seconds = parse_duration(value)
    if not 0 < seconds < 10**9:
        raise ValueError(f"expected {_SOME_SECONDS}")
    return seconds


_SOME_SECONDS: Final = 'a number of seconds above 0 or a time such as "30s"'
_Seconds: TypeAlias = Annotated[float, Reads(_SOME_SECONDS, _some_seconds)]
_Listen: TypeAlias = Annotated[Address, _address('an address such as "127.0.0.1:2525"')]
_Upstream: TypeAlias = Annotated[Address, _address('an address such as "mail.example.net:25"', 25)]

_SECONDS_KIND: Any = _Seconds
_Timeouts: Final = attrs.make_class(
    "_Timeouts", {name: attrs.field(type=_SECONDS_KIND, default=None) for name in ("all", *PHASES)}
)


@attrs.frozen(kw_only=True)
class _Server:
    listen: _Listen | list[_Listen]
    upstream: _Upstream
    capture: Path
    transcript: bool
    bare_newline: Literal["normalize", "reject"]
    nul: Literal["pass", "refuse"]
    max_message_size: Size
    max_connections: Annotated[int, _count(1, "clients")]
    timeouts: _Timeouts  # type: ignore[valid-type]
    grace: Duration
    verbose: Annotated[int, _count(0, "v's as in -vv")]
    quiet: bool


@attrs.frozen(kw_only=True)
class _Rules:
    files: str | list[str]
    timeout: _Seconds
    on_error: Literal["defer", "reject", "accept"]
    reload: bool
    quarantine: Path
    max_held: Size
    spool: Literal[""] | Path


_SCHEMAS: Final[dict[str, type]] = {"server": _Server, "rules": _Rules}
_RULES_KEYS: Final = attrs.fields_dict(_Rules)
_KNOWN_TABLES: Final = ("server", "server.timeouts", "rules", "rules.NAME")

_PLACES: Final[dict[str, tuple[str, str]]] = {
    **{phase: ("server.timeouts", phase) for phase in PHASES},
    **KEYS,
    **{key: (table, key) for table, key in KEYS.values()},
    "timeout": ("server.timeouts", "all"),
}
"""What people may write in the wrong place → the table and key for it."""


# Reading


def _text(path: Path) -> str:
    with path.open("rb") as file:
        octets = file.read(_LARGEST + 1)
    if len(octets) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST:,} bytes; is it a settings file?")
    return octets.decode("utf-8-sig")


def _unreadable(file: str, error: Exception) -> Problem:
    if isinstance(error, OSError):
        return Problem(file, 0, f"cannot be read: {error.strerror or error}")
    if isinstance(error, UnicodeDecodeError):
        octets: bytes = error.object
        line = octets.count(b"\n", 0, error.start) + 1
        return Problem(file, line, f"not UTF-8: byte 0x{octets[error.start]:02x}; save the file as UTF-8")
    if isinstance(error, RecursionError):
        return Problem(file, 0, "nested too deeply")
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem(file, 0, "a number has too many digits" if "digits" in str(error) else str(error))
    what = str(error).partition(" (at ")[0]
    hint = next((hint for start, hint in _HINTS.items() if what.startswith(start)), "")
    text = what[0].lower() + what[1:] + hint
    if found := _POSITION.search(str(error)):
        return Problem(file, int(found[1]), f"column {found[2]}: {text}")
    return Problem(file, 0, f"at its end: {text}")


_POSITION: Final = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)")
_QUOTES: Final = '; texts stand in quotes, as in upstream = "mail.example.net"'
_HINTS: Final = {
    "Invalid value": _QUOTES,
    "Expected newline": _QUOTES,
    "Illegal character '\\n'": "; the quote that ends a text is missing",
    "Cannot overwrite": "; a key may be written once",
    "Cannot declare": "; a table may be written once",
}


def _no_table(name: str, value: Any) -> str:
    if not isinstance(value, dict | list):
        return f'unknown key "{name}"{_place(name) or "; keys stand below a table: [server] or [rules]"}'
    hint = _place(name) or did_you_mean(name, _SCHEMAS)
    return f"unknown table [{name}]{hint or '; known: ' + ', '.join(f'[{known}]' for known in _KNOWN_TABLES)}"


def _place(name: str) -> str:
    table, key = _PLACES.get(name, ("", ""))
    return f'; write "{key}" below [{table}]' if table else ""


def _below(lines: Mapping[tuple[str, ...], int], *table: str) -> dict[str, int]:
    """Dotted key → line, for what stands in a table; ``""`` is the table's own."""
    depth = len(table)
    return {".".join(path[depth:]): line for path, line in lines.items() if path[:depth] == table}


def _read_table(
    name: str, table: dict[str, Any], lines: Mapping[str, int], file: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Parameter → value for what could be read, and what is wrong."""
    schema = attrs.fields_dict(_SCHEMAS[name])
    astray = [key for key in table if key not in schema and _place(key)]
    problems = [
        Problem(file, lines.get(key, 0), f'[{name}] unknown key "{key}"{_place(key)}') for key in astray
    ]
    here = {key: value for key, value in table.items() if key not in astray}
    found, mistakes = fill(_SCHEMAS[name], here, file=file, table_name=name, lines=lines)
    values = {
        parameter: _as_option(key, found[key], Path(file).parent)
        for parameter, (where, key) in KEYS.items()
        if where == name and key in found
    }
    if values.get("listen") == ():
        del values["listen"]
        mistakes.append(Problem(file, lines.get("listen", 0), "[server] listen = []: expected an address"))
    return values, problems + mistakes


def _as_option(key: str, value: Any, folder: Path) -> Any:
    if key == "listen":
        return tuple(value) if is_list(value) else (value,)
    if key == "files":
        specs: list[str] = [value] if isinstance(value, str) else value
        return tuple(spec if spec.startswith("ready:") else str(folder / spec) for spec in specs)
    if key == "timeouts":
        # The one for all first: those that are named win.
        given = {phase: seconds for phase, seconds in attrs.asdict(value).items() if seconds is not None}
        return tuple(
            str(s) if phase == "all" else f"{phase.replace('_', '-')}={s}" for phase, s in given.items()
        )
    return value
