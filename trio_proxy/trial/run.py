"""``smtp-proxy test``: tries rules on messages, without a network and without a delivery, and reports."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial

import trio

from sansio_smtp.rules import RuleError
from sansio_smtp.wire.content import canonical
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.load import load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.output import write_error_line, write_line

from .client import TrialClient
from .host import TrialHost
from .model import Case, Trial
from .report import as_json, as_text, coloured, complaints

__all__ = ["run_trial"]


def run_trial(options: Options, messages: Sequence[tuple[str, bytes]], case: Case, how: str | None) -> bool:
    """Tries the rules on each message, given as its name and octets, in a connection of its own.

    Returns True if every expectation is met and no rule failed. ``how`` the result is written: None as text,
    ``"json"``, or ``"quiet"`` for mistakes only. Raises `RuleError`.
    """
    logs.configure(0)
    with redirect_stdout(sys.stderr):  # what rules print is not part of the report
        book = RuleBook(partial(load, options.rules, options.rule_settings))
        trials = trio.run(_try_all, book, options, messages, case)
    if how == "json":
        write_line(as_json(book.summary, trials))
    elif how == "quiet":
        for line in complaints(trials):
            write_error_line(line)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in as_text(book.summary, trials):
            write_line(coloured(line) if colour else line)
    return all(trial.ok for trial in trials)


async def _try_all(
    book: RuleBook, options: Options, messages: Sequence[tuple[str, bytes]], case: Case
) -> list[Trial]:
    settings = RuleSettings(timeout=options.rule_timeout, on_error=options.on_rule_error)
    host = TrialHost(settings)
    trials: list[Trial] = []
    cannot_start: RuleError | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(book.serve)
        except RuleError as error:
            cannot_start = error
        else:
            with book.use() as in_force, settings.watchdog.installed():
                rules = host.watched(in_force)
                for name, content in messages:
                    trial = Trial(name, _whole(content), case)
                    await TrialClient(trial, rules, host, options).converse()
                    trials.append(trial)
            nursery.cancel_scope.cancel(reason="all is said")
    if cannot_start is not None:  # raised here because the nursery would raise a group
        raise cannot_start
    return trials


def _whole(content: bytes) -> bytes:
    """The message as it travels: its lines end in CRLF, the last one too."""
    content = canonical(content)
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
