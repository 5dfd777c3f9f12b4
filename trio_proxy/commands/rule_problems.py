"""Loads the rules to find out what is wrong with them, together with what is wrong in the settings file."""

from __future__ import annotations

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.options import Options

__all__ = ["load_or_problems"]


def load_or_problems(options: Options, *, config_is_wrong: bool) -> tuple[LoadedRules | None, list[Problem]]:
    """The rules, or all that is wrong with them and with their settings. ``config_is_wrong``: the settings
    file has mistakes, which have been found."""
    try:
        return load(options.rules, options.rule_settings), []
    except RuleError as error:
        # Without the file, whose mistake has been said, rules seem to lack their settings.
        unread = config_is_wrong and options.config is None
        return None, [p for p in error.problems if not (unread and p.text.startswith("[rules."))]
