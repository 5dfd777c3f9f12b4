"""Finds the line of a rule file in which an error was raised."""

from __future__ import annotations

from sansio_smtp.rules.lint.signatures import underlying
from sansio_smtp.rules.ruleset import Rule

__all__ = ["failed_at"]


def failed_at(rule: Rule, error: BaseException) -> str:
    """``file:line`` of the last line in the file of the rule that the error came through. If it came through
    none, such as when the time is up, that of the rule's definition."""
    code = getattr(underlying(rule.function), "__code__", None)
    line, trace = 0, error.__traceback__
    while trace is not None:
        if code is not None and trace.tb_frame.f_code.co_filename == code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{rule.file}:{line}" if line and rule.file else rule.where
