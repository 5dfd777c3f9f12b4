"""Asks the rules of one phase in order, and turns a failure into a verdict.

For each rule, in the order of the `RuleSet`::

    rule ── match fits? ──no──────────────────────────────────────────────> next rule
              │ yes
              call ──> None ──────────────────────────────────────────────> next rule
                   ──> Accept ────────────────────────────────────────────> None: no more rules are asked
                   ──> another verdict ───────────────────────────────────> that verdict
                   ──> exception, timeout, wrong result
                         ├─ on_error "accept": its edits are taken back ──> next rule
                         └─ "defer", "reject", or the rule guards ────────> 451, 550

What must never happen: a rule fails half-way, and its edits stay while the message goes on; or the client
gets the text of an exception. The client gets only the name of the incident, which is in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeAlias, cast

import attrs

from sansio_smtp.errors import LocalProtocolError

from .decorators import OnError
from .host import Host
from .later import Later, Soon
from .phases import PHASES
from .ruleset import Rule
from .verdicts import Accept, Defer, Redirect, Refusal, Reject, Verdict
from .views import Editable, Transaction

__all__ = ["Asked", "Asker", "check_result"]

Asked: TypeAlias = Refusal | Redirect | None
"""The result of the rules of a phase. None: all let it pass, or one returned `Accept`."""


_Asking: TypeAlias = tuple[
    Sequence[Rule], int, tuple[Any, ...], Editable | None, Callable[[Rule], bool] | None, bool, bool
]


class _Remaining(Later["Asked"]):
    """The verdict of the rules from one on that must be awaited."""

    __slots__ = ("at",)

    def __init__(self, wait: Callable[[_Asking], Awaitable[Asked]], asked: _Asking) -> None:
        super().__init__(wait, asked)
        self.at = asked[1]
        """The index of that rule."""


@attrs.define(eq=False)
class Asker:
    """Calls rules, and turns their results and exceptions into verdicts. ``on_error`` applies to rules
    without their own."""

    host: Host
    on_error: OnError = "defer"

    def first_verdict(
        self,
        rules: Sequence[Rule],
        *arguments: Any,
        subject: Editable | None = None,
        fits: Callable[[Rule], bool] | None = None,
        fails_open: bool = False,
        keeps_accept: bool = False,
        start: int = 0,
    ) -> Soon[Asked]:
        """The first verdict of a rule that refuses or redirects; None if there is none. After `Accept` no
        more rules are asked. Begins with the rule at index ``start``. If a rule must be awaited, returns
        a `Later`; the rules before it have already been called.

        ``subject`` is the last argument of each rule, if rules may edit it. If a rule fails and its policy
        ignores that, its edits are undone; ``fails_open`` sets this policy for all rules. ``fits`` tells if a
        rule with a pattern applies; it is called just before the rule, because an earlier rule may have
        rewritten the address. With ``keeps_accept`` an `Accept` is returned in place of None.
        """
        host = self.host
        given = arguments if subject is None else (*arguments, subject)
        tx = arguments[0] if arguments and isinstance(arguments[0], Transaction) else None
        before: Any = None
        revision: Any = None
        added = 0
        changes: Sequence[str] = ()
        for at in range(start, len(rules)):
            rule = rules[at]
            if fits is not None and rule.match is not None and not fits(rule):
                continue
            if rule.is_async or rule.threaded:
                return _Remaining(
                    self._waiting, (rules, at, arguments, subject, fits, fails_open, keeps_accept)
                )
            if subject is not None:
                before, revision = subject.snapshot(), subject.revision
            if tx is not None:
                added = len(tx.added)
            try:
                host.enter(rule)
                try:
                    result = rule.function(*given)
                    # Finding the changes may take long, and counts as the rule's time.
                    if subject is not None and subject.revision != revision:
                        changes = subject.changes_since(before)
                    elif changes:
                        changes = ()
                finally:
                    host.leave()
                if result is None and not changes:
                    continue
                _check(rule, result)
            except BaseException as error:
                verdict = self._excused(rule, error, tx, added, subject, before, fails_open=fails_open)
            else:
                verdict = self._noted(rule, result, changes, tx, subject)
            if verdict is not None:
                return None if isinstance(verdict, Accept) and not keeps_accept else cast("Asked", verdict)
        return None

    async def _waiting(self, asked: _Asking) -> Asked:
        """Like `first_verdict`, from a rule that must be awaited. A loop, so that any number may follow."""
        rules, at, arguments, subject, fits, fails_open, keeps_accept = asked
        tx = arguments[0] if isinstance(arguments[0], Transaction) else None
        given = arguments if subject is None else (*arguments, subject)
        while True:
            rule = rules[at]
            before = None if subject is None else subject.snapshot()
            added = 0 if tx is None else len(tx.added)
            changes: Sequence[str] = ()
            try:
                result = await self.host.call(rule, *given)
                if subject is not None:
                    changes = self.host.changes(rule, partial(subject.changes_since, before))
                _check(rule, result)
            except BaseException as error:
                verdict = self._excused(rule, error, tx, added, subject, before, fails_open=fails_open)
            else:
                verdict = self._noted(rule, result, changes, tx, subject)
            if verdict is not None:
                return None if isinstance(verdict, Accept) and not keeps_accept else cast("Asked", verdict)
            said = self.first_verdict(
                rules,
                *arguments,
                subject=subject,
                fits=fits,
                fails_open=fails_open,
                keeps_accept=keeps_accept,
                start=at + 1,
            )
            if not isinstance(said, _Remaining):
                return cast("Asked", said)
            at = said.at

    def _noted(
        self, rule: Rule, verdict: Any, changes: Sequence[str], tx: Transaction | None, subject: object
    ) -> Any:
        """Reports the changes and the verdict of a rule to the host. Returns the verdict."""
        for change in changes:
            self.host.edited(rule, change)
        if verdict is not None:
            self.host.about(tx, subject)
            self.host.decided(rule, verdict)
        return verdict

    def _excused(
        self,
        rule: Rule,
        error: BaseException,
        tx: Transaction | None,
        added: int,
        subject: Editable | None,
        before: Any,
        *,
        fails_open: bool,
    ) -> Any:
        """The verdict for a rule that failed. If that is ignored, its edits are undone."""
        verdict = self.failed(rule, error, tx, subject)
        if verdict is not None and not fails_open:
            return verdict
        if tx is not None:
            tx.forget_added(added)
        if subject is not None:
            subject.restore(before)
        return None

    def failed(
        self, rule: Rule, error: BaseException, tx: Transaction | None, subject: object = None
    ) -> Verdict | None:
        """The verdict for a rule that failed, by its policy. Its text names the incident, not the error.
        Raises the error if it is not a failure of the rule, such as a cancellation; ``sys.exit()`` in a rule
        is a failure."""
        if self.host.passes_on(rule, error):
            raise error
        self.host.about(tx, subject)
        incident = self.host.failed(rule, error)
        policy = rule.policy(self.on_error)
        if policy == "accept":
            return None
        if policy == "reject":
            return Reject(550, f"5.3.0 a rule of this proxy failed (incident {incident})")
        return Defer(451, f"4.3.0 a rule of this proxy failed, try again later (incident {incident})")


def _check(rule: Rule, result: object) -> None:
    """Like `check_result`, for a phase in which rules return no octets."""
    if result is not None and not isinstance(result, PHASES[rule.phase].verdicts):
        check_result(rule, result)


def check_result(rule: Rule, result: object) -> None:
    """Raises `LocalProtocolError` unless the rule may return this in its phase."""
    phase = PHASES[rule.phase]
    if result is None or isinstance(result, phase.verdicts) or (phase.octets and isinstance(result, bytes)):
        return
    if iscoroutine(result):
        result.close()
        raise LocalProtocolError(f"{rule.name} returned a coroutine; write async def, or await it")
    legal = ", ".join(kind.__name__ for kind in phase.verdicts)
    octets = " bytes," if phase.octets else ""
    raise LocalProtocolError(f"{rule.name} returned {result!r:.80}; {rule.phase} takes None,{octets} {legal}")
