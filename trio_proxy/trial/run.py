"""``smtp-proxy test``: what rules would do with a message, told without a network and without a delivery."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any, Final

import attrs
import trio

from sansio_smtp.config import BareNewline, Config, Nul
from sansio_smtp.rules import Held, RuleError, RuleSet
from sansio_smtp.testing import Accepted, AsyncSession, willing_server
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import canonical
from sansio_smtp.wire.replies import Reply
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.load import load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.options import Options
from trio_proxy.text import logs
from trio_proxy.text.output import write_line

from .expectations import Expectation, Happened, happened
from .host import Asked, TrialHost

__all__ = ["Case", "Named", "Step", "Trial", "run_trial"]

_EXIT_FAILED: Final = 1
_NO_LIMIT: Final = 2**40
_CONTENT: Final = ("data", "headers", "body_line", "body", "message")


@attrs.frozen(kw_only=True)
class Case:
    """What a client says, besides the message, and what is to come of it."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    ip: str = "192.0.2.1"
    helo: str = "client.example"
    login: str | None = None
    expectations: tuple[Expectation, ...] = ()


@attrs.define(eq=False)
class Step:
    """One thing that the client did, the rules that were asked about it, and what it was told."""

    phase: str
    said: str
    asked: list[Asked] = attrs.field(factory=list[Asked])
    replies: list[Reply] = attrs.field(factory=list[Reply])
    forwarded: list[bytes] = attrs.field(factory=list[bytes])
    """The lines that servers got."""

    @property
    def reply(self) -> Reply | None:
        return self.replies[-1] if self.replies else None


@attrs.define(eq=False)
class Named:
    """A recipient that the client named."""

    address: str
    reply: Reply
    sent_as: str | None
    """What the server got; None if nothing."""

    @property
    def discarded(self) -> bool:
        return self.reply.severity == 2 and self.sent_as is None


@attrs.define(eq=False)
class Trial:
    """One message, and all that came of it."""

    name: str
    content: bytes
    """As the client sends it, decoded."""
    case: Case
    steps: list[Step] = attrs.field(factory=list[Step])
    named: list[Named] = attrs.field(factory=list[Named])
    added: list[str] = attrs.field(factory=list[str])
    """Recipients that rules have added."""
    delivered: Accepted | None = None
    upstream: str | None = None
    """The server that a rule has chosen."""
    held: Held | None = None
    broken: tuple[str, ...] = ()
    """See `BodyComplete.broken`."""

    @property
    def asked(self) -> Iterator[Asked]:
        for step in self.steps:
            yield from step.asked

    @property
    def failed(self) -> bool:
        """Whether a rule failed."""
        return any(asked.failure for asked in self.asked)

    @property
    def happened(self) -> list[Happened]:
        """What rules decided, and what the client was refused."""
        said = [(asked.rule.phase, asked.verdict) for asked in self.asked if asked.verdict is not None]
        told = [(step.phase, reply) for step in self.steps for reply in step.replies]
        return [found for phase, what in (*said, *told) if (found := happened(phase, what)) is not None]

    def meets(self, expectation: Expectation) -> bool:
        reached = {phase for step in self.steps for phase in _phases_of(step.phase)}
        return expectation.met_by(self.happened, reached, delivered=self.delivered is not None)

    @property
    def ok(self) -> bool:
        """Whether no rule failed, and every expectation is met."""
        return not self.failed and all(map(self.meets, self.case.expectations))


def run_trial(options: Options, messages: Sequence[tuple[str, bytes]], case: Case, how: str | None) -> int:
    """Tries the rules on each message, given as its name and octets, in a connection of its own.

    Returns 0, or 1 if an expectation is not met or a rule failed. ``how`` it is told: None is as text, else
    ``"json"`` or ``"quiet"``. Raises `RuleError`.
    """
    from .report import as_json, as_text, coloured, complaints

    logs.configure(0)
    book = RuleBook(partial(load, options.rules, options.rule_settings))
    with redirect_stdout(sys.stderr):  # what rules print is not part of the report
        trials = trio.run(_try_all, book, options, messages, case)
    if how == "json":
        write_line(as_json(book.summary, trials))
    elif how == "quiet":
        for line in complaints(trials):
            print(line, file=sys.stderr)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in as_text(book.summary, trials):
            write_line(coloured(line) if colour else line)
    return 0 if all(trial.ok for trial in trials) else _EXIT_FAILED


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
                    await _Client(trial, rules, host, options).converse()
                    trials.append(trial)
            nursery.cancel_scope.cancel(reason="all is said")
    if cannot_start is not None:  # not from within: it would come in a group
        raise cannot_start
    return trials


class _Client:
    """Says what a client would say that has one message, and notes what comes of it."""

    def __init__(self, trial: Trial, rules: RuleSet, host: TrialHost, options: Options) -> None:
        self._trial = trial
        self._case = trial.case
        self._host = host
        self._session = AsyncSession(
            rules, trial.case.ip, willing_server, host, _config(options), options.on_rule_error
        )

    async def converse(self) -> None:
        if await self._introduce():
            await self._submit()
        await self._step("disconnect", "QUIT" if not self._session.closed else "", self._session.quit)
        self._sum_up()

    async def _introduce(self) -> bool:
        session, case = self._session, self._case
        await self._step("connect", "", session.connect)
        if session.ok:
            await self._step("helo", f"EHLO {case.helo}", partial(session.helo, case.helo))
        if session.ok and case.login is not None:
            await self._step("auth", f"AUTH PLAIN, as {case.login}", partial(session.auth, case.login))
        return session.ok

    async def _submit(self) -> None:
        session, trial = self._session, self._trial
        await self._command("mail", f"MAIL FROM:<{self._case.mail_from}>{self._parameters()}")
        if not session.ok:
            return
        for address in self._case.rcpt_to:
            step = await self._command("rcpt", f"RCPT TO:<{address}>")
            assert step.reply is not None
            sent = _recipients(step)
            trial.named.append(Named(address, step.reply, sent[-1] if sent else None))
            if session.closed:
                return
        if any(named.reply.severity == 2 for named in trial.named):
            said = f"DATA, {len(trial.content):,} octets"
            step = await self._step("message", said, partial(session.message, trial.content))
            trial.added = _recipients(step)

    async def _command(self, phase: str, line: str) -> Step:
        return await self._step(phase, line, partial(self._session.command, line))

    async def _step(self, phase: str, said: str, take: Callable[[], Awaitable[Any]]) -> Step:
        session = self._session
        replies = len(session.replies)
        lines = {id(server): len(server.commands) for _, server in session.servers}
        await take()
        step = Step(phase, said, self._host.take(), session.replies[replies:])
        for _, server in session.servers:
            step.forwarded += server.commands[lines.get(id(server), 0) :]
        self._trial.steps.append(step)
        return step

    def _parameters(self) -> str:
        """What a client declares that knows its message."""
        content = self._trial.content
        parameters = [f"SIZE={len(content)}"]
        if not content.isascii():
            parameters.append("BODY=8BITMIME")
        addresses = "".join((self._case.mail_from, *self._case.rcpt_to))
        if not addresses.isascii() or not content.partition(b"\r\n\r\n")[0].isascii():
            parameters.append("SMTPUTF8")
        return "".join(f" {parameter}" for parameter in parameters)

    def _sum_up(self) -> None:
        session, trial = self._session, self._trial
        for upstream, server in session.servers:
            if server.accepted:
                trial.upstream, trial.delivered = upstream, server.accepted[-1]
        trial.held = session.held[-1] if session.held else None
        trial.broken = session.completed[-1].broken if trial.delivered is not None else ()


def _whole(content: bytes) -> bytes:
    """The message as it travels: its lines end in CRLF, the last one too."""
    content = canonical(content)
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


def _config(options: Options) -> Config:
    config = Config(
        bare_newline=BareNewline(options.bare_newline),
        nul=Nul(options.nul),
        max_message_size=options.max_message_size,
        reconnect=True,
    )
    if options.spool is not None:
        return attrs.evolve(config, max_held=_NO_LIMIT)  # here it is in memory anyway
    return config if options.max_held is None else attrs.evolve(config, max_held=options.max_held)


def _recipients(step: Step) -> list[str]:
    """The addresses of the RCPT commands that servers got."""
    commands = (Command.parse(line) for line in step.forwarded if line[:4].upper() == b"RCPT")
    return [command.path.address for command in commands if command.path is not None]


def _phases_of(step: str) -> tuple[str, ...]:
    return _CONTENT if step == "message" else (step, "command", "reply")
