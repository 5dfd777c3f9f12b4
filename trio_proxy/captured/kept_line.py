"""The line on the terminal about each message that the built-in server keeps.

::

    kept new/1795948004….eml  ann@example.com → bob@example.net, +2  "Subject"  2.1 kB

It is the line of the log about the message, so all that is said of log lines holds for it: ``-q`` hides it,
``--log-addresses`` hides its addresses, and with ``--log-format json`` it is an object. For people it has a
form of its own, which fits into the terminal, unless ``-v`` asks for all values.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final, cast

from trio_proxy.text.masking import plain
from trio_proxy.text.units import rounded_size

from .certificate import CERTIFICATE_MADE, certificate_line
from .widths import columns_of, shortened

__all__ = ["kept_line", "lines_of_capture"]

_KEPT: Final = "message kept"
_MOST_SUBJECT: Final = 200
"""Characters of a subject, where the line does not go to a terminal."""
_LEAST_SUBJECT: Final = 12
_LEAST_ADDRESS: Final = 16
"""Columns to which these are shortened at most."""
_IN_LINE: Final = frozenset(("file", "subject", "size", "bare_lf"))
_NOT_SHOWN: Final = frozenset(("event", "level", "timestamp"))
_ASCII: Final = {"→": "->", "…": "..."}

Lines = Mapping[str, Callable[[Mapping[str, Any]], str | None]]


def lines_of_capture(*, says_all: bool) -> Lines:
    """The lines of a text log that have a form of their own (`logs.configure`). ``says_all``: they have all
    values, and are as long as they get."""

    def of_kept(values: Mapping[str, Any]) -> str:
        if not says_all:
            return _shown(kept_line(values, _columns_of_terminal()))
        more = [f"{key}={_text(value)}" for key, value in values.items() if key not in _IN_LINE | _NOT_SHOWN]
        return _shown("  ".join((kept_line(values, None), " ".join(more))))

    return {_KEPT: of_kept, CERTIFICATE_MADE: certificate_line}


def _shown(line: str) -> str:
    """The line in characters that standard error has."""
    try:
        line.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        for character, instead in _ASCII.items():
            line = line.replace(character, instead)
    return line


def _text(value: object) -> str:
    """As in other lines of a text log."""
    text = str(value)
    return repr(value) if " " in text or not text else text


def kept_line(values: Mapping[str, Any], columns: int | None) -> str:
    """The line for people. ``values`` are those of the log line, texts escaped. ``columns``: the width of the
    terminal; None if it is no terminal."""
    name = str(values["file"])
    recipients = _recipients(values["to"])
    more = f", +{len(recipients) - 1}" if len(recipients) > 1 else ""
    size = rounded_size(values.get("sent_size", values["size"]))
    mark = f"  bare LF {values['bare_lf']}" if "bare_lf" in values else ""
    texts = [str(values.get("sent_from", values["from"])), recipients[0], str(values["subject"])]

    def line() -> str:
        sender, recipient, subject = texts
        return f'kept {name}  {sender} → {recipient}{more}  "{subject}"  {size}{mark}'

    if columns is None:
        texts[2] = shortened(texts[2], _MOST_SUBJECT)
        return line()
    if columns_of(line()) > columns:
        name = _short_name(name)
    for place, least in ((2, _LEAST_SUBJECT), (0, _LEAST_ADDRESS), (1, _LEAST_ADDRESS)):
        if (too_many := columns_of(line()) - columns) > 0:
            texts[place] = shortened(texts[place], max(least, columns_of(texts[place]) - too_many))
    return line()


def _recipients(to: object) -> list[str]:
    """The addresses to which the message was kept. ``to`` is a text if one of them held characters that were
    escaped."""
    if not isinstance(to, list):
        return [str(to)]
    recipients = cast("list[dict[str, Any]]", to)
    return [plain(str(each.get("sent_as", each["address"]))) or "<>" for each in recipients]


def _short_name(name: str) -> str:
    """``new/1795948004….eml``: the second in which the message began. A file manager shows them in that
    order, and ``new/1795948004*`` finds it."""
    path = PurePosixPath(name)
    return f"{path.parent}/{path.name.partition('.')[0]}…{path.suffix}"


def _columns_of_terminal() -> int | None:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (AttributeError, OSError, ValueError):  # there is none; or standard error is closed
        return None
