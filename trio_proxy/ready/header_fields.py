"""Adds, sets, changes or removes header fields."""

from __future__ import annotations

import re
from functools import partial

import attrs

from sansio_smtp.rules import Headers, Transaction

from ._settings import field_names, fields

__all__ = ["HeaderFields", "rules"]

_Replacements = dict[str, tuple[re.Pattern[str], str]]


def _check(rule: object, attribute: object, replace: _Replacements) -> None:
    for name, (pattern, replacement) in replace.items():
        try:
            re.compile(f"{pattern.pattern}|", pattern.flags).sub(replacement, "")
        except (re.error, IndexError) as error:
            raise ValueError(f'the replacement for "{name}" does not fit its expression: {error}') from error


@attrs.frozen
class HeaderFields:
    r"""Edits the header section of each message. ::

        [rules.header_fields]
        remove = ["X-Originating-IP", "User-Agent"]
        replace = { Subject = ['^\[(\w+)\]', '(\1)'] }   # a regular expression, and its replacement
        set = { Organization = "Example Ltd" }           # replaces the field if it is there
        add = { X-Env = "staging" }                      # adds a field at the end

    The steps run in this order. An expression sees the value as text with encoded words decoded; a field that
    it does not change keeps its octets. Case of names does not matter.
    """

    remove: tuple[str, ...] = attrs.field(default=(), validator=field_names)
    replace: _Replacements = attrs.field(factory=_Replacements, validator=[field_names, _check])
    set: dict[str, str] = attrs.field(factory=dict[str, str], validator=fields)
    add: dict[str, str] = attrs.field(factory=dict[str, str], validator=fields)

    def __attrs_post_init__(self) -> None:
        if not (self.remove or self.replace or self.set or self.add):
            raise ValueError("nothing would be edited: give remove, replace, set or add")

    def headers(self, tx: Transaction, headers: Headers) -> None:
        for name in self.remove:
            headers.remove(name)
        for name, (pattern, replacement) in self.replace.items():
            headers.replace(name, partial(pattern.sub, replacement))
        for name, value in self.set.items():
            headers.set(name, value)
        for name, value in self.add.items():
            headers.add(name, value)


rules = [HeaderFields]
