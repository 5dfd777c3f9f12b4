"""`TokenRule`: a function of a rule file that gives access tokens, for a proxy that logs in to servers.

The function is named ``access_token`` and takes the account. It does not judge mail and is not asked about
clients. Its token is kept, and used for all sessions of the account until it expires.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import getattr_static
from types import ModuleType
from typing import Any, Final

import attrs

from sansio_smtp.rules import Host, Rule
from sansio_smtp.rules.lint.problems import Problem

__all__ = ["NAME", "TokenRule", "TokenRuleError", "token_rules"]

NAME: Final = "access_token"
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_WRITE: Final = f"write async def {NAME}(account)"


class TokenRuleError(Exception):
    """The rule has failed; the text says how, and contains nothing that the rule has returned."""


@attrs.frozen(eq=False)
class TokenRule:
    """One such function."""

    rule: Rule
    """The rule as a host calls it: with the deadline and watchdog of other rules, and in a thread if it is
    not async. In the log its phase is ``login``."""

    @classmethod
    def of(cls, function: Callable[[str], Any], file: str, line: int) -> TokenRule:
        """Makes a token rule of a function, or of a bound method."""
        is_async = inspect.iscoroutinefunction(function)
        name = getattr(function, "__qualname__", NAME)
        return cls(Rule("login", function, name, file, line, is_async=is_async, threaded=not is_async))

    @property
    def where(self) -> str:
        """File and line, as in ``my_rules.py:7``."""
        return self.rule.where

    async def ask(self, account: str, host: Host) -> tuple[str, float | None] | None:
        """The token and the seconds that it lasts, if known; None if the rule has no token for this account.
        Raises `TokenRuleError`, after the host has logged why."""
        rule = self.rule
        try:
            return _checked(await host.call(rule, account))
        except BaseException as error:
            if host.passes_on(rule, error):
                raise
            incident = host.failed(rule, error)
            raise TokenRuleError(
                f"{self.where} {NAME}() failed: {_why(error)} (incident {incident})"
            ) from None


def _why(error: BaseException) -> str:
    """Says how the rule has failed. The texts of the rule's own errors only go to the log."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) if isinstance(error, TokenRuleError) else type(error).__name__


def _checked(result: Any) -> tuple[str, float | None] | None:
    if result is None:
        return None
    seconds: Any = None
    if isinstance(result, tuple) and len(result) == 2:  # pyright: ignore[reportUnknownArgumentType]
        result, seconds = result  # pyright: ignore[reportUnknownVariableType]
    if not (isinstance(result, str) and _TOKEN.fullmatch(result)):
        raise TokenRuleError("it must return a token, a token and the seconds that it lasts, or None")
    if seconds is None:
        return result, None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise TokenRuleError("the seconds that a token lasts are a number above 0")
    return result, float(seconds)


def token_rules(
    namespace: Mapping[str, Any], objects: Iterable[Any], spec: str
) -> tuple[list[TokenRule], list[Problem]]:
    """The token rules of a rule file, which are a function of this name and methods of rule objects; and
    their mistakes."""
    found: list[Any] = []
    if (value := namespace.get(NAME)) is not None and not isinstance(value, ModuleType):
        found.append(value)
    found += [getattr(each, NAME) for each in objects if getattr_static(each, NAME, None) is not None]
    rules: list[TokenRule] = []
    problems: list[Problem] = []
    for function in found:
        line = _line_of(function)
        if _fits(function):
            rules.append(TokenRule.of(function, spec, line))
        else:
            text = f"{NAME}() gives a token for the account that it is called with: {_WRITE}"
            problems.append(Problem(spec, line, text))
    return rules, problems


def _fits(function: Any) -> bool:
    try:
        inspect.signature(function).bind("account")
    except (TypeError, ValueError):
        return False
    return not inspect.isasyncgenfunction(function) and not inspect.isgeneratorfunction(function)


def _line_of(function: Any) -> int:
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return 0 if code is None else int(code.co_firstlineno)
