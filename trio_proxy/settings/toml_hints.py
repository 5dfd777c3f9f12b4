"""Says what to write in place of a line that is no TOML, as people write it who know other notations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trio_proxy.text.masking import MASK, is_secret

__all__ = ["no_toml"]

_KEY: Final = r"[ \t]*(?P<key>[A-Za-z0-9_.-]+)[ \t]*"
_END: Final = r"[ \t]*(#.*)?$"
_BOOL: Final = "write true or false, in lower case and without quotes: {key} = "
_LINES: Final[tuple[tuple[str, str], ...]] = (
    (r"[ \t]*(//|;|--|/\*)", "a comment begins with #"),
    (r"(from \S+ import |import |def |class |@)", "this is Python; a file with rules is given with --rules"),
    (
        rf"{_KEY}=[ \t]*(?:\"[^\"]*\"|'[^']*'|[^\s\"'\[{{#,;]+)[ \t,;]+[A-Za-z0-9_-]+[ \t]*=",
        "each key stands on a line of its own",
    ),
    (
        ".*[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]",
        "these quotes are typographic; write plain ones: \" or '",
    ),
    (rf"{_KEY}=[ \t]*(?i:yes|on|true){_END}", _BOOL + "true"),
    (rf"{_KEY}=[ \t]*(?i:no|off|false){_END}", _BOOL + "false"),
    (rf"{_KEY}=[ \t]*(?i:none|null|nil|~){_END}", "TOML has no word for nothing; leave the line out"),
    (rf"{_KEY}={_END}", "the value after = is missing"),
    (rf"{_KEY}:{_END}", "this is YAML; in TOML a table stands in brackets: [{key}]"),
    (rf"{_KEY}:[ \t]*(?P<value>\S.*)$", "write = in place of the colon: {key} = {quoted}"),
    (rf"{_KEY}(#.*)?$", "a table stands in brackets, as in [{key}]; a key needs = and a value"),
    (rf"{_KEY}=[ \t]*\"[^\"]*\\[^\"]*\"", "between two \" a backslash has a meaning of its own; write '...'"),
    (rf"{_KEY}=[ \t]*(?P<quote>[\"'])(?:(?!(?P=quote)).)*$", "the quote that ends the text is missing"),
    (
        rf"{_KEY}=[ \t]*(?P<value>[\"'][^\[\]]*[\"'][ \t]*,.*[\"']){_END}",
        "several values stand in brackets: {key} = [{value}]",
    ),
    (
        rf"{_KEY}=[ \t]*(?P<value>[^\"'\[{{\s#][^\"'#]*)(#.*)?$",
        "texts stand in quotes: {key} = {quoted}",
    ),
    (r"[ \t]*\[[^\]]*$", "the bracket that ends the name of the table is missing"),
)
"""The beginning of a line → what to write; the first that fits counts."""
_LONGEST: Final = 500
"""Of a line so many characters are looked at: some of the patterns take long with longer ones."""
_SAID: Final = {
    "Cannot overwrite": "this key is written for the second time; it may be written once",
    "Invalid value": "the value is missing, or is none that TOML has",
}
"""The beginning of what the parser says → the same in words of our own, if no line tells more."""
_TWICE: Final = re.compile(r"Cannot declare \('(.*?)',?\) twice")
_JSON: Final = (
    'this looks like JSON; a settings file is TOML: a line [server], and below it listen = "127.0.0.1:2525"'
)


def no_toml(text: str, line: int, said: str) -> str:
    """What is wrong in a text that is no TOML. ``line``: counted from 1, 0 for the end of the text; ``said``:
    what the parser says of it."""
    if text.lstrip().startswith("{"):
        return _JSON
    if found := _TWICE.match(said):
        table = found[1].replace("', '", ".")
        first = _line_of_table(text, table)
        if first == line:  # the first time it was written as a key
            return f"[{table}] has a value already, in a line above; leave out one of them"
        where = f" (first in line {first})" if first else ""
        return f"[{table}] is written a second time{where}; write its keys below the first one"
    here = text.split("\n")[line - 1].rstrip("\r")[:_LONGEST] if line else ""
    if not said.startswith("Cannot"):  # then the line by itself is right
        for pattern, right in _LINES:
            if here and (match := re.match(pattern, here)):
                return _filled(right, match.groupdict())
    if said.startswith("Cannot overwrite") and (match := re.match(_KEY, here)):
        key = match["key"]
        return (
            f"{key} is written for the second time; write it once, several values in brackets: {key} = [...]"
        )
    own = next((words for start, words in _SAID.items() if said.startswith(start)), "")
    return own or said[0].lower() + said[1:]


def _line_of_table(text: str, table: str) -> int:
    """The first line that begins this table; 0 if none does, because it is written in another way."""
    begins = re.compile(rf"[ \t]*\[+[ \t]*{re.escape(table)}[ \t]*\]")
    return next((number for number, line in enumerate(text.split("\n"), 1) if begins.match(line)), 0)


def _filled(right: str, found: Mapping[str, str | None]) -> str:
    key, value = found.get("key") or "", (found.get("value") or "").strip()
    if is_secret(key):
        value = MASK
    quoted = value if value[:1] in ("'", '"') else f'"{value}"'
    return right.format(key=key, value=value, quoted=quoted)
