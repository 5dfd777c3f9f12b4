"""Asks the rules of one phase in their order, and makes a verdict of a failure.

For each rule, in the order of the `RuleSet`::

    rule ── match fits? ──no──────────────────────────────────────────────> next rule
              │ yes
              call ──> None ──────────────────────────────────────────────> next rule
                   ──> Accept ────────────────────────────────────────────> None: no more rules are asked
                   ──> another verdict ───────────────────────────────────> that verdict
                   ──> exception, timeout, wrong result
                         ├─ on_error "accept": its edits are taken back ──> next rule
                         └─ "defer", "reject", or the rule guards ────────> 451, 550

What must never happen is that a rule which failed half-way leaves its edits while its message goes on, or
that the text of an exception reaches the client: the client gets the name of the incident, which stands in
the log.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from inspect import iscoroutine
from typing import Any

import attrs

from sansio_smtp.errors import LocalProtocolError

from .decorators import OnError
from .host import Host
from .phases import PHASES
from .ruleset import Rule
from .verdicts import Accept, Defer, Redirect, Refusal, Reject, Verdict
from .views import Editable, Transaction

__all__ = ["Asker", "check_result", "run_at_once"]


@attrs.define(eq=False)
class Asker:
    """Calls rules, and turns what they return or raise into verdicts. ``on_error`` applies to rules that do
    not have their own."""

    host: Host
    on_error: OnError = "defer"

    async def first_verdict(
        self,
        rules: Iterable[Rule],
        *arguments: Any,
        subject: Editable | None = None,
        fits: Callable[[Rule], bool] | None = None,
        fails_open: bool = False,
    ) -> Refusal | Redirect | None:
        """The first verdict of a rule that refuses or redirects; None if there is none. `Accept` ends the
        asking.

        ``subject`` is the last argument of each rule, if rules may edit it. If a rule fails and its policy
        lets things go on, its edits are taken back; ``fails_open`` is that policy for all rules. ``fits``
        tells if a rule with a pattern applies; it is asked when the rule's turn comes, since an earlier rule
        may have rewritten the address.
        """
        tx = arguments[0] if arguments and isinstance(arguments[0], Transaction) else None
        if subject is not None:
            arguments = (*arguments, subject)
        for rule in rules:
            if fits is not None and rule.match is not None and not fits(rule):
                continue
            verdict: Verdict | None
            before = subject.snapshot() if subject is not None else None
            count = len(tx.added) if tx is not None else 0
            changes: list[str] = []
            try:
                if subject is None:
                    result = await self.call(rule, *arguments)
                else:
                    result, changes = await self._call_and_compare(rule, arguments, subject, before)
                if result is not None and not isinstance(result, PHASES[rule.phase].verdicts):
                    check_result(rule, result)
            except BaseException as error:
                verdict = self.failed(rule, error)
                if fails_open:
                    verdict = None
                if verdict is None:
                    if tx is not None:
                        tx.forget_added(count)
                    if subject is not None:
                        subject.restore(before)
            else:
                for change in changes:
                    self.host.edited(rule, change)
                verdict = result
                if verdict is not None:
                    self.host.decided(rule, verdict)
            if isinstance(verdict, Accept):
                return None
            if verdict is not None:
                return verdict
        return None

    async def _call_and_compare(
        self, rule: Rule, arguments: tuple[Any, ...], subject: Editable, before: Any
    ) -> tuple[Any, list[str]]:
        """Calls the rule. Returns what it returns, and what it has changed: to find that out may take long
        after many edits, so it counts as time of the rule."""
        if rule.waits:
            result = await self.host.call(rule, *arguments)
            return result, self.host.changes(rule, partial(subject.changes_since, before))
        self.host.enter(rule)
        try:
            result = rule.function(*arguments)
            return result, subject.changes_since(before)
        finally:
            self.host.leave()

    async def call(self, rule: Rule, *arguments: Any) -> Any:
        """Calls the rule. Returns what it returns, raises what it raises."""
        if rule.waits:
            return await self.host.call(rule, *arguments)
        self.host.enter(rule)
        try:
            return rule.function(*arguments)
        finally:
            self.host.leave()

    def failed(self, rule: Rule, error: BaseException) -> Verdict | None:
        """The verdict for a rule that failed, by its policy. Its text names the incident, not the error.
        Raises the error if it is not the rule's own: a cancellation goes on, ``sys.exit()`` in a rule does
        not."""
        if self.host.passes_on(rule, error):
            raise error
        incident = self.host.failed(rule, error)
        policy = rule.policy(self.on_error)
        if policy == "accept":
            return None
        if policy == "reject":
            return Reject(550, f"5.3.0 a rule of this proxy failed (incident {incident})")
        return Defer(451, f"4.3.0 a rule of this proxy failed, try again later (incident {incident})")


def run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in which nothing waits, and returns its result. Raises `LocalProtocolError` if it
    waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise LocalProtocolError("a rule has to be awaited, but this driver does not wait: use RuleSession.judge")


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
