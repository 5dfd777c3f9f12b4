"""`Tokens`: a source of access tokens that fails once."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from trio_proxy.login.tokens import Token, TokenError

from .rules import RULE_WAYS

__all__ = ["TOKEN_WAYS", "Tokens"]

_GIVES_NONE: Final = {
    "later": TokenError("not now"),
    "later-than-said": TokenError("not now", retry_after=30.0),
    "never": TokenError("not for you", permanent=True),
}
TOKEN_WAYS: Final = (*_GIVES_NONE, "hang", "deaf", "slow", "expired")


@attrs.define(eq=False)
class Tokens:
    """Gives a new token each time, which is good for a minute."""

    fault: str | None
    """None: it never fails."""
    is_over: bool = False
    _count: int = 0

    @property
    def is_shared(self) -> bool:
        return False

    async def fetch(self, account: str) -> Token:
        await trio.lowlevel.checkpoint()
        fault = None if self.is_over else self.fault
        self.is_over = True
        if fault in _GIVES_NONE:
            raise _GIVES_NONE[fault]
        if fault in RULE_WAYS:
            await RULE_WAYS[fault]()
        self._count += 1
        life = 0.0 if fault == "expired" else 60.0
        return Token(f"token-{self._count}", trio.current_time() + life)
