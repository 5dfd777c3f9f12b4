"""Helpers for rules that depend on logins: patterns, tables of names, and the reply if the name is
unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

import attrs

from sansio_smtp.rules import Connection, Reject
from sansio_smtp.wire.login_names import prepared

__all__ = ["AddressesOfLogins", "fits_login", "unread"]

_UNCLEAR: Final = ""


def unread(consequence: str) -> Reject:
    """The refusal of a client whose login has a name that cannot be read."""
    return Reject(550, f"5.7.0 who has logged in cannot be read, so {consequence}")


def fits_login(conn: Connection, patterns: Sequence[str]) -> bool:
    """Returns True if one of the patterns fits the login of the client. ``*`` is any number of characters,
    ``?`` is one. Spelling does not matter, and case only if the server's logins are case-sensitive."""
    if conn.login is None or not patterns:
        return False
    return _expression(tuple(patterns), conn.case_sensitive_logins).match(conn.login) is not None


@lru_cache(maxsize=1_000)
def _expression(patterns: tuple[str, ...], case_sensitive: bool) -> re.Pattern[str]:
    names = (prepared(pattern, case_sensitive=case_sensitive) or pattern for pattern in patterns)
    return re.compile("|".join(translate(name.replace("[", "[[]")) for name in names))


@attrs.define(init=False)
class AddressesOfLogins:
    """The addresses of logins, from settings. Raises `ValueError` for a key that cannot be a login."""

    _tables: tuple[dict[str, str], dict[str, str]]

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._tables = {}, {}
        for given, address in addresses.items():
            for case_sensitive, table in enumerate(self._tables):
                name = prepared(given, case_sensitive=bool(case_sensitive))
                if name is None:
                    raise ValueError(
                        f"logins: {given!r} cannot be a login: it is empty, or has control characters"
                    )
                table[name] = address if table.get(name, address) == address else _UNCLEAR

    def of(self, conn: Connection) -> str | None:
        """The address of the client's login; None if it has none here. Empty if it has several: case does not
        matter, and the table has the login in several spellings."""
        table = self._tables[conn.case_sensitive_logins]
        return table.get(conn.login) if conn.login is not None else None
