"""Warnings about rules that limit rates: they can be used, but may count in another way than one thinks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import getattr_static
from itertools import chain
from typing import Any, Final

from sansio_smtp.rules.lint.problems import Problem
from sansio_smtp.rules.ruleset import RuleSet
from trio_proxy.settings.options import Options

__all__ = ["nobody_logs_in", "rate_cautions"]

_COUNTS: Final = "counts_in"
"""The attribute by which a rule object says that it limits rates, and where it counts."""


def rate_cautions(options: Options, rules: RuleSet) -> list[str]:
    """One text for each warning."""
    found = [*_apart(options, rules)] if options.worker_count > 1 else []
    if options.login_mode == "inject" and not rules.by_phase["login"]:
        found += nobody_logs_in(options, rules, "the proxy logs in for all, and there is no rule login")
    return found


def nobody_logs_in(options: Options, rules: RuleSet, why: str) -> list[str]:
    """Warns of each rule that limits rates by login. ``why``: the reason why no client can log in."""
    if options.accept_xclient:  # a proxy in front of this one may say who has logged in there
        return []
    text = f'per = "login" counts by IP address: nobody logs in here, as {why}'
    return [_said(options, rule, text, "per") for rule in _limiters(rules) if rule.per == "login"]


def _apart(options: Options, rules: RuleSet) -> Iterator[str]:
    """The rules whose limits the workers apply separately."""
    count = options.worker_count
    for rule in _limiters(rules):
        if getattr(rule, _COUNTS) == "process":
            limits = (_limits(what, getattr(rule, what), count) for what in ("messages", "recipients"))
            together = ", ".join(chain(*limits))
            text = f"counts in each of {count} workers: up to {together}; use ready:shared_rate_limit"
            yield _said(options, rule, text)


def _limits(what: str, limits: Mapping[str, int], workers: int) -> Iterator[str]:
    return (f"{limit * workers:,} {what} {_A_PERIOD.get(period, period)}" for period, limit in limits.items())


_A_PERIOD: Final = {"second": "a second", "minute": "a minute", "hour": "an hour", "day": "a day"}


def _limiters(rules: RuleSet) -> list[Any]:
    """The rule objects that limit rates."""
    owners = (getattr(rule.function, "__self__", None) for rule in rules.rules)
    found = {id(each): each for each in owners if getattr_static(each, _COUNTS, None) is not None}
    return [*found.values()]


def _said(options: Options, rule: object, text: str, key: str = "") -> str:
    """The text with its place: the table of the rule, if it has one, else the name of its class."""
    name = type(rule).__name__
    for table, settings in options.rule_settings.items():
        if table.replace("_", "") == name.lower():
            line = settings.lines.get(key) or settings.lines.get("", 0)
            return str(Problem(settings.file, line, f"[rules.{table}] {text}"))
    return f"{name}: {text}"
