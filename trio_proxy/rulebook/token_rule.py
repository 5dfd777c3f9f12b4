"""`TokenRule`: a function of a rule file that gives access tokens, for a proxy that logs in to servers.

It is named ``access_token`` and takes the account. It is no rule that judges mail: it is not asked about a
client, and what it gives is kept and used for all sessions of the account, until it expires.
"""

from __future__ import annotations

import inspect
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from inspect import getattr_static
from types import ModuleType
from typing import Any, Final

import attrs
import structlog
import trio

from sansio_smtp.rules.lint.problems import Problem

__all__ = ["NAME", "TokenRule", "TokenRuleError", "token_rules"]

log = structlog.stdlib.get_logger("smtp_proxy")

NAME: Final = "access_token"
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_WRITE: Final = f"write async def {NAME}(account)"


class TokenRuleError(Exception):
    """The rule has failed; the text says how, and holds nothing of what it has returned."""


@attrs.frozen(eq=False)
class TokenRule:
    """One such function."""

    function: Callable[[str], Any]
    """A method is bound."""
    where: str
    """File and line, as in ``my_rules.py:7``."""

    async def ask(self, account: str, seconds: float) -> tuple[str, float | None] | None:
        """The token and the seconds that it lasts, which may be unknown; None if the rule has none for this
        account. A function that is not async is called in a thread. Raises `TokenRuleError`."""
        try:
            with trio.fail_after(seconds):
                return _checked(await self._call(account))
        except trio.TooSlowError:
            raise self._failed(f"no token within {seconds:g} s", None) from None
        except TokenRuleError as error:
            raise self._failed(str(error), None) from None
        except Exception as error:  # the rule's own
            raise self._failed(type(error).__name__, error) from None

    async def _call(self, account: str) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(account)
        return await trio.to_thread.run_sync(self.function, account, abandon_on_cancel=True)

    def _failed(self, why: str, error: Exception | None) -> TokenRuleError:
        incident = secrets.token_hex(4)
        log.error("rule failed", where=self.where, phase=NAME, incident=incident, error=why, exc_info=error)
        return TokenRuleError(f"{self.where} {NAME}() failed: {why} (incident {incident})")


def _checked(result: Any) -> tuple[str, float | None] | None:
    if result is None:
        return None
    seconds: Any = None
    if isinstance(result, tuple) and len(result) == 2:  # pyright: ignore[reportUnknownArgumentType]
        result, seconds = result  # pyright: ignore[reportUnknownVariableType]
    if not (isinstance(result, str) and _TOKEN.fullmatch(result)):
        raise TokenRuleError("it is to return a token, a token and the seconds that it lasts, or None")
    if seconds is None:
        return result, None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise TokenRuleError("the seconds that a token lasts are a number above 0")
    return result, float(seconds)


def token_rules(
    namespace: Mapping[str, Any], objects: Iterable[Any], spec: str
) -> tuple[list[TokenRule], list[Problem]]:
    """Those of a rule file: a function of this name, and methods of its rule objects; and what is wrong with
    them."""
    found: list[Any] = []
    if (value := namespace.get(NAME)) is not None and not isinstance(value, ModuleType):
        found.append(value)
    found += [getattr(each, NAME) for each in objects if getattr_static(each, NAME, None) is not None]
    rules: list[TokenRule] = []
    problems: list[Problem] = []
    for function in found:
        line = _line_of(function)
        if _fits(function):
            rules.append(TokenRule(function, f"{spec}:{line}"))
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
