"""Loads the rules and collects their mistakes, together with those of the settings file."""

from __future__ import annotations

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.options import Options

__all__ = ["load_or_problems"]


def load_or_problems(options: Options, *, config_is_wrong: bool) -> tuple[LoadedRules | None, list[Problem]]:
    """The rules, or all mistakes in them and in their settings. ``config_is_wrong``: mistakes were found in
    the settings file."""
    try:
        return load(options.rules, options.rule_settings), []
    except RuleError as error:
        # If the file could not be read, its mistake is reported already; rules only seem to lack settings.
        unread = config_is_wrong and options.config is None
        return None, [p for p in error.problems if not (unread and p.text.startswith("[rules."))]
