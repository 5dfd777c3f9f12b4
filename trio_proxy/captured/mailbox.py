"""Reads the Maildir of captured mail: which messages there are, and what is known of each without its body.

Other programs use it at the same time: the built-in server adds messages, mail readers move them from ``new``
to ``cur`` and remove them. So a file that was there a moment ago may be gone.

::

    new/NAME      ┐                  NAME as the built-in server made it: number by time
    cur/NAME:2,S  ├──▶ Stored ──▶ envelopes/NAME.json ──▶ sender, recipients, time
    cur/other     ┘                  not there for messages of other programs: the header fields serve
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import attrs

from sansio_smtp.rules import Message

__all__ = ["NO_MESSAGE", "Mailbox", "MailboxError", "Stored", "Summary", "envelope_of"]

NO_MESSAGE: Final = (
    "holds no message: none has come, or all were removed; send one, and if it is not kept, see the log: "
    "a rule may have discarded it"
)
"""What is said of a Maildir without messages, after its path."""
_FOLDERS: Final = ("new", "cur")
_BESIDE: Final = frozenset(("tmp", "envelopes", "certificate.pem"))
"""What is in a Maildir from which the messages were removed with their directories."""
_NAME: Final = re.compile(r"([0-9]{1,12})(\.[0-9]{1,9})?(?:\.P[0-9]+Q([0-9]{1,12}))?")
_HEAD: Final = 65_536
"""Octets of a message in which its header fields are looked for."""


class MailboxError(Exception):
    """Why there is nothing to show; the text says what to do."""


@attrs.frozen
class Stored:
    """The file of a message."""

    number: int
    """Its place among all messages, by age; the oldest is 1."""
    path: Path
    seconds: float
    """When it came, in seconds of the epoch."""

    @property
    def file(self) -> str:
        """Relative to the Maildir."""
        return f"{self.path.parent.name}/{self.path.name}"


@attrs.frozen
class Summary:
    """What is known of a message without its body."""

    stored: Stored
    sender: str
    """Of the envelope; empty for the null reverse-path."""
    recipients: tuple[str, ...]
    subject: str
    size: int
    envelope: Mapping[str, Any]
    """All that is known of the envelope; empty for a message that another program has put there."""

    def is_to(self, address: str) -> bool:
        """Returns True if this is one of its recipients, in any case of its letters."""
        return address.casefold() in map(str.casefold, self.recipients)

    @property
    def received(self) -> datetime:
        """When it came, in local time with its zone."""
        return datetime.fromtimestamp(self.stored.seconds, UTC).astimezone()


@attrs.frozen
class Mailbox:
    """The Maildir in this directory."""

    path: Path

    def messages(self) -> list[Stored]:
        """All messages, oldest first. Raises `MailboxError` if there is no Maildir."""
        found = sorted(self._found())
        return [Stored(number, path, age[0]) for number, (age, path) in enumerate(found, 1)]

    def message(self, number: int | None) -> Stored:
        """The message with this number; None: the newest. Raises `MailboxError` if there is none."""
        messages = self.messages()
        if not messages:
            raise MailboxError(f"{self.path} {NO_MESSAGE}")
        if number is None:
            return messages[-1]
        if number > len(messages):
            count = len(messages)
            text = "one message" if count == 1 else f"{count} messages"
            what = "--last shows the newest, and without a number they are listed"
            raise MailboxError(f"there is no message {number}: {self.path} holds {text}; {what}")
        return messages[number - 1]

    def summary(self, stored: Stored) -> Summary:
        """Raises `MailboxError` if the file is gone or cannot be read."""
        try:
            with open(stored.path, "rb") as file:
                head = file.read(_HEAD)
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise _unreadable(stored, error) from error
        headers = Message(head).headers
        envelope = envelope_of(stored.path)
        sender, recipients = envelope.get("mail_from"), envelope.get("rcpt_to")
        if not isinstance(recipients, list):
            return Summary(
                stored,
                headers.get("From") or "",
                (headers.get("To") or "",),
                headers.get("Subject") or "",
                size,
                {},
            )
        return Summary(
            stored,
            str(sender or ""),
            tuple(map(str, cast("list[object]", recipients))),
            headers.get("Subject") or "",
            size,
            envelope,
        )

    def content(self, stored: Stored) -> bytes:
        """The octets of a message. Raises `MailboxError` if the file is gone or cannot be read."""
        try:
            return stored.path.read_bytes()
        except OSError as error:
            raise _unreadable(stored, error) from error

    def _found(self) -> Iterator[tuple[tuple[float, int, str], Path]]:
        """The age and the file of each message."""
        is_maildir = False
        for folder in _FOLDERS:
            try:
                with os.scandir(self.path / folder) as entries:
                    is_maildir = True
                    for entry in entries:
                        if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                            yield _age(entry), Path(entry.path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise MailboxError(f"{self.path / folder} cannot be read: {error.strerror}") from error
        if not is_maildir:
            raise MailboxError(self._why_no_maildir())

    def _why_no_maildir(self) -> str:
        if not self.path.exists():
            return (
                f"there is no directory {self.path}: no mail was kept here yet, or smtp-proxy runs in "
                "another directory; name the directory with --capture DIR"
            )
        with suppress(OSError):  # it is a file
            if set(os.listdir(self.path)) <= _BESIDE:
                return (
                    f"{self.path} is empty: its messages were removed, or smtp-proxy keeps mail in another "
                    "directory, which --capture DIR names; send a message: the running smtp-proxy makes "
                    "what is missing here"
                )
        return (
            f"{self.path} is no Maildir: there is no directory 'new' in it; name the directory in which "
            "smtp-proxy keeps mail with --capture DIR"
        )


def envelope_of(message: Path) -> dict[str, Any]:
    """The envelope that was kept with the message in this file; empty if there is none, or if the file is not
    in ``new`` or ``cur`` of a Maildir."""
    message = message.absolute()
    if message.parent.name not in _FOLDERS:
        return {}
    name = message.name.partition(":")[0]  # without the flags of mail readers
    try:
        found = json.loads((message.parent.parent / "envelopes" / f"{name}.json").read_bytes())
    except (OSError, ValueError, RecursionError):  # another program has put the message there
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _age(entry: os.DirEntry[str]) -> tuple[float, int, str]:
    """By which messages are sorted: the time, the number in which they began, the name."""
    found = _NAME.match(entry.name)
    if found is None:
        try:
            return entry.stat().st_mtime, 0, entry.name
        except OSError:  # it is gone
            return 0.0, 0, entry.name
    return float(found[1] + (found[2] or "")), int(found[3] or 0), entry.name


def _unreadable(stored: Stored, error: OSError) -> MailboxError:
    if isinstance(error, FileNotFoundError):
        return MailboxError(
            f"message {stored.number} is gone: another program has moved or removed {stored.path}; look again"
        )
    return MailboxError(f"{stored.path} cannot be read: {error.strerror}")
