"""What a reader of MIME sees in a message, and what Python's email sees."""

from __future__ import annotations

import email
import re
import unicodedata
from collections.abc import Iterator
from email import policy

import attrs

from sansio_smtp.testing.strategies.hidden import SECRET

__all__ = ["Seen", "holds_the_secret", "is_the_file", "python_sees"]


@attrs.frozen
class Seen:
    """A part as a reader sees it."""

    content_type: str
    """Empty if the reader does not say."""
    names: tuple[str, ...]
    content: bytes


def is_the_file(part: Seen) -> bool:
    """Returns True if the client's system would take the part for a program."""
    names = ("".join(c for c in name if not unicodedata.category(c).startswith("C")) for name in part.names)
    return any(name.strip(" .\t").lower().endswith(".exe") for name in names)


def holds_the_secret(part: Seen) -> bool:
    return re.search(rb"\b" + SECRET + rb"\b", part.content.replace(b"\0", b"")) is not None


def python_sees(message: bytes) -> Iterator[Seen]:
    """The parts for the standard library, by its old and by its new way of reading."""
    for each in (policy.compat32, policy.default):
        try:
            for part in email.message_from_bytes(message, policy=each).walk():
                disposition = part.get_param("filename", header="content-disposition")
                names = (part.get_filename(), part.get_param("name"), disposition)
                content = part.get_payload(decode=True)
                yield Seen(
                    part.get_content_type(),
                    tuple(str(name) for name in names if name),
                    content if isinstance(content, bytes) else b"",
                )
        except Exception:  # there are messages that it cannot read
            continue
