"""Says where a mistake is that concerns several settings, or a file that a setting names.

Such a mistake is found when all settings are chosen, and its text names each setting by its option. If one of
these settings comes from the settings file, the text becomes one for a reader of that file: it begins with
the file and the line, and names settings as they are written there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeGuard

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.text.masking import is_list, shown

from .declaring import Setting
from .options import SETTINGS, Options
from .place import Place

__all__ = ["is_certain", "of_file", "of_settings"]

_BY_OPTION: Final = {setting.option: setting for setting in SETTINGS.values() if setting.table is not None}
_METAVARS: Final = ("ADDRESS", "FILE", "NAME", "URL", "N")
"""What stands in a text for a value that is to be given."""
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")


def of_settings(options: Options, text: str) -> Problem:
    """The problem with this text, which names settings by their options."""
    place = next((options.places[each.name] for each in _settings(text) if each.name in options.places), None)
    if place is None:
        return Problem("", 0, text)
    return Problem(place.file, place.line, _as_in_file(options, text))


def of_file(options: Options, path: Path, text: str) -> Problem:
    """The problem with a file that a setting names. ``text``: begins with the path."""
    for name, setting in SETTINGS.items():
        values = _all(getattr(options, name))
        if setting.table is None or not (path in values or str(path) in values) or name not in options.named:
            continue
        place = options.places.get(name)
        if place is None:
            return Problem("", 0, f"{setting.option} {text}")
        written = _item(place, path)
        more = text.removeprefix(f"{path}: ") if written == str(path) else text
        return Problem(place.file, place.line, f"{_key(setting)} = {shown(written)}: {more}")
    return Problem("", 0, text)


def is_certain(options: Options, text: str) -> bool:
    """Returns True if it is known, for all settings that this text names, if they are given. Then what it
    says is certain, even if a part of the settings file could not be read."""
    is_read = options.config is not None
    return all(
        setting.name in options.named or (is_read and setting.name not in options.unread)
        for setting in _settings(text)
    )


def _settings(text: str) -> Iterator[Setting]:
    return (_BY_OPTION[option] for option in _OPTION.findall(text) if option in _BY_OPTION)


def _key(setting: Setting) -> str:
    return f"[{setting.table}] {setting.key}"


def _item(place: Place, path: Path) -> Any:
    """What is written for this path, which may be one of a list."""
    if not is_list(place.written):
        return place.written
    folder = Path(place.file).parent
    return next((item for item in place.written if folder / str(item) == path), str(path))


# Words


def _as_in_file(options: Options, text: str) -> str:
    done, table = "", ""
    while found := _OPTION.search(text):
        before, text = text[: found.start()], text[found.end() :]
        done += before
        setting = _BY_OPTION.get(found[0])
        if setting is None or setting.name in options.given:
            done += found[0]
            continue
        done += _key(setting) if setting.table != table else setting.key
        table = setting.table or ""
        value = next((each for each in _values(options, setting) if _begins(text, each)), None)
        if value is not None:
            done += f" = {_toml(setting, value)}"
            text = text[len(value) + 1 :]
        elif setting.kind.shape in ("flag", "switch"):
            done += " = true"
    return done + text


def _values(options: Options, setting: Setting) -> Iterable[str]:
    """What may follow the option in a text, the longest first."""
    values = _all(getattr(options, setting.name))
    return sorted({*map(str, values), *setting.kind.choices, *_METAVARS} - {""}, key=len, reverse=True)


def _all(value: Any) -> tuple[Any, ...]:
    return value if _is_tuple(value) else (value,)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _begins(text: str, value: str) -> bool:
    return bool(value) and re.match(rf" {re.escape(value)}(?![\w-])", text) is not None


def _toml(setting: Setting, value: str) -> str:
    return value if setting.kind.metavar in ("N", "N|auto") else shown(value)
