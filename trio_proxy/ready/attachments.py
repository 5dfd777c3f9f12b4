"""Refuses messages with certain attachments: by name, by type, or by size."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar, Final

import attrs

from sansio_smtp.rules import (
    MailVerdict,
    Message,
    MessageVerdict,
    Reject,
    Sender,
    Transaction,
    threaded,
)
from trio_proxy.settings.tables import Size

from ._file_patterns import content_types, file_names
from ._parts import TOO_MANY, Part, read
from ._patterns import fits
from ._settings import size_of_messages

__all__ = ["Attachments", "rules"]

PROGRAMS: Final = (
    *("*.bat", "*.chm", "*.cmd", "*.com", "*.cpl", "*.exe", "*.hta", "*.jar", "*.js", "*.jse", "*.lnk"),
    *("*.msi", "*.pif", "*.ps1", "*.reg", "*.scr", "*.vbe", "*.vbs", "*.wsf", "*.wsh"),
)
MOST_NAMES: Final = 1_000
"""A part with more names is refused: it was made to keep the proxy busy."""
_UUENCODED: Final = re.compile(rb"begin (?<![^\n]begin )[0-7]{3,4} ([^\r\n]+)")


@attrs.frozen
class Attachments:
    """Refuses messages with certain attachments, also where these are in attached messages. ::

        [rules.attachments]
        names = ["*.exe", "*.js", "invoice*.zip"]   # if left out: programs and scripts of Windows
        types = ["application/x-msdownload", "audio/*"]
        max_attachment = "10 MB"                    # decoded
        max_message = "25 MB"                       # as it is sent
        broken = true                               # refuse what can be read in more than one way

    In a pattern ``*`` is any text and ``?`` one character; case does not matter, nor do dots and blanks at
    the end of a name. Names in any spelling of RFC 2231 and RFC 2047 are read. Archives are not looked
    into.
    """

    guards: ClassVar[bool] = True
    names: tuple[str, ...] = attrs.field(default=PROGRAMS, validator=file_names)
    types: tuple[str, ...] = attrs.field(default=(), validator=content_types)
    max_attachment: Size | None = None
    max_message: Size | None = attrs.field(default=None, validator=size_of_messages)
    broken: bool = False

    def __attrs_post_init__(self) -> None:
        sizes = (self.max_attachment, self.max_message)
        if not (self.names or self.types or self.broken or any(sizes)):
            raise ValueError("nothing would be refused: names and types are empty, and there is no limit")
        if all(sizes) and sizes[0] >= sizes[1]:  # type: ignore[operator]
            raise ValueError("max_attachment is never reached: max_message is not larger")

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return self._too_large(tx.size)

    @threaded  # large messages take a while
    def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        return self._too_large(msg.size) or next(filter(None, map(self._refusal, read(msg.raw).walk())), None)

    def _refusal(self, part: Part) -> Reject | None:
        for count, name in enumerate(_names(part), 1):
            if count > MOST_NAMES:
                return Reject(550, f"5.6.0 more than {MOST_NAMES} names in one part are refused here")
            if fits(name, self.names):
                return Reject(550, f"5.7.1 attachments such as {_printable(name)} are refused here")
        if fits(part.content_type, self.types):
            return Reject(550, f"5.7.1 attachments of type {_printable(part.content_type)} are refused here")
        if part.flaw == TOO_MANY or (part.flaw and self.broken):
            return Reject(550, f"5.6.0 the structure of the message is refused here: {part.flaw}")
        if (
            self.max_attachment is not None
            and _is_attachment(part)
            and len(part.content) > self.max_attachment
        ):
            return Reject(552, f"5.3.4 an attachment is larger than {self.max_attachment} octets")
        return None

    def _too_large(self, size: int) -> Reject | None:
        if self.max_message is None or size <= self.max_message:
            return None
        return Reject(552, f"5.3.4 the message is larger than {self.max_message} octets")


def _names(part: Part) -> Iterator[str]:
    """The names of the part's file, as the client's system will take them."""
    uuencoded = _UUENCODED.finditer(part.content) if part.content_type == "text/plain" else ()
    for name in chain(part.names, (found[1].decode("latin-1") for found in uuencoded)):
        text = unicodedata.normalize("NFKC", name)
        text = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
        yield re.split(r"[/\\]", text)[-1].partition("::")[0].rstrip(". \t")


def _is_attachment(part: Part) -> bool:
    return part.disposition == "attachment" or bool(part.names) or not part.content_type.startswith("text/")


def _printable(text: str) -> str:
    return re.sub(r"[^!-~ ]", "?", text)[:60]


rules = [Attachments]
