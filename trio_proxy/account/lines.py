"""Writes one line of the log for each record of an account."""

from __future__ import annotations

from typing import Any

from sansio_smtp import Command
from trio_proxy.text.session_log import SessionLog

from .records import Fate, MessageRecord, Recipient, Record, RefusalRecord, Seconds, SessionRecord

__all__ = ["Recipients", "address_of", "write_line"]


def write_line(log: SessionLog, record: Record) -> None:
    """Writes the line of a record."""
    if isinstance(record, MessageRecord):
        log.tell(f"message {record.fate.value}", _of_message(record))
    elif isinstance(record, RefusalRecord):
        log.tell(f"{record.verb} refused", _of_refusal(record))
    else:
        what = "session without mail" if record.sender is None else "message not completed"
        log.tell(what, _of_session(record))


def address_of(command: Command | None) -> str:
    """The address of MAIL or RCPT as lines show it, or a replacement if it has no valid path."""
    if command is None:
        return ""
    path = command.path
    if path is None:
        return command.argument.decode("utf-8", "backslashreplace")
    address = path.address
    if address.isascii():
        return address
    return address.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Recipients(list[dict[str, Any]]):
    """The recipients of a line: as data for JSON, as words for people."""

    def __repr__(self) -> str:
        is_split = len({each.get("fate") for each in self}) > 1 or any("reply" in each for each in self)
        return f"[{', '.join([_words(each, is_split=is_split) for each in self])}]"


def _words(values: dict[str, Any], *, is_split: bool) -> str:
    words: str = values["address"] or "<>"
    if "sent_as" in values:
        words += f" as {values['sent_as']}"
    if not is_split:
        return words
    if "fate" in values:
        words += f" {values['fate']}"
    if "by" in values:
        words += f" by {values['by']}"
    return f"{words} ({values['reply']})" if "reply" in values else words


def _of_message(record: MessageRecord) -> dict[str, Any]:
    """Leaves unknown values out while it makes the line, because it runs for each message and `_known` would
    look at all values once more."""
    values: dict[str, Any] = {
        "from": record.sender or "<>",
        "to": Recipients([_of_recipient(each, record) for each in record.recipients]),
        "by": record.by,
        "reply": record.reply,
    }
    if record.command:
        values["command"] = record.command
    if record.login:
        values["login"] = record.login
    if record.queue_id:
        values["queue_id"] = record.queue_id
    if (kept := record.kept) is not None:
        values["file"] = kept.file
        values["subject"] = kept.subject
        if kept.sender != record.sender:
            values["sent_from"] = kept.sender or "<>"
    if record.held_as:
        values["held_as"] = record.held_as
    if record.reason:
        values["reason"] = record.reason
    if record.upstream:
        values["upstream"] = record.upstream
    if record.upstream_tls:
        values["upstream_tls"] = record.upstream_tls
    if record.message_id:
        values["message_id"] = record.message_id
    if record.received is not None:
        values["size"] = record.received
    if record.size and record.size != record.received:
        values["sent_size"] = record.size
    if record.bare_lf:
        values["bare_lf"] = record.bare_lf
    if record.seconds is not None:
        _add_seconds(values, record.seconds)
    return values


def _of_recipient(recipient: Recipient, record: MessageRecord) -> dict[str, Any]:
    values: dict[str, Any] = {"address": recipient.address, "fate": recipient.fate.value}
    if recipient.sent_as:
        values["sent_as"] = recipient.sent_as
    if recipient.added:
        values["added"] = True
    is_other = recipient.by != record.by
    if is_other:
        values["by"] = recipient.by
    if is_other or recipient.reply != record.reply or recipient.queue_id != record.queue_id:
        values["reply"] = recipient.reply
        if recipient.queue_id:
            values["queue_id"] = recipient.queue_id
    return values


def _add_seconds(values: dict[str, Any], seconds: Seconds) -> None:
    if total := seconds.total:
        values["seconds"] = round(total, 3)
    if seconds.client:
        values["client_seconds"] = round(seconds.client, 3)
    if seconds.rules:
        values["rule_seconds"] = round(seconds.rules, 3)
    if seconds.server:
        values["server_seconds"] = round(seconds.server, 3)


def _of_refusal(record: RefusalRecord) -> dict[str, Any]:
    sender = record.sender
    return _known(
        {
            "from": "<>" if sender == "" else sender,
            "to": None if record.recipient is None else _refused(record.recipient),
            "by": record.by,
            "reply": record.reply,
            "login": record.login,
            "upstream": record.upstream,
        }
    )


def _refused(recipient: str) -> Recipients:
    """In the same form as in the line of a message, so that one search finds all lines about a recipient."""
    return Recipients([{"address": recipient, "fate": Fate.REFUSED.value}])


def _of_session(record: SessionRecord) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if record.sender is not None:
        values["from"] = record.sender or "<>"
        values["to"] = Recipients([{"address": to} for to in record.recipients])
    return _known(
        {
            **values,
            "helo": record.helo,
            "by": record.by,
            "reply": record.reply,
            "upstream": record.upstream,
            "message_id": record.message_id,
            "seconds": round(record.seconds, 3),
        }
    )


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != ""}
