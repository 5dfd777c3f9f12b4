"""Keeps access tokens in memory, one for each account, and gets a new one before the old one expires.

::

    session ──token(account)──▶ TokenCache ──▶ a token that is still good
                                    │
                                    └─ one at a time for each account ──▶ TokenSource.fetch(account)

Sessions of one account that need a token at the same time wait for one fetch. A session may be cancelled at
any time, also the one that fetches: if the source gives up then, the next in line does it.

What must never happen: that a token is fetched twice where once is enough, that one account waits for
another, that a source that fails is asked once for each client that comes, and that a token can be seen
anywhere.
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
"""Of the life of a token: near its end a new one is fetched, within this share and `_EARLY_SECONDS`."""
_FAILURE_SECONDS: Final = 15.0
"""For which a failure is remembered."""
_MOST_ACCOUNTS: Final = 10_000


@attrs.frozen(eq=False)
class Token:
    """An access token."""

    value: str = attrs.field(repr=False)
    expires: float = math.inf
    """By Trio's clock; infinite: nobody has said when."""


class TokenError(Exception):
    """No token can be had. The text says why, and what to do; it holds no secret."""

    def __init__(self, text: str, *, permanent: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.permanent = permanent
        """True if it will be the same later, until somebody does something about it."""
        self.retry_after = retry_after
        """Seconds that the source wants to be left alone; 0: it has not said."""


class TokenSource(Protocol):
    """Gets access tokens from where they are issued."""

    @property
    def is_shared(self) -> bool:
        """True if one token is for all accounts."""
        ...

    async def fetch(self, account: str) -> Token:
        """A new token for the account. Raises `TokenError`. Called once at a time for each account."""
        ...


@attrs.define(eq=False)
class _Account:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    token: Token | None = None
    fresh_until: float = -math.inf
    """From then on a new token is fetched."""
    failure: TokenError | None = None
    failed_until: float = -math.inf
    replaced: float = -math.inf
    """When a token was forgotten since the server had refused it."""

    def good(self, refused: Token | None) -> Token | None:
        """The token, unless it has been refused, or it is time for a new one."""
        is_old = trio.current_time() >= self.fresh_until
        return None if is_old or self.token is refused else self.token

    def forget(self, refused: Token | None) -> None:
        """A token that the server has refused is not given to others. If the one before it was refused too, a
        moment ago, the next one would be: that counts as a failure."""
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
        """The failure that is not long enough ago to try again."""
        return self.failure if trio.current_time() < self.failed_until else None

    def failed(self, error: TokenError) -> None:
        """The source has not given a token."""
        self.failure = error
        self.failed_until = trio.current_time() + max(_FAILURE_SECONDS, error.retry_after)

    def keep(self, token: Token) -> Token:
        """A new token."""
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
    """Of those that are remembered; more make the oldest forgotten."""
    _accounts: OrderedDict[str, _Account] = attrs.field(
        factory=OrderedDict[str, _Account], init=False, repr=False
    )

    async def token(self, account: str, *, refused: Token | None = None) -> Token:
        """A token for the account. ``refused`` is one that the server has refused: another one is given,
        fetched once for all sessions that ask. Raises `TokenError`."""
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
                        log.error("no access token can be had", account=account, error=str(error))
                    known.failed(error)
                else:
                    if known.failure is not None:
                        log.warning("access tokens can be had again", account=account)
                    return known.keep(token)
            # The old token is as good as it was.
            if known.token is not None and trio.current_time() < known.token.expires:
                return known.token
            raise error

    def _known(self, account: str) -> _Account:
        known = self._accounts.setdefault(account, _Account())
        self._accounts.move_to_end(account)
        if len(self._accounts) > self.most_accounts:
            self._accounts.popitem(last=False)
        return known
