"""`Host`: the services that rules need from a driver: waiting for a rule, keeping a message, logging."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .ruleset import Rule
from .verdicts import Hold, Verdict
from .views import Transaction

__all__ = ["Failure", "Held", "Host"]


@attrs.frozen(eq=False)
class Failure:
    """A rule that raised, or returned a value that its phase does not accept."""

    rule: Rule
    error: BaseException
    incident: str
    """The name of the incident, which the client gets, to find the failure in the log."""


@attrs.frozen(eq=False)
class Held:
    """A message that a rule wants kept in quarantine."""

    tx: Transaction
    message: bytes
    verdict: Hold


class Host:
    """The object that a `RuleSession` calls. This class is enough for tests and simple programs: it calls
    each rule directly, without a time limit, and collects failures and held messages in lists. A driver
    overrides methods that it implements better."""

    waits = False
    """True if `hold` may wait."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.held: list[Held] = []

    def enter(self, rule: Rule) -> None:
        """Called before a rule that is not awaited; `leave` follows, even if the rule raises."""

    def leave(self) -> None:
        """The rule has returned or raised."""

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        """Calls ``find``, which lists the changes of an awaited rule. After many edits this takes long, so it
        counts as the rule's time. For a rule that is not awaited it happens before `leave`."""
        return find()

    async def call(self, rule: Rule, *arguments: object) -> object:
        """Calls a rule that must be awaited: an async one, or one for a thread. Raises its exceptions, and
        TimeoutError if it takes too long."""
        result = rule.function(*arguments)
        return await result if rule.is_async else result

    def passes_on(self, rule: Rule, error: BaseException) -> bool:
        """Returns True if an error from a rule is a cancellation of its caller, not a failure of the rule;
        then it must be raised again. Here: an error that is not an `Exception`, from an awaited rule."""
        if isinstance(error, Exception | SystemExit):
            return False
        return rule.waits or isinstance(error, KeyboardInterrupt)

    def about(self, tx: Transaction | None, subject: object) -> None:
        """Called before `failed` and `decided`, for a log: the mail transaction that the rule was asked
        about, and what it might edit, such as a `Recipient`. Each is None if there is none."""

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
        """Keeps a message in quarantine. The client is answered after this returns, so the message must then
        be safe. Raises OSError if it cannot be kept: then the client gets 451."""
        self.held.append(Held(tx, message, verdict))
