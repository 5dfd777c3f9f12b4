"""`MeteredHost`: a `RuleHost` that tells how long each rule takes, and what it decides."""

from __future__ import annotations

from time import perf_counter

from sansio_smtp.rules import Rule
from sansio_smtp.rules.verdicts import Verdict
from trio_proxy.text.session_log import Log
from trio_proxy.text.transcript import Transcript

from .host import RuleAccount, RuleHost, RuleSettings

__all__ = ["MeteredHost", "make_host"]


def make_host(
    settings: RuleSettings, log: Log, transcript: Transcript | None, account: RuleAccount | None = None
) -> RuleHost:
    """The host of the rules of one connection."""
    return (MeteredHost if settings.meter.counts else RuleHost)(settings, log, transcript, account)


class MeteredHost(RuleHost):
    """The `Host` of the rules of one connection, for a `Meter`."""

    def __init__(
        self,
        settings: RuleSettings,
        log: Log,
        transcript: Transcript | None,
        account: RuleAccount | None = None,
    ) -> None:
        super().__init__(settings, log, transcript, account)
        self._meter = settings.meter
        self._entered: Rule | None = None
        self._began = 0.0

    async def call(self, rule: Rule, *arguments: object) -> object:
        began = perf_counter()
        try:
            return await super().call(rule, *arguments)
        finally:
            self._meter.rule_called(rule.name, rule.phase, perf_counter() - began)

    def enter(self, rule: Rule) -> None:
        super().enter(rule)
        self._entered, self._began = rule, perf_counter()

    def leave(self) -> None:
        seconds, rule, self._entered = perf_counter() - self._began, self._entered, None
        super().leave()
        if rule is not None:
            self._meter.rule_called(rule.name, rule.phase, seconds)

    def failed(self, rule: Rule, error: BaseException) -> str:
        self._meter.rule_decided(rule.name, rule.phase, "failed")
        return super().failed(rule, error)

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        self._meter.rule_decided(rule.name, rule.phase, type(verdict).__name__.lower())
        super().decided(rule, verdict)
