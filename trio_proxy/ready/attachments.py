"""Refuses messages with certain attachments: by name, by type, or by size."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
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

from ._contents import TooMuch
from ._file_patterns import content_types, file_names
from ._parts import TOO_MANY, Part, read
from ._patterns import fits
from ._readings import doubt_of, names_of, types_of
from ._settings import size_of_messages

__all__ = ["Attachments", "rules"]

PROGRAMS: Final = (
    *("*.bat", "*.chm", "*.cmd", "*.com", "*.cpl", "*.exe", "*.hta", "*.jar", "*.js", "*.jse", "*.lnk"),
    *("*.msi", "*.pif", "*.ps1", "*.reg", "*.scr", "*.vbe", "*.vbs", "*.wsf", "*.wsh"),
)
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")


@attrs.frozen
class Attachments:
    """Refuses messages with certain attachments, also inside attached messages. ::

        [rules.attachments]
        names = ["*.exe", "*.js", "invoice*.zip"]   # if left out: programs and scripts of Windows
        types = ["application/x-msdownload", "audio/*"]
        max_attachment = "10 MB"                    # decoded
        max_message = "25 MB"                       # as it is sent
        broken = false                              # if left out: true

    In a pattern ``*`` is any text and ``?`` one character; case does not matter, nor do dots and blanks at
    the end of a name. A part, a name or a type counts if any common mail program sees it. With ``broken`` a
    message is refused if mail programs read its parts in different ways; without it such a message passes if
    no reading has anything to refuse. Archives and encrypted parts are not opened.
    """

    guards: ClassVar[bool] = True
    names: tuple[str, ...] = attrs.field(default=PROGRAMS, validator=file_names)
    types: tuple[str, ...] = attrs.field(default=(), validator=content_types)
    max_attachment: Size | None = None
    max_message: Size | None = attrs.field(default=None, validator=size_of_messages)
    broken: bool = True

    def __attrs_post_init__(self) -> None:
        sizes = (self.max_attachment, self.max_message)
        if not (self.names or self.types or self.broken or any(sizes)):
            raise ValueError("nothing would be refused: give names, types, max_attachment or max_message")
        if all(sizes) and sizes[0] >= sizes[1]:  # type: ignore[operator]
            raise ValueError("max_attachment is never reached: max_message is not larger")

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return self._too_large(tx.size)

    @threaded  # large messages take a while
    def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        if too_large := self._too_large(msg.size):
            return too_large
        try:
            return next(self._refusals(read(msg.raw)), None)
        except TooMuch as error:
            return Reject(550, f"5.6.0 {error} are refused here")

    def _refusals(self, root: Part) -> Iterator[Reject]:
        yield from self._of_names(names_of(root))
        yield from self._of_types(types_of(root))
        if (doubt := doubt_of(root)) and (self.broken or doubt == TOO_MANY):
            yield Reject(550, f"5.6.0 what mail programs read in different ways is refused here: {doubt}")
        if self.max_attachment is not None:
            yield from self._of_sizes(filter(_is_attachment, root.walk()), self.max_attachment)
        if doubt:
            yield from self._of_names(names_of(root, loosely=True))
            yield from self._of_types(types_of(root, loosely=True))

    def _of_names(self, names: Iterable[str]) -> Iterator[Reject]:
        for name in names:
            for taken in _as_taken(name):
                if fits(taken, self.names):
                    yield Reject(550, f"5.7.1 attachments such as {_printable(taken)} are refused here")

    def _of_types(self, types: Iterable[str]) -> Iterator[Reject]:
        for kind in types:
            if fits(kind, self.types):
                yield Reject(550, f"5.7.1 attachments of type {_printable(kind)} are refused here")

    def _of_sizes(self, parts: Iterable[Part], most: int) -> Iterator[Reject]:
        if any(len(content) > most for part in parts for content in part.readings):
            yield Reject(552, f"5.3.4 an attachment is larger than {most} octets")

    def _too_large(self, size: int) -> Reject | None:
        if self.max_message is None or size <= self.max_message:
            return None
        return Reject(552, f"5.3.4 the message is larger than {self.max_message} octets")


def _as_taken(name: str) -> Iterator[str]:
    """The name as a recipient's system may read it: without control characters, or with an X for each, or
    only up to the first NUL."""
    text = unicodedata.normalize("NFKC", name)
    forms = {text} if text.isascii() and text.isprintable() else _printable_forms(text)
    for form in forms:
        yield re.split(r"[/\\]", form)[-1].partition("::")[0].strip("\"' \t").rstrip(". \t")


def _printable_forms(text: str) -> set[str]:
    forms = (text, text.partition("\0")[0], _CONTROL.sub("X", text))
    return {
        "".join(char for char in form if not unicodedata.category(char).startswith("C")) for form in forms
    }


def _is_attachment(part: Part) -> bool:
    return part.disposition == "attachment" or bool(part.names) or not part.content_type.startswith("text/")


def _printable(text: str) -> str:
    return re.sub(r"[^!-~ ]", "?", text)[:60]


rules = [Attachments]
