"""The tables and keys that a settings file may have, made from the declared settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from .declaring import Setting
from .options import LIMITS, RULES, SERVER, SETTINGS, TABLES

__all__ = ["KNOWN_TABLES", "SCHEMAS", "SETTINGS_BY_KEY", "place_for"]

SETTINGS_BY_KEY: Final[dict[str, dict[str, Setting]]] = {
    table: {setting.key: setting for setting in SETTINGS.values() if setting.table == table}
    for table in TABLES
}
"""Table → key → setting."""

SCHEMAS: Final[dict[str, type]] = {
    table: attrs.make_class(
        f"{table}_table",
        {key: attrs.field(type=setting.kind.toml, default=None) for key, setting in settings.items()},
    )
    for table, settings in SETTINGS_BY_KEY.items()
}
"""Table → class whose fields are its keys, for `settings.tables.fill`."""

_SUBTABLES: Final[dict[str, tuple[Setting, list[str]]]] = {
    f"{setting.table}.{setting.key}": (setting, [*attrs.fields_dict(setting.kind.toml)])
    for setting in SETTINGS.values()
    if isinstance(setting.kind.toml, type) and attrs.has(setting.kind.toml)
}
"""Nested table → its setting, and its keys."""

KNOWN_TABLES: Final = (
    *(
        name
        for table in TABLES
        for name in (table, *(each for each, (setting, _) in _SUBTABLES.items() if setting.table == table))
    ),
    f"{RULES}.NAME",
    "[route]",
)


_OTHER_NAMES: Final = {
    "tls_cert": (
        "certificate",
        "certificates",
        "cert",
        "cert_file",
        "certfile",
        "ssl_cert",
        "tls_certificate",
    ),
    "tls_key": ("private_key", "key_file", "keyfile", "ssl_key"),
    "tls": ("starttls",),
    "listen": ("port", "bind", "address", "listen_address"),
    "upstream": ("relay", "relayhost", "smarthost", "backend", "upstream_host", "mail_server"),
}
"""Key of the table of the service → other names that people know for it."""


_OF_RULES: Final = {
    (LIMITS, key): f"; the limit of {key} of a client is a setting of ready:rate_limit, below "
    f"[{RULES}.rate_limit]"
    for key in ("messages", "recipients")
}
"""Table and key that people expect → the rule that has it."""


def place_for(name: str, *, table: str = "", value: object = None) -> str:
    """A hint for a name that people may write in the wrong place; empty for any other name. ``table``: where
    it stands; ``value``: what is written for it."""
    if (table, name) in _OF_RULES:
        return _OF_RULES[table, name]
    right, key = _PLACES.get(name, ("", ""))
    if not right:
        return ""
    where = "instead" if right == table else f"below [{right}]"
    return f"; write {_line(key, value)} {where}"


def _line(key: str, value: object) -> str:
    """The key, with its value if that is known from what was written for another name."""
    if key == "tls" and value is True:
        return 'tls = "may"'
    if key == "listen" and type(value) is int and 0 <= value <= _LAST_PORT:
        return f'listen = "127.0.0.1:{value}"'
    return f'"{key}"'


_LAST_PORT: Final = 65_535


def _places() -> Iterator[tuple[str, tuple[str, str]]]:
    """Names and their places. If a name comes twice, the last counts."""
    yield from ((other, (SERVER, key)) for key, others in _OTHER_NAMES.items() for other in others)
    for table, (_, keys) in _SUBTABLES.items():
        yield from ((key, (table, key)) for key in keys)
    for table, settings in SETTINGS_BY_KEY.items():
        yield from ((setting.name, (table, key)) for key, setting in settings.items())
    for table, settings in SETTINGS_BY_KEY.items():
        yield from ((key, (table, key)) for key in settings)
    for table, (setting, keys) in _SUBTABLES.items():
        # --timeout 30 is for all phases, which is the first key of that table.
        yield setting.option.removeprefix("--"), (table, keys[0])


_PLACES: Final = dict(_places())
