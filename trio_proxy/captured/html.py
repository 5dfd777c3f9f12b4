"""Makes text of a page of HTML, for mail that has no other text. The parser is that of the extra ``html``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["text_of_html"]

_LARGEST: Final = 100_000
"""Characters. The time of the parser grows faster than a page that is made for that."""
_UNSEEN: Final = "head, script, style, template, title, noscript"
_BLOCKS: Final = (
    "address, article, aside, blockquote, br, div, dd, dl, dt, fieldset, figure, footer, form, h1, h2, h3, "
    "h4, h5, h6, header, hr, li, main, nav, ol, p, pre, section, table, tr, ul"
)
_CELLS: Final = "td, th"
_BREAK: Final = "\ufdd0"
"""Stands for the end of a line, where a space in the page may be one or not."""
_BLANKS: Final = re.compile(r"\s+")
_LINES: Final = re.compile(rf" ?{_BREAK} ?")
_GAPS: Final = re.compile(r"\n{3,}")


def text_of_html(page: str) -> str | None:
    """The text of a page, with the addresses of links; None if the parser is not installed, or if the page is
    larger than it is given."""
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ModuleNotFoundError:
        return None
    if len(page) > _LARGEST:
        return None
    tree = LexborHTMLParser(page.replace(_BREAK, " "))
    if tree.body is None:
        return ""
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css("a[href]"):
        address = (node.attributes.get("href") or "").strip()
        if address and address != node.text().strip():
            node.insert_after(f" <{address}>")
    for node in tree.css(_CELLS):
        node.insert_after(" ")
    for node in tree.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    text = _BLANKS.sub(" ", tree.body.text().replace(_BREAK, f" {_BREAK} "))
    return _GAPS.sub("\n\n", _LINES.sub("\n", text)).strip()
