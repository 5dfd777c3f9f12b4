"""Decides how to log in to a server with access tokens: mechanism, token, and the step after a refusal.

::

    first attempt ──▶ the token of the cache ──▶ 235
                                │ 535: it may have expired, or been revoked, before its time
    second attempt ◀────────────┘ a new token ──▶ 235
                                        │ 535
                                        └──▶ the client is told

A reply 4xx does not mean that the token is bad: the client must try again later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from sansio_smtp import Answer, LogIn, LoginMode, LoginQuestion, Reply

from .bearer import OAuthBearer, XOAuth2
from .tokens import Token, TokenCache, TokenError

if TYPE_CHECKING:
    from trio_proxy.text.session_log import Log

__all__ = ["MECHANISMS", "TokenLogin"]

MECHANISMS: Final = {"XOAUTH2": XOAuth2, "OAUTHBEARER": OAuthBearer}
"""Name → mechanism, the preferred one first. Providers describe XOAUTH2 for mail, and all of them accept
it."""

_LATER: Final = {
    LoginMode.TRANSLATE: Reply.of(454, "4.7.0 temporary authentication failure, try again later"),
    LoginMode.INJECT: Reply.of(451, "4.7.0 this proxy cannot log in to the server, try again later"),
}
"""The reply to AUTH or MAIL if there is no token."""
_REFUSED: Final = Reply.of(535, "5.7.8 authentication credentials invalid")


@attrs.define(eq=False)
class TokenLogin:
    """The logins of one session with tokens."""

    tokens: TokenCache
    mode: LoginMode
    log: Log
    _shown: Token | None = attrs.field(default=None, init=False, repr=False)
    """The token of the first attempt; None before it and after it was refused."""
    _mechanism: XOAuth2 | OAuthBearer | None = attrs.field(default=None, init=False, repr=False)

    async def answer(self, question: LoginQuestion, account: str) -> LogIn | Answer:
        """The verdict on a question about this account."""
        refused = question.refused
        before, self._shown = self._shown, None
        if refused is not None:
            self._tell(refused, account)
            if refused.severity != 5 or before is None:
                return Answer(question.refusal)
        kind = next((MECHANISMS[name] for name in MECHANISMS if name in question.mechanisms), None)
        if kind is None:
            offered = ", ".join(question.mechanisms) or "no AUTH"
            self.log.error("the server takes no token", offers=offered, wanted=" or ".join(MECHANISMS))
            return Answer(_LATER[self.mode])
        try:
            token = await self.tokens.token(account, refused=before if refused is not None else None)
            self._mechanism = kind(account, token.value)
        except TokenError as error:
            self.log.info("no access token for the login", account=account, error=str(error))
            is_final = error.permanent and self.mode is LoginMode.TRANSLATE
            return Answer(_REFUSED if is_final else _LATER[self.mode])
        except ValueError as error:
            self.log.warning("no login with this name", error=str(error))
            return Answer(_REFUSED if self.mode is LoginMode.TRANSLATE else _LATER[self.mode])
        self._shown = None if refused is not None else token
        return LogIn(self._mechanism)

    def _tell(self, refused: Reply, account: str) -> None:
        mechanism = self._mechanism
        objection = {"said": mechanism.objection} if mechanism is not None and mechanism.objection else {}
        self.log.warning(
            "the server refuses an access token", account=account, reply=str(refused), **objection
        )
