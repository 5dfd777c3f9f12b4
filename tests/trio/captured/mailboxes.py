"""Makes Maildirs as the built-in server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trio_proxy.storage.maildir import Maildir

__all__ = ["ENVELOPE", "HELLO", "keep"]

ENVELOPE = {"mail_from": "ann@me.example", "rcpt_to": ["bob@mx.example", "carol@mx.example"], "helo": "me"}
HELLO = b"From: Ann <ann@me.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"


def keep(directory: Path, message: bytes = HELLO, envelope: dict[str, Any] | None = None) -> Path:
    """Keeps a message, and returns its file."""
    maildir = Maildir(directory)
    name, file = maildir.create()
    file.write(message)
    maildir.keep(name, file, ENVELOPE if envelope is None else envelope)
    return directory / "new" / name
