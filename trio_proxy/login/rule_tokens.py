"""Gets access tokens from rules, or from the provider in the settings for accounts that no rule knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import trio

from sansio_smtp.rules import Host

from .tokens import Token, TokenError, TokenSource

__all__ = ["RuleTokens", "TokenRule"]


class TokenRule(Protocol):
    """A rule that provides tokens."""

    async def ask(self, account: str, host: Host) -> tuple[str, float | None] | None:
        """A token and the seconds that it lasts; None to ask the next rule. ``host`` calls the function of
        the rule. Raises an exception whose text holds no secret."""
        ...


@attrs.frozen(eq=False)
class RuleTokens:
    """A `TokenSource` that asks rules first."""

    rules: Callable[[], Sequence[TokenRule]]
    """Gives the rules that are in use."""
    provider: TokenSource | None
    host: Callable[[], Host]
    """Gives the host that calls them with a time limit."""

    @property
    def is_shared(self) -> bool:
        return not self.rules() and self.provider is not None and self.provider.is_shared

    async def fetch(self, account: str) -> Token:
        """A new token for the account. Raises `TokenError`."""
        for rule in self.rules():
            try:
                given = await rule.ask(account, self.host())
            except Exception as error:
                raise TokenError(str(error)) from None
            if given is not None:
                value, seconds = given
                return Token(value, trio.current_time() + (math.inf if seconds is None else seconds))
        if self.provider is None:
            raise TokenError("no rule has a token for this account", permanent=True)
        return await self.provider.fetch(account)
