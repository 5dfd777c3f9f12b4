"""Takes the envelope of a trial from the one that was kept with the message in a Maildir.

::

    new/NAME  ──▶ envelopes/NAME.json ──▶ MAIL, RCPT, EHLO and the login, unless the command line says them
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from .model import Case

__all__ = ["with_kept"]

_NOT_IN_A_COMMAND: Final = re.compile(r"[\r\n\0]")
_DATA_CAN: Final = ("7BIT", "8BITMIME")
"""The values of BODY with which DATA may be used."""


def with_kept(case: Case, record: Mapping[str, Any]) -> tuple[Case, tuple[str, ...]]:
    """The case with what the record of the envelope says and the command line does not, and what that is, in
    words. Another program may have written the record, so what does not fit in it is ignored."""
    kept: dict[str, Any] = {}
    words: list[str] = []
    sender = _text(record.get("mail_from"))
    if case.mail_from is None and sender is not None:
        kept |= {"mail_from": sender, "parameters": _parameters(record.get("mail_parameters"))}
        words.append("sender")
    if not case.rcpt_to and (recipients := _texts(record.get("rcpt_to"))):
        kept["rcpt_to"] = recipients
        words.append("recipients")
    if case.helo is None and (helo := _text(record.get("helo"))):
        kept["helo"] = helo
        words.append(f"HELO {helo}")
    if case.login is None and (login := _text(record.get("login"))):
        kept["login"] = login
        words.append(f"login {login}")
    return attrs.evolve(case, **kept), tuple(words)


def _text(value: object) -> str | None:
    if not isinstance(value, str) or _NOT_IN_A_COMMAND.search(value):
        return None
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return value


def _texts(value: object) -> tuple[str, ...]:
    """All of them, or none if one does not fit."""
    found = [_text(each) for each in cast("list[object]", value)] if isinstance(value, list) else []
    return tuple(each for each in found if each) if all(found) else ()


def _parameters(value: object) -> tuple[str, ...]:
    """The parameters of MAIL, without the size, which is that of the message now."""
    found: list[str] = []
    for keyword, said in cast("dict[str, object]", value).items() if isinstance(value, dict) else ():
        upper = keyword.upper()
        if upper == "SIZE" or (upper == "BODY" and str(said).upper() not in _DATA_CAN):
            continue
        if (text := _text(keyword if said is None else f"{keyword}={said}")) is not None:
            found.append(text)
    return tuple(found)
