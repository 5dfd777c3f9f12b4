"""Writes captured mail for people: the list of all messages, and one message.

Whatever a sender has written, no control character of it reaches the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from trio_proxy.text.escaping import plain_lines
from trio_proxy.text.masking import plain
from trio_proxy.text.units import rounded_size

from .contents import Contents
from .html import text_of_html
from .mailbox import Summary
from .widths import columns_of, shortened

__all__ = ["list_lines", "message_lines"]

_TITLES: Final = ("N", "kept", "from", "to", "size", "subject")
_TO_THE_RIGHT: Final = (0, 4)
_ADDRESSES: Final = (2, 3)
_MORE: Final = re.compile(r", \+[0-9]+\Z")
"""How many recipients there are besides the one that is shown."""
_MOST_ADDRESS: Final = 30
_LEAST_ADDRESS: Final = 12
_LEAST_SUBJECT: Final = 20
"""Columns in the list."""
_READABLE: Final = {
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"), " "),
    **dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff"), ""),
}
"""Blanks of several widths, and characters that nobody sees: both are common in newsletters, which would be
hard to read if they were escaped."""


def list_lines(summaries: Iterable[Summary], columns: int | None) -> Iterator[str]:
    """The list. ``columns``: the width of the terminal; None if it is no terminal."""
    rows = [_TITLES, *map(_row, summaries)]
    widths = [max(columns_of(row[place]) for row in rows) for place in range(len(_TITLES) - 1)]
    others = sum(width + 2 for place, width in enumerate(widths) if place not in _ADDRESSES)
    most = _MOST_ADDRESS
    if columns is not None:
        most = max(min(most, (columns - others - _LEAST_SUBJECT) // 2 - 2), _LEAST_ADDRESS)
    widths = [min(width, most) if place in _ADDRESSES else width for place, width in enumerate(widths)]
    left = None if columns is None else max(columns - sum(widths) - 2 * len(widths), _LEAST_SUBJECT)
    for row in rows:
        cells = [_cell(text, widths[place], place) for place, text in enumerate(row[:-1])]
        yield "  ".join([*cells, row[-1] if left is None else shortened(row[-1], left)]).rstrip()


def _row(summary: Summary) -> tuple[str, ...]:
    to = summary.recipients
    return (
        str(summary.stored.number),
        f"{summary.received:%Y-%m-%d %H:%M:%S}",
        _line(summary.sender) or "<>",
        (_line(to[0]) if to else "") + (f", +{len(to) - 1}" if len(to) > 1 else ""),
        rounded_size(summary.size),
        _line(summary.subject),
    )


def _cell(text: str, width: int, place: int) -> str:
    if columns_of(text) > width and (more := _MORE.search(text)) is not None:
        text = shortened(text[: more.start()], width - len(more[0])) + more[0]
    text = shortened(text, width)
    blanks = " " * (width - columns_of(text))
    return blanks + text if place in _TO_THE_RIGHT else text + blanks


def message_lines(summary: Summary, contents: Contents) -> Iterator[str]:
    """One message."""
    stored = summary.stored
    yield f"message {stored.number}  {plain(str(stored.path))}"
    yield f"  kept  {summary.received.isoformat(' ', 'seconds')}, {rounded_size(summary.size)}"
    if summary.envelope:
        yield f"  from  {_line(summary.sender) or '<>'}"
        yield f"  to    {', '.join(map(_line, summary.recipients))}"
        if mechanism := summary.envelope.get("login_mechanism"):
            name = summary.envelope.get("login") or "(a name that cannot be read)"
            yield f"  login {_line(str(name))}, with {_line(str(mechanism))}"
    yield ""
    yield from (f"{_line(name)}: {_line(value)}" for name, value in contents.fields)
    yield ""
    text, note = _text(contents)
    if note:
        yield f"({note})"
        yield ""
    yield from plain_lines(text.translate(_READABLE)).rstrip("\n").split("\n")
    if contents.attachments:
        yield ""
    yield from _attachments(contents)


def _text(contents: Contents) -> tuple[str, str]:
    """What is shown of the text, and what is to be said of it."""
    if not contents.html:
        return contents.text, ""
    if contents.text.strip():
        return contents.text, "this message has HTML too, which --json and --raw show"
    text = text_of_html(contents.html)
    if text is None:
        return contents.html, (
            "this message has HTML only, and this is its source; after pip install 'sansio-smtp[html]' pages "
            "of up to 100 kB are shown as text"
        )
    return text, "this message has HTML only; this is its text"


def _attachments(contents: Contents) -> Iterator[str]:
    rows: Sequence[tuple[str, str, str]] = [
        (_line(each.name) or "(no name)", _line(each.type), rounded_size(each.size))
        for each in contents.attachments
    ]
    for name, kind, size in rows:
        yield f"attachment  {name}  {kind}  {size}"


def _line(text: str) -> str:
    return plain(text.translate(_READABLE))
