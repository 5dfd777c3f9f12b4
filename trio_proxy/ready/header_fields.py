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
        replace = { Subject = ['^\[(\w+)\]', '(\1)'] }   # a regular expression, and what takes its place
        set = { Organization = "Example Ltd" }           # takes the place of any that is there
        add = { X-Env = "staging" }                      # one more, at the end

    In this order. An expression sees the value as text, encoded words decoded; fields that it leaves as they
    are keep their octets. Names are the same in any case.
    """

    remove: tuple[str, ...] = attrs.field(default=(), validator=field_names)
    replace: _Replacements = attrs.field(factory=_Replacements, validator=[field_names, _check])
    set: dict[str, str] = attrs.field(factory=dict[str, str], validator=fields)
    add: dict[str, str] = attrs.field(factory=dict[str, str], validator=fields)

    def __attrs_post_init__(self) -> None:
        if not (self.remove or self.replace or self.set or self.add):
            raise ValueError("nothing would be edited: write remove, replace, set or add")

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
