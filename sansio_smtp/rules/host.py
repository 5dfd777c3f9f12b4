"""What the engine needs of the driver that runs it: to wait, to keep, to tell."""

from __future__ import annotations

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
    """What the client is told, so that it can be found in the log."""


@attrs.frozen(eq=False)
class Held:
    """A message that a rule wants kept in quarantine."""

    tx: Transaction
    message: bytes
    verdict: Hold


class Host:
    """The surroundings of a `RuleSession`. As it is, it does for programs that call rules themselves and for
    tests: rules are called as they come, failures and held messages are collected in lists. Drivers override
    what they do better."""

    waits = False
    """Whether `hold` may wait, where no rule does."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.held: list[Held] = []

    def enter(self, rule: Rule) -> None:
        """A rule that is not awaited is about to be called; `leave` follows, whatever it raises."""

    def leave(self) -> None:
        """The rule has returned or raised."""

    async def call(self, rule: Rule, *arguments: object) -> object:
        """Calls a rule that has to be awaited: an async one, or one for a thread. Raises what it raises, and
        TimeoutError if it takes too long."""
        result = rule.function(*arguments)
        return await result if rule.is_async else result

    def passes_on(self, rule: Rule, error: BaseException) -> bool:
        """Whether an error that came out of a rule is no failure of the rule, but the cancellation of what
        asks it. Here: what is no `Exception` and comes out of a rule that was awaited."""
        if isinstance(error, Exception | SystemExit):
            return False
        return rule.waits or isinstance(error, KeyboardInterrupt)

    def failed(self, rule: Rule, error: BaseException) -> str:
        """Takes notice of a failure and gives it a name that the client may see."""
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
