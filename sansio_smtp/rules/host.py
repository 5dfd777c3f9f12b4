"""`Host`: what rules need of a driver, which is to wait for a rule, keep a message, and log."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .ruleset import Rule
from .verdicts import Hold, Verdict
from .views import Transaction

__all__ = ["Failure", "Held", "Host"]


@attrs.frozen(eq=False)
class Failure:
    """A rule that raised, or returned what its phase does not take."""

    rule: Rule
    error: BaseException
    incident: str
    """A name that the client is told, to find the failure in the log."""


@attrs.frozen(eq=False)
class Held:
    """A message that a rule wants kept in quarantine."""

    tx: Transaction
    message: bytes
    verdict: Hold


class Host:
    """What a `RuleSession` calls. This class is enough for tests and simple programs: it calls each rule in
    place, without a time limit, and collects failures and held messages in lists. A driver overrides the
    methods that it implements better."""

    waits = False
    """True if `hold` may wait."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.held: list[Held] = []

    def enter(self, rule: Rule) -> None:
        """A rule that is not awaited is about to be called; `leave` follows, whatever it raises."""

    def leave(self) -> None:
        """The rule has returned or raised."""

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        """Calls ``find``, which finds out what a rule that was awaited has changed. That takes long after
        many edits, so it is the rule's time. For a rule that is not awaited it happens before `leave`."""
        return find()

    async def call(self, rule: Rule, *arguments: object) -> object:
        """Calls a rule that has to be awaited: an async one, or one for a thread. Raises what it raises, and
        TimeoutError if it takes too long."""
        result = rule.function(*arguments)
        return await result if rule.is_async else result

    def passes_on(self, rule: Rule, error: BaseException) -> bool:
        """Returns True if an error that came out of a rule is not the rule's failure but a cancellation of
        its caller, and must be raised again. Here: an error that is no `Exception`, from a rule that was
        awaited."""
        if isinstance(error, Exception | SystemExit):
            return False
        return rule.waits or isinstance(error, KeyboardInterrupt)

    def failed(self, rule: Rule, error: BaseException) -> str:
        """A rule has failed. Returns a name for the incident, which the client may see."""
        incident = f"{len(self.failures) + 1}"
        self.failures.append(Failure(rule, error, incident))
        return incident

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        """A rule has given a verdict."""

    def edited(self, rule: Rule, change: str) -> None:
        """A rule has changed something; ``change`` is one line that says what."""

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        """Keeps a message in quarantine. The client is answered when this returns, so it is safe by then.
        Raises OSError if it cannot be kept: the client is told 451."""
        self.held.append(Held(tx, message, verdict))
