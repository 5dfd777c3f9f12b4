"""Brings the domains that people write in settings to the form in which rules see domains."""

from __future__ import annotations

import re
from typing import Final

from sansio_smtp.errors import MailboxError
from sansio_smtp.wire import domains

__all__ = ["normal_domain"]

_NEVER: Final = re.compile(r"[\x00-,/:-@\[-^`{-\x7f]")
"""An ASCII character that is in no label and is no dot."""
_ONE_DOT: Final = (
    "a dot alone is no domain; if it is a letter of a text that stands in place of a list, "
    'write ("old.example",)'
)
_PATTERN: Final = '; a pattern is one of addresses, written in the rule: @on("rcpt", match="*@*.example.com")'


def normal_domain(text: str) -> str:
    """The normal form of a domain or an address literal. Raises `MailboxError` if it has none."""
    try:
        return domains.normal_domain(text)
    except MailboxError as error:
        raise MailboxError(_meant(text) or str(error)) from None


def _meant(text: str) -> str:
    """What is wrong with a text that was not written as a domain; empty if there is no better word."""
    if text == ".":  # a converter that takes a list of domains was given a text
        return _ONE_DOT
    local, at, domain = text.rpartition("@")
    if local and at:
        return f"this is an address; its domain is {domain}"
    if at:
        return f"a domain has no @; write {domain}"
    found = _NEVER.search(text)
    if found is None or text.startswith("["):
        return ""
    character = found[0]
    if character == " ":
        return "a blank is in no domain"
    return f'"{character}" is in no domain{_PATTERN if character in "*?" else ""}'
