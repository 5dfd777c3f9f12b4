"""An account and a host of rules that report to a `SessionSpans`. They are used only with spans, so that
nothing costs more without them."""

from __future__ import annotations

from time import monotonic

from sansio_smtp import Side
from sansio_smtp.rules import Rule
from sansio_smtp.rules.verdicts import Verdict
from trio_proxy.account.account import Account, Tell, UpstreamServer
from trio_proxy.account.kept import KeptMail
from trio_proxy.account.records import Record
from trio_proxy.rulebook.host import RuleAccount, RuleSettings
from trio_proxy.rulebook.metered_host import MeteredHost
from trio_proxy.text.session_log import Log, SessionLog
from trio_proxy.text.transcript import Transcript

from .spans import SessionSpans

__all__ = ["TracedAccount", "TracedHost"]


class TracedAccount(Account):
    """The account of one session."""

    __slots__ = ("_spans",)

    def __init__(
        self,
        spans: SessionSpans,
        log: SessionLog,
        server: UpstreamServer,
        others: Tell | None,
        kept: KeptMail | None,
    ) -> None:
        super().__init__(log, server, others, kept)
        self._spans = spans

    def heard(self, side: Side | None) -> None:
        last = self._heard
        super().heard(side)
        if self._heard:
            self._spans.heard(side, last, self._heard)

    @property
    def is_wanted(self) -> bool:
        return True

    def _tell(self, record: Record) -> None:
        super()._tell(record)
        self._spans.tell(record)


class TracedHost(MeteredHost):
    """The `Host` of the rules of one connection."""

    def __init__(
        self,
        spans: SessionSpans,
        settings: RuleSettings,
        log: Log,
        transcript: Transcript | None,
        account: RuleAccount | None = None,
    ) -> None:
        super().__init__(settings, log, transcript, account)
        self._spans = spans
        self._since: tuple[Rule, float] | None = None

    async def call(self, rule: Rule, *arguments: object) -> object:
        with self._spans.rule(rule.name, rule.phase):
            return await super().call(rule, *arguments)

    def enter(self, rule: Rule) -> None:
        super().enter(rule)
        self._since = rule, monotonic()

    def leave(self) -> None:
        super().leave()
        since, self._since = self._since, None
        if since is not None:
            rule, began = since
            self._spans.rule_took(rule.name, rule.phase, began)

    def failed(self, rule: Rule, error: BaseException) -> str:
        self._spans.decided(rule.name, rule.phase, "failed")
        return super().failed(rule, error)

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        self._spans.decided(rule.name, rule.phase, type(verdict).__name__.lower())
        super().decided(rule, verdict)
