"""Keeps access tokens in memory, one for each account, and gets a new one before the old one expires.

::

    session ──token(account)──▶ TokenCache ──▶ a token that is still good
                                    │
                                    └─ one at a time for each account ──▶ TokenSource.fetch(account)

Sessions of one account that need a token at the same time wait for one fetch. A session may be cancelled at
any time, also the one that fetches: if the source then gives up, the next waiting session fetches. What must
never happen: a token is fetched twice without need, one account waits for another, each new client asks a
source that fails, or a token is shown anywhere.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final, Protocol

import attrs
import structlog
import trio

__all__ = ["Token", "TokenCache", "TokenError", "TokenSource"]

log = structlog.stdlib.get_logger("smtp_proxy")

_EARLY_SECONDS: Final = 300.0
_EARLY_SHARE: Final = 0.2
"""The share of a token's life: a new one is fetched within this share and `_EARLY_SECONDS` before its end."""
_FAILURE_SECONDS: Final = 15.0
"""How long a failure is remembered."""
_MOST_ACCOUNTS: Final = 10_000


@attrs.frozen(eq=False)
class Token:
    """An access token."""

    value: str = attrs.field(repr=False)
    expires: float = math.inf
    """The time of Trio's clock; infinite if it is not known."""


class TokenError(Exception):
    """There is no token. The text says why, and what to do; it holds no secret."""

    def __init__(self, text: str, *, permanent: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.permanent = permanent
        """True if trying later does not help until a person acts."""
        self.retry_after = retry_after
        """The seconds to wait before the source is asked again; 0: not known."""


class TokenSource(Protocol):
    """Gets access tokens from their issuer."""

    @property
    def is_shared(self) -> bool:
        """True if one token is for all accounts."""
        ...

    async def fetch(self, account: str) -> Token:
        """A new token for the account. Raises `TokenError`. Never called twice at a time for one account."""
        ...


@attrs.define(eq=False)
class _Account:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    token: Token | None = None
    fresh_until: float = -math.inf
    """The time from which a new token is fetched."""
    failure: TokenError | None = None
    failed_until: float = -math.inf
    replaced: float = -math.inf
    """The time at which a token was dropped because the server had refused it."""

    def good(self, refused: Token | None) -> Token | None:
        """The token; None if it was refused, or if it is time for a new one."""
        is_old = trio.current_time() >= self.fresh_until
        return None if is_old or self.token is refused else self.token

    def forget(self, refused: Token | None) -> None:
        """Drops a token that the server has refused, so that no session gets it. If the previous token was
        also refused a moment ago, this counts as a failure: the next one would be refused too."""
        if refused is not None and self.token is refused:
            self.token = None
            self.fresh_until = -math.inf
            now = trio.current_time()
            if now < self.replaced + _FAILURE_SECONDS:
                self.failed(TokenError("the server refuses one new token after the other", permanent=True))
            else:
                self.replaced = now

    @property
    def past_failure(self) -> TokenError | None:
        """The last failure, if it is too recent to try again."""
        return self.failure if trio.current_time() < self.failed_until else None

    def failed(self, error: TokenError) -> None:
        """Remembers that the source has failed."""
        self.failure = error
        self.failed_until = trio.current_time() + max(_FAILURE_SECONDS, error.retry_after)

    def keep(self, token: Token) -> Token:
        """Keeps a new token."""
        now = trio.current_time()
        self.token, self.failure = token, None
        self.failed_until = -math.inf
        left = token.expires - now
        self.fresh_until = (
            math.inf if math.isinf(left) else now + left - min(_EARLY_SECONDS, _EARLY_SHARE * left)
        )
        return token


@attrs.define(eq=False)
class TokenCache:
    """The tokens of all accounts, from one source."""

    source: TokenSource
    most_accounts: int = _MOST_ACCOUNTS
    """The most accounts that are remembered; beyond that the oldest is forgotten."""
    _accounts: OrderedDict[str, _Account] = attrs.field(
        factory=OrderedDict[str, _Account], init=False, repr=False
    )

    async def token(self, account: str, *, refused: Token | None = None) -> Token:
        """A token for the account. ``refused`` is a token that the server has refused: then a new one is
        fetched, once for all sessions that ask. Raises `TokenError`."""
        known = self._known("" if self.source.is_shared else account)
        if (token := known.good(refused)) is not None:
            return token
        async with known.lock:
            if (token := known.good(refused)) is not None:
                return token
            known.forget(refused)
            if (error := known.past_failure) is None:
                try:
                    token = await self.source.fetch(account)
                except TokenError as raised:
                    error = raised
                    if known.failure is None:
                        log.error("no access token is available", account=account, error=str(error))
                    known.failed(error)
                else:
                    if known.failure is not None:
                        log.warning("access tokens are available again", account=account)
                    return known.keep(token)
            # The old token is still valid.
            if known.token is not None and trio.current_time() < known.token.expires:
                return known.token
            raise error

    def _known(self, account: str) -> _Account:
        known = self._accounts.setdefault(account, _Account())
        self._accounts.move_to_end(account)
        if len(self._accounts) > self.most_accounts:
            self._accounts.popitem(last=False)
        return known
