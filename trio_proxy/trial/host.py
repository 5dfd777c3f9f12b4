"""Runs rules in a trial as the proxy runs them, measures their time, and writes nothing to disk."""

from __future__ import annotations

import time
import traceback
from functools import wraps
from types import TracebackType
from typing import Final

import attrs
import structlog

from sansio_smtp.rules import Failure, Hold, Rule, RuleSet, Transaction
from sansio_smtp.rules.lint.signatures import underlying
from sansio_smtp.rules.verdicts import Verdict
from trio_proxy.rulebook.failing_line import failed_at
from trio_proxy.rulebook.hints import hint_for
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.watchdog import Blocked

__all__ = ["Asked", "TrialHost"]

_PIECES: Final = {"body_line": "lines", "body": "pieces"}
"""Phases in which a rule is asked many times about one message → what it is asked about."""


@attrs.define(eq=False)
class Asked:
    """A rule in one step of a dialogue, and what it said."""

    rule: Rule
    seconds: float = 0.0
    """How long all calls of the rule took together."""
    pieces: int = 0
    """How many pieces of the body the rule was given."""
    replaced: int = 0
    """How many of them the rule replaced."""
    verdict: Verdict | None = None
    changes: list[str] = attrs.field(factory=list[str])
    failure: str = ""
    """What it raised, in one line."""
    failed_at: str = ""
    """``file:line`` of where it raised that."""
    traceback: str = ""
    """From the rule on, without what called it; empty if the rule itself raised nothing."""

    def took(self, seconds: float) -> None:
        """A call of the rule has ended."""
        self.seconds += seconds

    def saw_piece(self, *, is_replaced: bool) -> None:
        """The rule was given a piece of the body, and gave it back or another one in its place."""
        self.pieces += 1
        self.replaced += is_replaced

    def decided(self, verdict: Verdict) -> None:
        """The rule has given a verdict."""
        self.verdict = verdict

    def edited(self, change: str) -> None:
        """The rule has changed something, said in one line."""
        self.changes.append(change)

    def raised(self, failure: str, where: str, trace: str) -> None:
        """The rule has failed. The parameters are the fields."""
        self.failure, self.failed_at, self.traceback = failure, where, trace

    def finish(self) -> None:
        """The step has ended: what became of the pieces of a body is told as one change."""
        if self.replaced:
            what = _PIECES[self.rule.phase]
            self.edited(f"{self.replaced:,} of {self.pieces:,} {what} replaced")


class TrialHost(RuleHost):
    """Notes what each rule decides and how long it takes. Held messages are not written."""

    def __init__(self, settings: RuleSettings) -> None:
        super().__init__(settings, structlog.stdlib.get_logger("smtp_proxy"), None)
        self._asked: list[Asked] = []
        self._entered: tuple[Asked, float] | None = None

    def watched(self, rules: RuleSet) -> RuleSet:
        """The same rules, with their replacements of lines and pieces counted, which no host is told."""
        return RuleSet(self._watched(rule) if rule.phase in _PIECES else rule for rule in rules.rules)

    def take(self) -> list[Asked]:
        """The rules that were asked since the last call, in their order."""
        taken, self._asked = self._asked, []
        for asked in taken:
            asked.finish()
        return taken

    async def call(self, rule: Rule, *arguments: object) -> object:
        asked = self._asked_anew(rule)
        started = time.perf_counter()
        try:
            return await super().call(rule, *arguments)
        finally:
            asked.took(time.perf_counter() - started)

    def enter(self, rule: Rule) -> None:
        asked = self._asked_anew(rule)
        super().enter(rule)
        self._entered = asked, time.perf_counter()

    def leave(self) -> None:
        ended = time.perf_counter()
        super().leave()
        assert self._entered is not None
        asked, started = self._entered
        asked.took(ended - started)

    def failed(self, rule: Rule, error: BaseException) -> str:
        incident = f"trial-{len(self.failures) + 1}"
        self.failures.append(Failure(rule, error, incident))
        failure = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, Blocked):
            rule.move_to_thread()
            failure += "; mark it @threaded, or make it async"
        elif hint := hint_for(error):
            failure += f"; {hint}"
        trace = _from_rule_on(rule, error.__traceback__)
        lines = traceback.format_exception(type(error), error, trace) if trace is not None else []
        self._last(rule).raised(failure, failed_at(rule, error), "".join(lines))
        return incident

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        self._last(rule).decided(verdict)

    def edited(self, rule: Rule, change: str) -> None:
        self._last(rule).edited(change)

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        """Does nothing: the session notes what is held."""

    def _asked_anew(self, rule: Rule) -> Asked:
        if rule.phase in _PIECES:
            for asked in self._asked:
                if asked.rule is rule:
                    return asked
        self._asked.append(Asked(rule))
        return self._asked[-1]

    def _last(self, rule: Rule) -> Asked:
        return next(asked for asked in reversed(self._asked) if asked.rule is rule)

    def _watched(self, rule: Rule) -> Rule:
        function = rule.function

        def count(piece: bytes, result: object) -> object:
            is_replaced = isinstance(result, bytes) and result != piece
            self._last(watched).saw_piece(is_replaced=is_replaced)
            return result

        @wraps(function)
        def counted(tx: Transaction, piece: bytes) -> object:
            return count(piece, function(tx, piece))

        @wraps(function)
        async def counted_async(tx: Transaction, piece: bytes) -> object:
            return count(piece, await function(tx, piece))

        watched = attrs.evolve(rule, function=counted_async if rule.is_async else counted)
        return watched


def _from_rule_on(rule: Rule, trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames above the rule; None if the rule is in none of them."""
    code = getattr(underlying(rule.function), "__code__", None)
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    return trace
