"""Where text can be added to an HTML page so that it is seen: under all that is there, and in nothing else.

No search for ``</body>`` can tell: it may stand in a comment, in a script, in the value of an attribute; and
what is open at the end of a page, such as a comment or a hidden element, would swallow what is added. So each
place is tried: a page with a mark there is read by a parser that builds the tree of a browser (lexbor, which
follows the HTML standard to the letter). The place is good if the mark is in the body itself, and the last
thing there that is shown. What is open at the end is closed first, by the end tags of what the mark was in.

The mark is a child of the body, and of no other element: no style of an element that is left open applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs
from selectolax.lexbor import LexborHTMLParser, LexborNode

__all__ = ["Place", "is_shown", "place_under"]

_MARK: Final = "x-smtp-proxy-mark"
_ELEMENT: Final = f"<{_MARK}>{_MARK}</{_MARK}>"
_ENDS: Final = (re.compile("</body", re.IGNORECASE), re.compile("</html", re.IGNORECASE))
_NOSCRIPT: Final = re.compile("<(/?)noscript", re.IGNORECASE)
_TAG: Final = re.compile("<")

# Elements whose content is text for the parser, and what may be open where the mark is in no element at all:
# a comment, a tag, the value of an attribute, a template, a section of characters in SVG.
_RAW: Final = "script,style,title,textarea,xmp,iframe,noembed,noframes,noscript,plaintext"
_CLOSERS: Final = ("-->", ">", '">', "'>", "</template>", "</select>", "]]>")
_UNSEEN: Final = frozenset(("script", "style", "template", "title", "-comment"))
_SEEN: Final = frozenset(("img", "table", "hr", "video"))
_MOST_STEPS: Final = 12
_MOST_INNER: Final = 2

# The parser's work grows with tags times depth. No page for people is deeper than this, browsers stop at 512,
# and a page with many tags is read in steps, so that one that is deeper is found out before it takes long.
_TOO_DEEP: Final = " > ".join(["*"] * 400)
_STEP: Final = 20_000


_MOST_READ: Final = 100_000_000
"""Characters that are read for one page, all attempts together: some seconds."""


@attrs.frozen
class Place:
    at: int
    """Before this character."""
    closing: str = ""
    """What has to be written first, to close what is open."""
    is_plain: bool = False
    """True if tags are shown as text there (``<plaintext>``)."""


def place_under(page: str) -> Place | None:
    """The place for more text, or None: a frameset, a page that is too deep, or one that defies all this."""
    try:
        return _Search(page).place()
    except _TooMuch:
        return None


def is_shown(page: str, at: int) -> bool:
    """Returns True if text that begins there is shown, and is in no element."""
    found = _Search(page).found(at)
    return found is not None and not found.around


class _TooMuch(Exception):
    """More would have to be read than one page is worth."""


@attrs.frozen
class _Found:
    """Where the mark is in the tree of a page."""

    around: list[str]
    """The elements that it is in, from the inside, without the body and the document."""
    is_last: bool
    """True if nothing that is shown follows it."""

    @property
    def end_tags(self) -> str:
        return "".join(f"</{name}>" for name in self.around)


@attrs.define
class _Search:
    page: str
    left: int = _MOST_READ

    def place(self) -> Place | None:
        if self.is_too_deep():
            return None
        for at in self.inner():
            closing = self.closing(at)
            if closing is not None:
                return Place(at, closing)
        return self.at_end()

    def inner(self) -> Iterator[int]:
        """The last places before what may be an end tag of the body, or else of the document."""
        for end in _ENDS:
            if found := [match.start() for match in end.finditer(self.page)]:
                yield from reversed(found[-_MOST_INNER:])
                return

    def closing(self, at: int) -> str | None:
        """The end tags that are needed before text can be added there; None if it is no place for text."""
        closing = ""
        for _ in range(0 if self.in_noscript(at) else _MOST_STEPS):
            found = self.found(at, closing)
            if found is None:
                return None
            if not found.around:
                return closing if found.is_last else None
            closing += found.end_tags
        return None

    def at_end(self) -> Place | None:
        end = len(self.page)
        closing = "</noscript>" if self.in_noscript(end) else ""
        for _ in range(_MOST_STEPS):
            found = self.found(end, closing)
            if found is None:
                raw = self.raw(closing)
                if raw == "plaintext":
                    return Place(end, closing, is_plain=True)
                more = f"</{raw}>" if raw else self.closer(closing)
                if more is None:
                    return None
                closing += more
            elif found.around:
                closing += found.end_tags
            elif not found.is_last:  # in front of a table that is open
                closing += "</table>"
            else:
                return Place(end, closing)
        return None

    def closer(self, closing: str) -> str | None:
        """What makes the mark appear: as an element, or in one whose content is text."""
        for closer in _CLOSERS:
            if self.found(len(self.page), closing + closer) or self.raw(closing + closer):
                return closer
        return None

    def found(self, at: int, closing: str = "") -> _Found | None:
        """Where a mark at this place is; None if it is nowhere, or not in the body."""
        tree = self.read(self.page[:at] + closing + _ELEMENT + self.page[at:])
        mark = tree.css_first(f"body {_MARK}")
        if mark is None:
            return None
        around = [node.tag or "" for node in _above(mark)]
        return _Found(around[: around.index("body")], not any(map(_is_seen, _after(mark))))

    def raw(self, closing: str) -> str | None:
        """The element whose content is text in which the page ends."""
        tree = self.read(self.page + closing + _ELEMENT)
        for node in reversed(tree.css(_RAW)):
            if _MARK in node.text(deep=True):
                return node.tag
        return None

    def in_noscript(self, at: int) -> bool:
        """Returns True if it may be in a noscript element: to programs with scripts all of that is text."""
        tags = [match[1] for match in _NOSCRIPT.finditer(self.page, 0, at)]
        return tags != [] and tags[-1] == ""

    def is_too_deep(self) -> bool:
        tags = [match.start() for match in _TAG.finditer(self.page)]
        cuts = [*tags[_STEP::_STEP], len(self.page)]
        return any(LexborHTMLParser(self.page[:cut]).css_first(_TOO_DEEP) is not None for cut in cuts)

    def read(self, page: str) -> LexborHTMLParser:
        self.left -= len(page)
        if self.left < 0:
            raise _TooMuch
        return LexborHTMLParser(page)


def _above(node: LexborNode) -> Iterator[LexborNode]:
    up = node.parent
    while up is not None:
        yield up
        up = up.parent


def _after(node: LexborNode) -> Iterator[LexborNode]:
    after = node.next
    while after is not None:
        yield after
        after = after.next


def _is_seen(node: LexborNode) -> bool:
    return node.tag not in _UNSEEN and (node.tag in _SEEN or bool(node.text(deep=True).strip()))
