"""Finds where text can be added to an HTML page so that it is seen, at the end and outside other elements.

A search for ``</body>`` is not enough: it may be in a comment, in a script, or in the value of an attribute;
and a comment or hidden element that is still open at the end would hide the added text. So each place is
tried: a parser that follows the HTML standard exactly (lexbor) reads the page with a mark at that place and
builds the tree that a browser would build. The place is good if the mark is in the body itself, and is the
last thing there that is shown. Elements that are open at the end are closed first, with the end tags of the
elements that contain the mark.

The mark is a child of the body itself, so the style of an unclosed element does not apply to it.

On pages made to be slow, the parser takes more time than in proportion to their size. So a large page is read
in a separate process, which is killed when it takes too long.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import attrs
from selectolax.lexbor import LexborHTMLParser, LexborNode

__all__ = ["Place", "place_under"]

_MARK: Final = "x-smtp-proxy-mark"
_ELEMENT: Final = f"<{_MARK}>{_MARK}</{_MARK}>"
_ENDS: Final = (re.compile("</body", re.IGNORECASE), re.compile("</html", re.IGNORECASE))
_NOSCRIPT: Final = re.compile("<(/?)noscript", re.IGNORECASE)
_TAG: Final = re.compile("<[a-zA-Z]")

# Elements whose content is text for the parser; and what may be open if the mark is in no element: a comment,
# a tag, the value of an attribute, a CDATA section in SVG.
_RAW: Final = "script,style,title,textarea,xmp,iframe,noembed,noframes,noscript,plaintext"
_CLOSERS: Final = ("-->", ">", '">', "'>", "]]>")
_UNSEEN: Final = frozenset(("script", "style", "template", "title", "-comment"))
_SEEN: Final = frozenset(("img", "table", "hr", "video"))
_MOST_STEPS: Final = 12
_MOST_INNER: Final = 2
_MOST_TEMPLATES: Final = 20

# The parser's work grows with tags times depth. Real pages are not deeper than this, and browsers stop at
# 512. A page with many tags is read in steps, so that a deeper one is detected before it takes long.
_TOO_DEEP: Final = " > ".join(["*"] * 400)
_STEP: Final = 20_000
_ENOUGH: Final = 6.0
"""CPU seconds after which a page is not parsed again."""

_LARGE: Final = 150_000
"""The number of characters from which a page is parsed in a separate process."""
_PATIENCE: Final = 25.0
"""The seconds after which such a process is killed."""


@attrs.frozen
class Place:
    at: int
    """The offset of the character before which text can be added."""
    closing: str = ""
    """The end tags to write first, to close what is open."""
    is_plain: bool = False
    """True if tags are shown as text there (``<plaintext>``)."""
    is_there: bool = False
    """True if the text is already shown directly above this place."""


def place_under(page: str, text: str = "") -> Place | None:
    """The place for more text, such as ``text``. None if there is none: in a frameset, in a page that is too
    deep or takes too long, or if every place fails."""
    if len(page) <= _LARGE:
        return _place(page, text)
    command = [sys.executable, "-P", __file__]
    given = json.dumps([page, text])
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except subprocess.SubprocessError:
        return None
    found = json.loads(done.stdout)
    return Place(**found) if found else None


def _place(page: str, text: str) -> Place | None:
    try:
        place = _Search(page).place()
    except _TooMuch:
        return None
    if place is None or not text:
        return place
    above = page[: place.at].rstrip()
    if not above.endswith(text):
        return place
    found = _Search(page).found(len(above) - len(text))
    return attrs.evolve(place, is_there=found is not None and not found.around)


class _TooMuch(Exception):
    """The page takes too long to parse."""


@attrs.frozen
class _Found:
    """Where the mark is in the tree of a page."""

    around: list[str]
    """The elements that contain the mark, innermost first, without the body and the document."""
    after: str = ""
    """The first element after the mark that is shown, or ``-text``; empty if nothing is."""
    in_template: bool = False
    is_text: bool = False
    """True if the innermost element holds the mark as text, and no elements."""

    @property
    def closing(self) -> str:
        """The end tags that leave these elements; first out of the table, if the parser moved the mark in
        front of it."""
        if self.after == "table":
            return "</table>"
        return "".join(f"</{name}>" for name in self.around)

    @property
    def is_good(self) -> bool:
        return not self.around and not self.after


@attrs.define
class _Search:
    page: str
    until: float = attrs.field(factory=lambda: time.thread_time() + _ENOUGH)

    def place(self) -> Place | None:
        if self.is_too_deep():
            return None
        for at in self.inner():
            closing = self.closing(at)
            if closing is not None:
                return Place(at, closing)
        return self.at_end()

    def inner(self) -> Iterator[int]:
        """The last places before a possible end tag of the body, or of the document."""
        for end in _ENDS:
            if found := [match.start() for match in end.finditer(self.page)]:
                yield from reversed(found[-_MOST_INNER:])
                return

    def closing(self, at: int) -> str | None:
        """The end tags that are needed before text can be added there; None if text cannot be added there."""
        closing = ""
        for _ in range(0 if self.in_noscript(at) else _MOST_STEPS):
            found = self.found(at, closing)
            if found is None or found.in_template or found.is_text or closing.endswith("</table></table>"):
                return None
            if found.is_good:
                return closing
            if not found.around and found.after != "table":
                return None
            closing += found.closing
        return None

    def at_end(self) -> Place | None:
        end = len(self.page)
        closing = ""
        for _ in range(_MOST_STEPS):
            found = self.found(end, closing)
            if found is None:
                more = self.closer(closing)
                if more is None:
                    return None
                closing += more
            elif found.around[:1] == ["plaintext"]:
                return Place(end, closing, is_plain=True)
            elif not found.is_good:
                closing += found.closing
            elif self.in_noscript(end) and not closing.endswith("</noscript>"):
                closing += "</noscript>"  # last: with scripts enabled, everything up to there is text
            else:
                return Place(end, closing)
        return None

    def closer(self, closing: str) -> str | None:
        """Returns the text that closes what is open, so that the mark after it is in the tree; None if none
        does."""
        return next((more for more in _CLOSERS if self.found(len(self.page), closing + more)), None)

    def found(self, at: int, closing: str = "") -> _Found | None:
        """Returns where in the tree a mark at this place is; None if it is not in the tree, or not in the
        body."""
        tree = self.read(self.page[:at] + closing + _ELEMENT + self.page[at:])
        if (mark := tree.css_first(f"body {_MARK}")) is not None:
            around = [node.tag or "" for node in _above(mark)]
            return _Found(around[: around.index("body")], _first_seen(mark))
        templates = list(_templates(tree))
        for root in templates:
            if (mark := root.css_first(_MARK)) is not None:
                around = [node.tag for node in _above(mark) if node.tag]
                return _Found([*around, "template"], in_template=True)
        raw = [node for nodes in (tree.css(_RAW), *(root.css(_RAW) for root in templates)) for node in nodes]
        for node in reversed(raw):
            if _MARK in node.text(deep=True):
                return _Found([node.tag or ""], is_text=True)
        return None

    def in_noscript(self, at: int) -> bool:
        """Returns True if the place may be in a noscript element, whose content is text when scripts are
        enabled."""
        tags = [match[1] for match in _NOSCRIPT.finditer(self.page, 0, at)]
        return tags != [] and tags[-1] == ""

    def is_too_deep(self) -> bool:
        tags = [match.start() for match in _TAG.finditer(self.page)]
        cuts = [*tags[_STEP::_STEP], len(self.page)]
        return any(self.read(self.page[:cut]).css_first(_TOO_DEEP) is not None for cut in cuts)

    def read(self, page: str) -> LexborHTMLParser:
        if time.thread_time() > self.until:
            raise _TooMuch
        return LexborHTMLParser(page)


def _above(node: LexborNode) -> Iterator[LexborNode]:
    up = node.parent
    while up is not None:
        yield up
        up = up.parent


def _first_seen(mark: LexborNode) -> str:
    """The first thing shown after the mark in its element: a tag, or ``-text``."""
    node = mark.next
    while node is not None:
        name = node.tag or ""
        if name not in _UNSEEN and (name in _SEEN or node.text(deep=True).strip()):
            return name
        node = node.next
    return ""


def _templates(tree: LexborHTMLParser) -> Iterator[LexborNode]:
    """The contents of templates, also of nested ones, which are not in the tree."""
    left = tree.template_fragments()[-_MOST_TEMPLATES:]
    for _ in range(_MOST_TEMPLATES):
        if left:
            yield (root := left.pop())
            left += root.template_fragments()


if __name__ == "__main__":
    answer = _place(*json.load(sys.stdin))
    json.dump(answer and attrs.asdict(answer), sys.stdout)
