"""Shows values of a settings file in messages, with secrets masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeGuard

__all__ = ["MASK", "is_list", "is_secret", "is_table", "masked", "plain", "secrets_of", "shown"]

MASK: Final = "********"
_LONGEST: Final = 60
_SECRET_KEY: Final = re.compile(r"passw(?:or)?d|passphrase|secret|token|credential|keys?$", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(?<=://)[^/@\s\"']*@")


def is_table(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_secret(key: str) -> bool:
    """True if the value of a key with this name must not be shown."""
    return _SECRET_KEY.search(key) is not None


def shown(value: Any) -> str:
    """A value as TOML. Long texts are cut, and tables and lists are shown only as brackets."""
    if is_table(value):
        return "{...}" if value else "{}"
    if is_list(value):
        return "[...]" if value else "[]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Converting a huge number to decimal may take long, or be refused.
        return str(value) if value.bit_length() < 200 else "a very large number"
    if not isinstance(value, str):
        return str(value)
    text = value if len(value) <= _LONGEST else value[:_LONGEST] + "..."
    return json.dumps(text, ensure_ascii=not text.isprintable())


def plain(text: str) -> str:
    """The text in one line, with control characters escaped, because a terminal would obey them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def secrets_of(value: Any, *, secret: bool = False) -> Iterator[str]:
    """The texts and numbers under secret keys, at any depth."""
    if is_table(value):
        for key, item in value.items():
            yield from secrets_of(item, secret=secret or is_secret(key))
    elif is_list(value):
        for item in value:
            yield from secrets_of(item, secret=secret)
    elif secret and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value) if not isinstance(value, int) or value.bit_length() < 200 else hex(value)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets in any of their spellings, and without passwords in URLs."""
    ways = {way for secret in secrets for way in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}
    for way in sorted(filter(None, ways), key=len, reverse=True):
        text = text.replace(way, MASK)
    return _IN_URL.sub(MASK + "@", text)
