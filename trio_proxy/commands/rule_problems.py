"""Loads the rules and collects their mistakes, together with those of the settings file."""

from __future__ import annotations

from pathlib import Path

from sansio_smtp.rules.lint.problems import Problem, RuleError
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.in_file import of_file
from trio_proxy.settings.options import Options

__all__ = ["load_or_problems", "placed"]


def load_or_problems(options: Options, *, config_is_wrong: bool) -> tuple[LoadedRules | None, list[Problem]]:
    """The rules, or all mistakes in them and in their settings. ``config_is_wrong``: mistakes were found in
    the settings file."""
    try:
        return load(options.rules, options.rule_settings), []
    except RuleError as error:
        # If the file could not be read, its mistake is reported already; rules only seem to lack settings.
        unread = config_is_wrong and options.config is None
        return None, [
            placed(options, each)
            for each in error.problems
            if not (unread and each.text.startswith("[rules."))
        ]


def placed(options: Options, problem: Problem) -> Problem:
    """The problem with its place in the settings file, if the rules have none of their own."""
    if problem.line or problem.file not in options.rules:
        return problem
    return of_file(options, Path(problem.file), str(problem))
