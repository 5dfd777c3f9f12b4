"""The tables and keys that a settings file may have, made from the declared settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from sansio_smtp.names import closest
from trio_proxy.text.masking import is_table

from .declaring import Setting
from .options import RULES, SERVER, SETTINGS, TABLES

__all__ = [
    "ELSEWHERE",
    "SCHEMAS",
    "SETTINGS_BY_KEY",
    "SUBTABLES",
    "names_meant",
    "other_place",
    "place_for",
]

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

_OF_SUBTABLES: Final[dict[str, Setting]] = {
    f"{setting.table}.{setting.key}": setting
    for setting in SETTINGS.values()
    if isinstance(setting.kind.toml, type) and attrs.has(setting.kind.toml)
}
"""Nested table → its setting."""

SUBTABLES: Final[dict[str, list[str]]] = {
    name: [*attrs.fields_dict(setting.kind.toml)] for name, setting in _OF_SUBTABLES.items()
}
"""Nested table, such as ``server.timeouts`` → its keys."""

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


ELSEWHERE: Final = {
    **{
        key: f"; the limit of {key} of a client is a setting of ready:rate_limit, below [{RULES}.rate_limit]"
        for key in ("messages", "recipients")
    },
    **{
        key: f'; it is a condition of a route: write "{key}" below [[route]]'
        for key in ("client", "tls_name", "sender", "recipient")
    },
}
"""Key that people expect in a table of the service → what has it."""


_SECRETS: Final = {
    (setting.table, setting.key.removesuffix("_file")): f"; a secret does not stand in this file: write "
    f'{setting.key} = "FILE", or set the variable {variable}'
    for setting, variable in (
        (SETTINGS["upstream_password_file"], "SMTP_PROXY_UPSTREAM_PASSWORD"),
        (SETTINGS["oauth_client_secret_file"], "SMTP_PROXY_OAUTH_CLIENT_SECRET"),
        (SETTINGS["oauth_refresh_token_file"], "SMTP_PROXY_OAUTH_REFRESH_TOKEN"),
    )
}
"""Table and key of a secret itself → where it stands."""


def place_for(name: str, *, table: str = "", value: object = None) -> str:
    """A hint for a name that people may write in the wrong place; empty for any other name. ``table``: where
    it stands; ``value``: what is written for it."""
    if (table, name) in _SECRETS:
        return _SECRETS[table, name]
    if table in SETTINGS_BY_KEY:
        meant = closest(name, ELSEWHERE) if is_table(value) else name
        if meant in ELSEWHERE:
            return ELSEWHERE[meant]
    right, key = _PLACES.get(name, ("", ""))
    if not right:
        return ""
    where = "instead" if right == table else f"below [{right}]"
    return f"; write {_line(key, value)} {where}"


def names_meant(table: str, key: str) -> set[str]:
    """The names of the settings that may be meant by a key below a table: one, if that is clear, else all.
    An empty ``table``: the key stands above all tables."""
    keys = SETTINGS_BY_KEY.get(table, {})
    right, meant = (table, key) if key in keys else _PLACES.get(key, (table, closest(key, keys)))
    if setting := _OF_SUBTABLES.get(right) or SETTINGS_BY_KEY.get(right, {}).get(meant):
        return {setting.name}
    return {*SETTINGS}


def other_place(key: str) -> str:
    """Names the table of the service that has this key, if it is one alone; else empty."""
    having = [table for table, keys in SETTINGS_BY_KEY.items() if key in keys]
    return f' ("{key}" is a key of [{having[0]}])' if len(having) == 1 else ""


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
    for setting in SETTINGS.values():
        if setting.table is not None:
            yield setting.option.removeprefix("--").replace("-", "_"), (setting.table, setting.key)
    yield from ((other, (SERVER, key)) for key, others in _OTHER_NAMES.items() for other in others)
    for table, keys in SUBTABLES.items():
        yield from ((key, (table, key)) for key in keys)
    for table, settings in SETTINGS_BY_KEY.items():
        yield from ((setting.name, (table, key)) for key, setting in settings.items())
    for table, settings in SETTINGS_BY_KEY.items():
        yield from ((key, (table, key)) for key in settings)
    for table, setting in _OF_SUBTABLES.items():
        # --timeout 30 is for all phases, which is the first key of that table.
        yield setting.option.removeprefix("--"), (table, SUBTABLES[table][0])


_PLACES: Final = dict(_places())
