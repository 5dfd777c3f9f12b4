"""``smtp-proxy show``: what the built-in server has kept."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from trio_proxy.captured.contents import attachments_of, contents_of
from trio_proxy.captured.data import message_data, summary_data
from trio_proxy.captured.mailbox import NO_MESSAGE, Mailbox, MailboxError, Stored, Summary
from trio_proxy.captured.page import list_lines, message_lines
from trio_proxy.captured.saving import save_attachments
from trio_proxy.text.escaping import plain_lines
from trio_proxy.text.masking import plain
from trio_proxy.text.output import write, write_error_line, write_line, write_octets

from . import exit_status

__all__ = ["How", "Which", "run_save", "run_show"]

How = Literal["text", "json", "raw"]
Which = int | Literal["all", "last"]


def run_show(directory: Path, which: Which, how: How, to: str | None = None) -> int:
    """Shows the messages in a directory: a list of all, the newest, or that with a number. ``to``: the list
    has only those with this recipient. Returns the exit status."""
    mailbox = Mailbox(directory)
    try:
        if which == "all":
            _show_all(mailbox, how, to)
        else:
            _show_one(mailbox, mailbox.message(None if which == "last" else which), how)
    except MailboxError as error:
        write_error_line(plain(f"smtp-proxy: {error}"))
        return exit_status.FAILED
    return 0


def run_save(directory: Path, number: int | None, where: Path) -> int:
    """Saves the attachments of a message, or of the newest, as files in ``where``. Returns the exit
    status."""
    mailbox = Mailbox(directory)
    is_saved = False
    try:
        octets = mailbox.content(mailbox.message(number))
        for path in save_attachments(attachments_of(octets), where):
            is_saved = True
            write_line(plain(f"saved {path}"))
    except MailboxError as error:
        write_error_line(plain(f"smtp-proxy: {error}"))
        return exit_status.FAILED
    except OSError as error:
        write_error_line(plain(f"smtp-proxy: nothing can be saved in {where}: {error.strerror}"))
        return exit_status.FAILED
    if not is_saved:
        write_line("This message has no attachments.")
    return 0


def _show_all(mailbox: Mailbox, how: How, to: str | None) -> None:
    summaries = _summaries(mailbox)
    if to is not None:
        summaries = iter([each for each in summaries if each.is_to(to)])
    if how == "json":
        _write_json([summary_data(each) for each in summaries])
        return
    found = list(summaries)
    if not found:
        write_line(plain(f"{mailbox.path} {NO_MESSAGE if to is None else f'holds no message to {to}'}"))
        return
    for line in list_lines(found, _columns_of_terminal()):
        write_line(line)


def _summaries(mailbox: Mailbox) -> Iterator[Summary]:
    for stored in mailbox.messages():
        try:
            yield mailbox.summary(stored)
        except MailboxError as error:
            write_error_line(plain(f"smtp-proxy: {error}"))


def _show_one(mailbox: Mailbox, stored: Stored, how: How) -> None:
    octets = mailbox.content(stored)
    if how == "raw":
        if _columns_of_terminal() is None:
            write_octets(octets)
        else:  # which would obey what is in it
            write(plain_lines(octets.decode("utf-8", "backslashreplace").replace("\r\n", "\n")))
        return
    summary, contents = mailbox.summary(stored), contents_of(octets)
    if how == "json":
        _write_json(message_data(summary, contents))
        return
    for line in message_lines(summary, contents):
        write_line(line)


def _write_json(value: Any) -> None:
    write_line(json.dumps(value, indent=1))  # all but ASCII is escaped


def _columns_of_terminal() -> int | None:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):  # it is none; or standard output is closed
        return None
