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
_MOST_STEPS: Final = 12
_MOST_INNER: Final = 2

# The parser's work grows with tags times depth. No page for people is deeper than this, browsers stop at 512,
# and a page with many tags is read in steps, so that one that is deeper is found out before it takes long.
_TOO_DEEP: Final = " > ".join(["*"] * 400)
_STEP: Final = 20_000


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
    if _is_too_deep(page):
        return None
    for at in _inner(page):
        closing = _closing(page, at)
        if closing is not None:
            return Place(at, closing)
    return _at_end(page)


def is_shown(page: str, at: int) -> bool:
    """Returns True if text that begins there is shown, and is in no element."""
    found = _Found.of(page, at)
    return found is not None and not found.around


def _inner(page: str) -> Iterator[int]:
    """The last places before what may be an end tag of the body, or else of the document."""
    for end in _ENDS:
        if found := [match.start() for match in end.finditer(page)]:
            yield from reversed(found[-_MOST_INNER:])
            return


def _closing(page: str, at: int) -> str | None:
    """The end tags that are needed before text can be added there; None if it is no place for text."""
    if _in_noscript(page, at):
        return None
    closing = ""
    for _ in range(_MOST_STEPS):
        found = _Found.of(page, at, closing)
        if found is None:
            return None
        if not found.around:
            return closing if found.is_last else None
        closing += found.end_tags
    return None


def _at_end(page: str) -> Place | None:
    closing = "</noscript>" if _in_noscript(page, len(page)) else ""
    for _ in range(_MOST_STEPS):
        found = _Found.of(page, len(page), closing)
        if found is None:
            raw = _raw(page + closing)
            if raw == "plaintext":
                return Place(len(page), closing, is_plain=True)
            more = f"</{raw}>" if raw else _closer(page + closing)
            if more is None:
                return None
            closing += more
        elif found.around:
            closing += found.end_tags
        elif not found.is_last:  # in front of a table that is open
            closing += "</table>"
        else:
            return Place(len(page), closing)
    return None


def _closer(page: str) -> str | None:
    """What makes the mark appear: as an element, or in one whose content is text."""
    for closer in _CLOSERS:
        if _Found.of(page, len(page), closer) or _raw(page + closer):
            return closer
    return None


def _raw(page: str) -> str | None:
    """The element whose content is text in which the page ends."""
    tree = LexborHTMLParser(page + _ELEMENT)
    for node in reversed(tree.css(_RAW)):
        if _MARK in node.text(deep=True):
            return node.tag
    return None


def _in_noscript(page: str, at: int) -> bool:
    """Returns True if it may be in a noscript element: to programs with scripts all of that is text."""
    tags = [match[1] for match in _NOSCRIPT.finditer(page, 0, at)]
    return tags != [] and tags[-1] == ""


def _is_too_deep(page: str) -> bool:
    tags = [match.start() for match in _TAG.finditer(page)]
    cuts = [*tags[_STEP::_STEP], len(page)]
    return any(LexborHTMLParser(page[:cut]).css_first(_TOO_DEEP, strict=False) is not None for cut in cuts)


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

    @classmethod
    def of(cls, page: str, at: int, closing: str = "") -> _Found | None:
        """None if it is nowhere, or not in the body."""
        tree = LexborHTMLParser(page[:at] + closing + _ELEMENT + page[at:])
        mark = tree.css_first(f"body {_MARK}")
        if mark is None:
            return None
        around = [node.tag or "" for node in _above(mark)]
        return cls(around[: around.index("body")], not any(map(_is_seen, _after(mark))))


def _above(node: LexborNode) -> Iterator[LexborNode]:
    while (node := node.parent) is not None:  # type: ignore[assignment]
        yield node


def _after(node: LexborNode) -> Iterator[LexborNode]:
    while (node := node.next) is not None:  # type: ignore[assignment]
        yield node


def _is_seen(node: LexborNode) -> bool:
    return node.tag not in _UNSEEN and (
        bool(node.text(deep=True).strip()) or node.tag in ("img", "table", "hr", "video")
    )
