"""Adds a footer to the text of a message, where its MIME structure allows it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import attrs
import structlog

from sansio_smtp.rules import Message, Transaction, threaded

from . import _html
from ._parts import Part, read
from ._texts import Encode, Unchangeable, insert

__all__ = ["Footer", "rules"]

__extra__ = "html"

log = structlog.stdlib.get_logger("smtp_proxy")

_SEALED: Final = (
    *("multipart/signed", "multipart/encrypted"),
    *("application/pkcs7-mime", "application/x-pkcs7-mime"),
)
_NO_TEXT: Final = ("multipart/report", "multipart/digest", "multipart/form-data", "multipart/byteranges")
_STUFFED: Final = re.compile(r"^(?=[ >]|From )", re.MULTILINE)


def _lines(text: str) -> str:
    """The text with CRLF line ends, and without blanks at the ends of lines, except in ``-- `` above a
    signature."""
    lines = text.strip("\r\n").replace("\r\n", "\n").split("\n")
    return "\r\n".join(line if line == "-- " else line.rstrip() for line in lines)


@attrs.frozen
class Footer:
    """Adds ``text`` to the text of a message, and ``html`` to its HTML. ::

        [rules.footer]
        text = '''
        Example Ltd, 1 Example Street'''
        html = "<p>Example Ltd<br>1 Example Street</p>"   # if left out: made from text

    The footer goes below the first text of the message that is not empty, in each of its forms
    (multipart/alternative): below plain text, and in HTML at the end of what is shown, even if tags, comments
    or scripts are still open there. No other octet changes. A part whose charset cannot represent the footer
    becomes UTF-8. A text that already ends with the footer does not get it again.

    Some parts get no footer: attachments, signed or encrypted parts (S/MIME, PGP), reports, parts with broken
    structure or encoding, text in an unknown charset, and framesets. The log names parts that are broken or
    cannot get a footer. The footer breaks a DKIM signature that is already there: sign after this rule.
    """

    text: str = attrs.field(converter=_lines)
    html: str = attrs.field(converter=_lines, default="")

    @threaded  # large messages take a while
    def message(self, tx: Transaction, msg: Message) -> None:
        root = read(msg.raw)
        if any(part.content_type in _SEALED for part in _own(root)):
            return
        if flaw := next((part.flaw for part in _own(root) if part.flaw), ""):
            log.warning("the message gets no footer", conn=tx.conn.id, error=flaw)
            return
        texts = list(_texts(root))
        if any(b"-----BEGIN PGP " in part.content for part in texts):
            return
        raw = root.raw
        for part in reversed(texts):
            try:
                octets = self._with_footer(part)
            except Unchangeable:
                log.warning("a part has no place for the footer", conn=tx.conn.id, part=part.content_type)
                continue
            raw = raw[: part.start] + octets + raw[part.end :]
        if raw != root.raw:
            msg.replace(raw)

    def _with_footer(self, part: Part) -> bytes:
        if not (part.fields.has_end or (part.start and part.fields.raw.endswith(b"\n"))):
            raise Unchangeable
        if part.content_type == "text/html":
            return insert(part, self._in_html, is_html=True)
        flowed = part.parameter("format").lower() == "flowed"  # RFC 3676 §4.4
        text = _STUFFED.sub(" ", self.text) if flowed else self.text
        return insert(part, partial(_under, text))

    def _in_html(self, content: bytes, encode: Encode) -> tuple[int, bytes] | None:
        lines = "<br>\r\n".join(html.escape(line) for line in self.text.split("\r\n"))
        footer = self.html or f"<p>{lines}</p>"
        page = content.decode("latin-1")  # an offset is the same in both, and tags are ASCII
        place = _html.place_under(page, encode(footer).decode("latin-1").strip())
        if place is None:
            raise Unchangeable
        if place.is_plain:
            return _under(self.text, content, encode)
        return None if place.is_there else (place.at, encode(f"{place.closing}\r\n{footer}\r\n"))


def _under(text: str, content: bytes, encode: Encode) -> tuple[int, bytes] | None:
    if content.rstrip().endswith(encode(text).strip()):
        return None
    above = "\r\n" if content.endswith(b"\n") or not content else "\r\n\r\n"
    below = "" if content and not content.endswith(b"\n") else "\r\n"  # as before
    return len(content), encode(f"{above}{text}{below}")


def _own(part: Part) -> Iterator[Part]:
    """A part and the parts in it, without the parts of attached messages."""
    yield part
    if part.content_type.startswith("multipart/"):
        for inner in part.parts:
            yield from _own(inner)


def _texts(part: Part) -> Iterator[Part]:
    """The parts that get a footer: the first text, in each of its forms."""
    kind = part.content_type
    if kind in ("text/plain", "text/html"):
        if part.disposition != "attachment" and not part.names:
            yield part
    elif kind == "multipart/alternative":
        for inner in part.parts:
            yield from _texts(inner)
    elif kind.startswith("multipart/") and kind not in _NO_TEXT:
        found = [texts for inner in part.parts if (texts := list(_texts(inner)))]
        full = (texts for texts in found if any(text.content.strip() for text in texts))
        yield from next(full, found[0] if found else ())


rules = [Footer]
