"""The envelope of a trial: from ``--from`` and ``--to``, or else from the message's own fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from sansio_smtp.rules import Message
from sansio_smtp.rules.headers import Field
from sansio_smtp.rules.mailboxes import read_mailboxes

__all__ = ["Envelope", "envelope_of"]

_SENDER: Final = ("Return-Path", "Sender", "From")
"""The fields that name a sender, the one that says most about the envelope first."""
_RECIPIENTS: Final = ("To", "Cc", "Bcc")
_NOT_IN_A_COMMAND: Final = re.compile(r"[\r\n\0]")
_NO_SENDER: Final = "--from ADDRESS (the message has none in Return-Path, Sender or From)"
_NO_RECIPIENT: Final = "--to ADDRESS (the message has none in To, Cc or Bcc)"


@attrs.frozen
class Envelope:
    """The sender and the recipients of one message."""

    sender: str = ""
    recipients: tuple[str, ...] = ()
    sender_field: str = ""
    """The field of the message that the sender is from; empty if it was given."""
    recipient_fields: tuple[str, ...] = ()
    """The fields of the message that the recipients are from; empty if they were given."""
    missing: tuple[str, ...] = ()
    """The options that have to be given because the message does not say it, each with the reason."""

    @property
    def origin(self) -> str:
        """What is from the message's own fields, in words; empty if nothing is."""
        found: list[str] = []
        if self.sender_field:
            found.append(f"sender ({self.sender_field})")
        if self.recipient_fields:
            found.append(f"recipients ({', '.join(self.recipient_fields)})")
        return f"from the message's own fields: {', '.join(found)}" if found else ""


def envelope_of(content: bytes, mail_from: str | None, rcpt_to: Sequence[str]) -> Envelope:
    """The envelope of a message. What was given wins; None and no recipient mean that it was not given."""
    fields = list(Message(content).headers) if mail_from is None or not rcpt_to else []
    missing: list[str] = []
    sender, sender_field = mail_from, ""
    if sender is None:
        sender, sender_field = _sender(fields)
        if not sender_field:
            missing.append(_NO_SENDER)
    recipients: tuple[str, ...] = tuple(rcpt_to)
    recipient_fields: tuple[str, ...] = ()
    if not recipients:
        recipients, recipient_fields = _recipients(fields)
        if not recipients:
            missing.append(_NO_RECIPIENT)
    return Envelope(sender, recipients, sender_field, recipient_fields, tuple(missing))


def _sender(fields: Iterable[Field]) -> tuple[str, str]:
    """The sender, and the name of the field that says it; both are empty if none does."""
    for name in _SENDER:
        values = _values(fields, name)
        if found := _addresses(values):
            return found[0], name
        if name == "Return-Path" and any(value.strip() == b"<>" for value in values):
            return "", name  # a bounce has no sender
    return "", ""


def _recipients(fields: Iterable[Field]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The recipients, each once, and the names of the fields that say them."""
    by_field = {name: _addresses(_values(fields, name)) for name in _RECIPIENTS}
    addresses = dict.fromkeys(address for found in by_field.values() for address in found)
    return tuple(addresses), tuple(name for name, found in by_field.items() if found)


def _values(fields: Iterable[Field], name: str) -> list[bytes]:
    return [field.octets for field in fields if field.name.lower() == name.lower()]


def _addresses(values: Iterable[bytes]) -> list[str]:
    found = (mailbox.address for mailbox in read_mailboxes(values).found)
    return [address for address in found if address and not _NOT_IN_A_COMMAND.search(address)]
