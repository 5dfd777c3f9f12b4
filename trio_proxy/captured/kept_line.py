"""The line on the terminal about each message that the built-in server keeps.

::

    kept new/1795948004….eml  ann@example.com → bob@example.net, +2  "Subject"  2.1 kB

It is a line of the log, so all that is said of log lines holds for it: ``-q`` hides it, ``--log-addresses``
hides its addresses, and with ``--log-format json`` it is an object. For people it has a form of its own,
which fits into the terminal. Then there is no line "message relayed" for the same message, unless ``-v`` asks
for more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import structlog

from trio_proxy.account.lines import Recipients
from trio_proxy.driver.capture import Kept
from trio_proxy.text.masking import plain
from trio_proxy.text.units import rounded_size

from .certificate import CERTIFICATE_MADE, certificate_line
from .widths import columns_of, shortened

__all__ = ["kept_line", "lines_of_capture", "tell_kept"]

log = structlog.stdlib.get_logger("smtp_proxy.capture")

_KEPT: Final = "message kept"
_MOST_SUBJECT: Final = 200
"""Characters of a subject, where the line does not go to a terminal."""
_LEAST_SUBJECT: Final = 12
_LEAST_ADDRESS: Final = 16
"""Columns to which these are shortened at most."""
_ASCII: Final = {"→": "->", "…": "..."}

Lines = Mapping[str, Callable[[Mapping[str, Any]], str | None]]


def tell_kept(kept: Kept) -> None:
    """Logs that a message was kept."""
    tell = getattr(log, "tell", log.info)  # tests configure structlog as they like
    tell(
        _KEPT,
        file=kept.file,
        **{"from": kept.sender or "<>"},
        to=Recipients([{"address": address} for address in kept.recipients]),
        subject=kept.subject,
        size=kept.size,
    )


def lines_of_capture(built_in: str, *, all_lines: bool) -> Lines:
    """The lines of a text log that have a form of their own (`logs.configure`). ``built_in``: the name of
    the built-in server. ``all_lines``: leave out none."""

    def of_relayed(values: Mapping[str, Any]) -> str | None:
        is_said = values.get("upstream") == built_in  # else it went to a server that a rule has named
        return "" if is_said and not all_lines else None

    return {_KEPT: _of_kept, "message relayed": of_relayed, CERTIFICATE_MADE: certificate_line}


def _of_kept(values: Mapping[str, Any]) -> str:
    line = kept_line(values, _columns_of_terminal())
    try:
        line.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        for character, instead in _ASCII.items():
            line = line.replace(character, instead)
    return line


def kept_line(values: Mapping[str, Any], columns: int | None) -> str:
    """The line for people. ``values`` are those of the log line, texts escaped. ``columns``: the width of the
    terminal; None if it is no terminal."""
    name = str(values["file"])
    recipients = [plain(str(each["address"])) or "<>" for each in values["to"]]
    more = f", +{len(recipients) - 1}" if len(recipients) > 1 else ""
    size = rounded_size(values["size"])
    texts = [str(values["from"]), recipients[0], str(values["subject"])]

    def line() -> str:
        sender, recipient, subject = texts
        return f'kept {name}  {sender} → {recipient}{more}  "{subject}"  {size}'

    if columns is None:
        texts[2] = shortened(texts[2], _MOST_SUBJECT)
        return line()
    if columns_of(line()) > columns:
        name = _short_name(name)
    for place, least in ((2, _LEAST_SUBJECT), (0, _LEAST_ADDRESS), (1, _LEAST_ADDRESS)):
        if (too_many := columns_of(line()) - columns) > 0:
            texts[place] = shortened(texts[place], max(least, columns_of(texts[place]) - too_many))
    return line()


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
