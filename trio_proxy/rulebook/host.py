"""Runs rules in the service: in tasks with deadlines or in worker threads, with a log and a quarantine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import attrs
import trio

from sansio_smtp.rules import Accept, Hold, Host, Recipient, Redirect, Rule, Transaction
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.verdicts import Verdict
from trio_proxy.account.lines import Recipients, address_of
from trio_proxy.metrics.meter import NO_METER, Meter
from trio_proxy.settings.options import DEFAULTS
from trio_proxy.storage.quarantine import Quarantine
from trio_proxy.storage.writers import write_in_thread
from trio_proxy.text.session_log import Log
from trio_proxy.text.transcript import Transcript, printable

from .failing_line import failed_at
from .hints import hint_for
from .tasks import Call, RuleTasks
from .threads import RuleDown, RuleThreads
from .watchdog import Blocked, Watchdog

__all__ = ["RuleAccount", "RuleHost", "RuleSettings"]

_BLOCKING_SECONDS = 2.0
_LONG_SECONDS = 2.0
"""After this time the log and the transcript tell which rule is waited for."""
_NOTHING = (None, None)


@attrs.frozen(kw_only=True)
class RuleSettings:
    """The settings that the rules of all sessions share."""

    timeout: float = DEFAULTS.rule_timeout
    """Seconds for one call of a rule. A rule may have its own: `Rule.timeout`."""
    on_error: OnError = DEFAULTS.on_rule_error
    """What happens to mail when a rule fails."""
    quarantine: Quarantine = attrs.field(factory=lambda: Quarantine(DEFAULTS.quarantine))
    watchdog: Watchdog = attrs.field(factory=lambda: Watchdog(_BLOCKING_SECONDS))
    """Interrupts rules that block the event loop."""
    threads: RuleThreads = attrs.field(factory=RuleThreads)
    """Runs `threaded` rules, each in threads of its own."""
    meter: Meter = NO_METER
    """Counts what rules do: see `MeteredHost`."""
    tasks: RuleTasks | None = None
    """Runs the rules that are awaited, so that no session has to wait for a rule that cannot be cancelled.
    None: each session runs its rules itself, and waits for them."""


class RuleAccount(Protocol):
    """The account to which a `RuleHost` reports: see `trio_proxy.account.account.Account`."""

    def decided(self, rule: str, verdict: Verdict) -> None: ...
    def failed(self, rule: str, incident: str) -> None: ...
    def held(self, name: str, reason: str) -> None: ...


class RuleHost(Host):
    """The `Host` of the rules of one connection."""

    waits = True

    def __init__(
        self,
        settings: RuleSettings,
        log: Log,
        transcript: Transcript | None,
        account: RuleAccount | None = None,
    ) -> None:
        """``account`` gets the verdicts of rules on mail."""
        super().__init__()
        self._settings = settings
        self._watchdog = settings.watchdog
        self._log = log
        self._transcript = transcript
        self._account = account
        self._about: tuple[Transaction | None, object] = _NOTHING

    async def call(self, rule: Rule, *arguments: object) -> object:
        """Runs the rule in its own task, so that a cancel scope or task that the rule leaves open does not
        disturb the session. After its time the rule is cancelled; the session does not wait for its end."""
        call = Call(rule)
        seconds = self._seconds(rule)
        deadline = trio.current_time() + seconds
        if self._settings.tasks is None:
            with trio.move_on_at(deadline):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._wait, call, deadline)
                    await self._run(call, arguments)
        else:
            self._settings.tasks.start_soon(call, self._run, call, arguments)
            try:
                await self._wait(call, deadline)
            finally:
                call.scope.cancel(reason="the rule is not waited for any more")
        return call.outcome(seconds)

    async def _wait(self, call: Call, deadline: float) -> None:
        """Waits until the rule has ended, or its time is up. A rule that takes long is told of meanwhile."""
        first = trio.current_time() + _LONG_SECONDS
        with trio.move_on_at(min(first, deadline)):
            await call.ended.wait()
        if first < deadline and not call.ended.is_set():
            self._takes_long(call.rule)
            with trio.move_on_at(deadline):
                await call.ended.wait()

    def _takes_long(self, rule: Rule) -> None:
        seconds = self._seconds(rule)
        self._log.info(
            "rule takes long",
            rule=rule.name,
            where=rule.where,
            phase=rule.phase,
            seconds=_LONG_SECONDS,
            timeout=seconds,
        )
        said = f"has no verdict after {_LONG_SECONDS:g} s, and may take {seconds:g} s"
        self._note(f"{rule.where} {rule.phase} {said}", "***")

    async def _run(self, call: Call, arguments: tuple[object, ...]) -> None:
        try:
            with call.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._call, call, arguments)
        except BaseException as error:
            if _is_cancelled(error):
                raise
            call.raised(_only(error))
        finally:
            call.ended.set()
            if call.is_late:
                rule = call.rule
                self._log.warning("rule ended after its time was up", rule=rule.name, where=rule.where)

    async def _call(self, call: Call, arguments: tuple[object, ...]) -> None:
        rule = call.rule
        if rule.threaded:
            result = await self._settings.threads.run(rule, self._seconds(rule), arguments)
        else:
            coroutine = rule.function(*arguments)
            # A little less than the rule's time: a rule that blocks should fail with `Blocked`, which says
            # what is wrong, and not with a timeout.
            result = await self._settings.watchdog.watched(coroutine, 0.9 * self._seconds(rule))
        call.returned(result)

    def _seconds(self, rule: Rule) -> float:
        return self._settings.timeout if rule.timeout is None else rule.timeout

    def enter(self, rule: Rule) -> None:
        seconds = rule.timeout
        self._watchdog.start(self._settings.timeout if seconds is None else seconds)

    def leave(self) -> None:
        self._watchdog.stop()

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        self._settings.watchdog.start(self._seconds(rule))
        try:
            return find()
        finally:
            self._settings.watchdog.stop()

    def passes_on(self, rule: Rule, error: BaseException) -> bool:
        """Returns True if the session is cancelled, which is not a failure of the rule.
        `server.stop_on_signals` handles signals, so they do not arrive here."""
        return _is_cancelled(error) or (rule.waits and isinstance(error, GeneratorExit))

    def about(self, tx: Transaction | None, subject: object) -> None:
        self._about = tx, subject

    def failed(self, rule: Rule, error: BaseException) -> str:
        about = self._told()
        if isinstance(error, RuleDown):  # logged already when the rule went down
            if self._account is not None:
                self._account.failed(rule.name, error.incident)
            self._note(f"{rule.where} {rule.phase} is down (incident {error.incident})", "***")
            return error.incident
        incident = os.urandom(4).hex()
        if self._account is not None:
            self._account.failed(rule.name, incident)
        details = _mail(*about)
        if isinstance(error, Blocked) and error.computes:
            details["hint"] = "it computes for too long; a regular expression that runs away, or a loop?"
        elif isinstance(error, Blocked) and rule.is_async:
            details["hint"] = "await what takes time, or let trio.to_thread.run_sync call it"
        elif isinstance(error, Blocked):
            rule.move_to_thread()
            details["hint"] = "mark it @threaded, or make it async; its next calls run in a thread"
        elif hint := hint_for(error):
            details["hint"] = hint
        where = failed_at(rule, error)
        self._log.error(
            "rule failed",
            rule=rule.name,
            where=where,
            phase=rule.phase,
            incident=incident,
            error=_said(error),
            exc_info=error,
            **details,
        )
        self._note(f"{where} {rule.phase} failed: {type(error).__name__} (incident {incident})", "***")
        return incident

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        about = self._told()
        if self._account is not None:
            self._account.decided(rule.name, verdict)
        name = type(verdict).__name__.lower()
        if isinstance(verdict, Redirect):
            said = verdict.upstream
        else:
            said = "" if isinstance(verdict, Accept) else str(verdict.reply)
        if self._log.is_enabled_for(logging.INFO):
            verdict_said = f"{name} {said}".strip()
            self._log.info(
                "rule decided",
                rule=rule.name,
                where=rule.where,
                phase=rule.phase,
                verdict=verdict_said,
                **_mail(*about),
            )
        self._note(f"{rule.where} {rule.phase} -> {name} {said}".rstrip(), "***")

    def _told(self) -> tuple[Transaction | None, object]:
        """Returns what `about` has told last, and forgets it, so that the transaction is not kept."""
        about, self._about = self._about, _NOTHING
        return about

    def edited(self, rule: Rule, change: str) -> None:
        self._log.debug("rule edited", rule=rule.name, phase=rule.phase, change=change)
        self._note(f"{rule.where} {rule.phase} {change}", "+++")

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        keep = self._settings.quarantine.keep
        try:
            name = await write_in_thread(partial(keep, tx, message, verdict))
        except OSError as error:
            self._log.error("message cannot be held", error=str(error))
            raise
        if self._account is not None:
            self._account.held(str(self._settings.quarantine.path / "new" / name), verdict.reason)
        self._log.info("message written to the quarantine", name=name, size=len(message))

    def _note(self, text: str, mark: str) -> None:
        if self._transcript is not None:
            self._transcript.note(printable(text.encode("utf-8", "surrogateescape")), mark)


def _mail(tx: Transaction | None, subject: object) -> dict[str, Any]:
    """The sender and the recipients of this transaction, as far as they are known; of a rule that is asked
    about one recipient, this one."""
    values: dict[str, Any] = {}
    if tx is None:
        return values
    if tx.mail_from is not None:
        values["from"] = address_of(tx.mail_from.command) or "<>"
    if to := [subject] if isinstance(subject, Recipient) else tx.rcpts:
        values["to"] = Recipients([{"address": address_of(each.command)} for each in to])
    return values


def _said(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except Exception:
        return name  # its __str__ fails


def _is_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = cast("Any", error)
        return group.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def _only(error: Any) -> BaseException:
    """The single exception in a group, at any depth. Anything else is returned unchanged."""
    inner: tuple[Any, ...]
    while len(inner := getattr(error, "exceptions", ())) == 1:
        error = inner[0]
    only: BaseException = error
    return only
