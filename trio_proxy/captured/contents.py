"""Takes a message apart for people: header fields, text, attachments.

The structure is read by Python's `email`, charsets and encoded words as the rules of this project read them,
which take any octets. Nothing here raises for what a sender has written.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message as Part
from typing import Any, Final, cast

import attrs

from sansio_smtp.rules import Message, charsets, mime

__all__ = ["Attachment", "Contents", "attachments_of", "contents_of"]

_TEXTS: Final = ("text/plain", "text/html")
_MOST_PARTS: Final = 1_000


@attrs.frozen
class Attachment:
    """A part of a message that is a file, or that is no text."""

    name: str
    """Empty if it has none."""
    type: str
    size: int
    """Octets, decoded."""


@attrs.frozen
class Contents:
    """What a message holds."""

    fields: tuple[tuple[str, str], ...]
    """Names and values, decoded, in their order."""
    text: str
    """The text of all parts of type text/plain; lines end in LF."""
    html: str
    """The same of type text/html."""
    attachments: tuple[Attachment, ...]


def contents_of(octets: bytes) -> Contents:
    """Takes a message apart."""
    fields = tuple((field.name, field.value) for field in Message(octets).headers)
    texts: dict[str, list[str]] = {kind: [] for kind in _TEXTS}
    attachments: list[Attachment] = []
    for part, attachment, data in _parts(octets):
        if attachment is None:
            kind = part.get_content_type()
            text = charsets.decode(data, str(part.get_content_charset("") or ""))
            texts[kind].append(text.replace("\r\n", "\n").replace("\r", "\n"))
        else:
            attachments.append(attachment)
    plain, html = ("\n".join(texts[kind]) for kind in _TEXTS)
    return Contents(fields, plain, html, tuple(attachments))


def attachments_of(octets: bytes) -> Iterator[tuple[Attachment, bytes]]:
    """The attachments with their content, decoded."""
    return ((attachment, data) for _, attachment, data in _parts(octets) if attachment is not None)


def _parts(octets: bytes) -> Iterator[tuple[Part, Attachment | None, bytes]]:
    """Each part with its content; None if it is no attachment, but text of the message."""
    for part in _leaves(mime.parse(octets)):
        kind, name, data = part.get_content_type(), _name(part), _octets(part)
        is_text = kind in _TEXTS and not name and part.get_content_disposition() != "attachment"
        yield part, None if is_text else Attachment(name, kind, len(data)), data


def _leaves(message: Part) -> Iterator[Part]:
    """The parts that have no parts, in their order; a message in a message counts as one."""
    left: list[Part] = [message]
    for _ in range(_MOST_PARTS):
        if not left:
            return
        part = left.pop()
        payload: Any = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            left += reversed(cast("list[Part]", payload))
        else:
            yield part


def _octets(part: Part) -> bytes:
    try:
        data: Any = part.get_payload(decode=True)
        if data is None:  # a message in this message
            data = b"".join(bytes(each) for each in cast("list[Part]", part.get_payload()))
    except Exception:  # such as an encoding that is none, or a header field that cannot be written
        data = b""
    return data if isinstance(data, bytes) else b""


def _name(part: Part) -> str:
    """The name of a file. Many senders use encoded words for it, which RFC 2047 forbids."""
    try:
        name = part.get_filename("")
    except Exception:  # parameters that cannot be read
        name = ""
    return mime.decode(str(name).encode("utf-8", "surrogateescape"))
