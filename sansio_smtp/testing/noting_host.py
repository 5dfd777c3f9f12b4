"""A host of rules that notes what rules decide, for a test to look at."""

from __future__ import annotations

from collections.abc import Callable

from sansio_smtp.rules.host import Failure, Held, Host
from sansio_smtp.rules.ruleset import Rule
from sansio_smtp.rules.verdicts import Hold, Verdict
from sansio_smtp.rules.views import Transaction

__all__ = ["NotingHost"]


class NotingHost(Host):
    """Notes verdicts, held messages and failures, and passes every call on to another host."""

    def __init__(self, inner: Host | None) -> None:
        super().__init__()
        self.inner = inner or Host()
        self.waits = self.inner.waits
        self.verdicts: list[Verdict] = []

    async def call(self, rule: Rule, *arguments: object) -> object:
        return await self.inner.call(rule, *arguments)

    def enter(self, rule: Rule) -> None:
        self.inner.enter(rule)

    def leave(self) -> None:
        self.inner.leave()

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        return self.inner.changes(rule, find)

    def about(self, tx: Transaction | None, subject: object) -> None:
        self.inner.about(tx, subject)

    def failed(self, rule: Rule, error: BaseException) -> str:
        incident = self.inner.failed(rule, error)
        self.failures.append(Failure(rule, error, incident))
        return incident

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self.inner.decided(rule, verdict)

    def edited(self, rule: Rule, change: str) -> None:
        self.inner.edited(rule, change)

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        await self.inner.hold(tx, message, verdict)
        self.held.append(Held(tx, message, verdict))
