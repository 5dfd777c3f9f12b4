"""Finds all that is wrong besides mistakes that were already found in options or in the settings file."""

from __future__ import annotations

from contextlib import ExitStack

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.options import Options

from .logins import LoginRules, logins_or_problems
from .rule_problems import load_or_problems
from .security import security_or_problems
from .settings_problems import settings_problems

__all__ = ["all_problems"]


def all_problems(options: Options) -> list[Problem]:
    """Problems that are certain although some settings could not be read. Reads files, so it blocks."""
    loaded, of_rules = load_or_problems(options, config_is_wrong=True)
    rules = None if loaded is None else LoginRules.of(loaded, options.rule_timeout)
    with ExitStack() as stack:
        of_tls = security_or_problems(options, stack, config_is_wrong=True)[1]
    of_logins = logins_or_problems(options, rules, config_is_wrong=True)[1]
    return [*settings_problems(options, config_is_wrong=True), *of_tls, *of_rules, *of_logins]
