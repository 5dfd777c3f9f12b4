"""``smtp-proxy test``: tries rules on messages, without a network and without a delivery, and reports."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Final

import click
import trio

from sansio_smtp.rules import RuleError
from sansio_smtp.wire.content import canonical
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.load import NO_RULE, load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.output import write_error_line

from .client import TrialClient
from .envelope import Envelope, envelope_of
from .host import TrialHost
from .kept import with_kept
from .letters import Letter
from .model import Case, Trial
from .reports import How, report_for

__all__ = ["run_trial"]

_NO_RULES: Final = f"there are no rules to be asked; {NO_RULE}"


def run_trial(options: Options, letters: Sequence[Letter], case: Case, how: How) -> bool:
    """Tries the rules on each message, in a connection of its own, and writes the report.

    Returns True if every expectation is met and no rule failed. Raises `RuleError`, and KeyboardInterrupt
    after the report on the messages that were tried before it.
    """
    logs.configure(0)
    run = _Run(options, letters, case, how)
    interrupted = False
    try:
        with redirect_stdout(sys.stderr):  # what rules print is not part of the report
            trio.run(run.try_all)
    except* KeyboardInterrupt:
        write_error_line(f"interrupted: {run.tried:,} of {len(letters):,} messages were tried")
        interrupted = True
    run.report.end()
    if interrupted:  # raised here, as an exception raised above may become a group
        raise KeyboardInterrupt
    return run.ok


class _Run:
    def __init__(self, options: Options, letters: Sequence[Letter], case: Case, how: How) -> None:
        self._options = options
        self._letters = letters
        self._case = case
        self._how = how
        self._out = sys.stdout
        self.report = report_for(how, len(letters))
        self.ok = True
        self.tried = 0

    async def try_all(self) -> None:
        options = self._options
        settings = RuleSettings(timeout=options.rule_timeout, on_error=options.on_rule_error)
        host = TrialHost(settings)
        book = RuleBook(partial(load, options.rules, options.rule_settings))
        cannot_start: RuleError | None = None
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(book.serve)
            except RuleError as error:
                cannot_start = error
            else:
                with book.use() as in_force, settings.watchdog.installed(), self._awaited() as letters:
                    with redirect_stdout(self._out):
                        self.report.begin(book.summary, "" if in_force.rules else _NO_RULES)
                    rules = host.watched(in_force)
                    for letter in letters:
                        trial = self._trial(letter)
                        if not trial.untried:
                            await TrialClient(trial, rules, host, options).converse()
                        self._tell(trial)
                nursery.cancel_scope.cancel(reason="all is said")
        if cannot_start is not None:  # raised here because the nursery would raise a group
            raise cannot_start

    def _trial(self, letter: Letter) -> Trial:
        try:
            content = _whole(letter.read())
        except OSError as error:
            return Trial(letter.name, b"", self._case, Envelope(), unreadable=str(error.strerror))
        case, kept = with_kept(self._case, letter.kept())
        return Trial(letter.name, content, case, envelope_of(content, case.mail_from, case.rcpt_to), kept)

    def _tell(self, trial: Trial) -> None:
        self.tried += 1
        self.ok = self.ok and trial.ok
        with redirect_stdout(self._out):
            self.report.add(trial)

    @contextmanager
    def _awaited(self) -> Generator[Iterable[Letter]]:
        """The messages, with a bar on a terminal that shows nothing else meanwhile."""
        shows_lines = self._how in ("lines", "all") and self._out.isatty()
        if len(self._letters) == 1 or shows_lines or not sys.stderr.isatty():
            yield self._letters
            return
        with click.progressbar(self._letters, label="messages", show_pos=True, file=sys.stderr) as bar:
            yield bar


def _whole(content: bytes) -> bytes:
    """The message as it travels: its lines end in CRLF, the last one too."""
    content = canonical(content)
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
