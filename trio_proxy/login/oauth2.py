"""Gets access tokens over HTTP from the token endpoint of a provider (RFC 6749).

Two grants are enough for mail: a *refresh token* (§6), which somebody got by giving consent in a browser, one
for each account; and *client credentials* (§4.4), with which an application logs in for all accounts that the
provider lets it use.

The answer is not trusted to be what it should: a captive portal answers HTML, a gateway 502, an overloaded
server nothing at all. Whatever comes is a `Token`, or a `TokenError` whose text holds no secret. A
redirection is not followed: the secrets would go to where nobody has said.
"""

from __future__ import annotations

import json
import math
import os
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus, urlsplit

import attrs
import httpx2
import trio

from trio_proxy.text.masking import masked, plain
from trio_proxy.tls.reasons import reason

from .secret_files import RefreshTokens, SecretError
from .tokens import Token, TokenError

__all__ = ["OAuth2"]

_LARGEST: Final = 65_536
"""Octets of an answer."""
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_LONGEST_TEXT: Final = 200
_LONGEST_LIFE: Final = 10 * 365 * 86_400.0
_LONGEST_PAUSE: Final = 300.0

_MEANINGS: Final[Mapping[str, str]] = {
    "invalid_grant": "the refresh token has expired or was revoked: give consent again, and replace it",
    "interaction_required": "the provider wants to see somebody: give consent again, and replace the token",
    "consent_required": "the application has no consent for this scope: give consent again",
    "invalid_client": "the client id or the client secret is wrong",
    "unauthorized_client": "the provider does not let this client use this grant",
    "unsupported_grant_type": "the provider does not know this grant",
    "invalid_scope": "the scope is wrong",
    "invalid_request": "the provider misses something in the request",
}
"""Error of RFC 6749 §5.2, and of providers → what it means here. It stays so until somebody acts."""


@attrs.frozen(eq=False, kw_only=True)
class OAuth2:
    """The token endpoint of one provider; a `TokenSource`."""

    url: str
    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    """None: the application is a public one, which has no secret."""
    scope: str = ""
    refresh_tokens: RefreshTokens | None = None
    """None: the grant is that of client credentials."""
    timeout: float = 10.0
    """Seconds for one request."""
    context: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """For TLS with the endpoint; None: the authorities that the system trusts."""

    @property
    def is_shared(self) -> bool:
        """True if one token is for all accounts."""
        return self.refresh_tokens is None

    async def fetch(self, account: str) -> Token:
        """A new token for the account. Raises `TokenError`. Cannot be cancelled while the provider is asked,
        which is for ``timeout`` at most."""
        refresh_token = self._refresh_token(account)
        secrets = _ways((refresh_token, self.client_secret))
        asked_at = trio.current_time()
        try:
            # The session may end meanwhile, and the answer hold a new refresh token, which must not be lost.
            with trio.fail_after(self.timeout, shield=True):
                answer = await self._ask(self._form(refresh_token))
        except trio.TooSlowError:
            raise TokenError(f"{self.url} does not answer within {self.timeout:g} s") from None
        except (httpx2.HTTPError, OSError) as error:
            why = plain(_why(error, urlsplit(self.url).hostname))
            raise TokenError(masked(f"{self.url} cannot be asked: {why}", secrets)) from None
        said = answer.table
        value = said.get("access_token")
        if answer.status != 200 or not isinstance(value, str) or not value:
            text, permanent = _refusal(answer, secrets)
            raise TokenError(f"{self.url} {text}", permanent=permanent, retry_after=_pause(answer))
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise TokenError(f"{self.url} gives an access token that no server can be told")
        kind = said.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise TokenError(f"{self.url} gives a token that is no bearer token", permanent=True)
        new = said.get("refresh_token")
        if self.refresh_tokens is not None and isinstance(new, str) and new and new != refresh_token:
            self.refresh_tokens.replace(account, new)
        return Token(value, asked_at + _life(said.get("expires_in")))

    def _refresh_token(self, account: str) -> str | None:
        if self.refresh_tokens is None:
            return None
        try:
            return self.refresh_tokens.of(account)
        except SecretError as error:
            raise TokenError(str(error), permanent=True) from error

    def _form(self, refresh_token: str | None) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "client_id": self.client_id}
        if refresh_token is not None:
            form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        if self.client_secret:
            form["client_secret"] = self.client_secret
        if self.scope:
            form["scope"] = self.scope
        return form

    async def _ask(self, form: Mapping[str, str]) -> _Answer:
        # The authorities of the system are not read where there is no TLS: that takes tens of milliseconds.
        has_tls = urlsplit(self.url).scheme == "https"
        verify = has_tls and (self.context or ssl.create_default_context())
        async with (
            httpx2.AsyncClient(timeout=None, trust_env=False, verify=verify) as client,
            client.stream("POST", self.url, data=form, headers=_HEADERS) as response,
        ):
            content = b""
            async for piece in response.aiter_raw():  # to its end: the library does not like to be left early
                content = (content + piece)[:_LARGEST]
            return _Answer(response.status_code, response.headers, content)


@attrs.frozen(eq=False)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)

    @property
    def table(self) -> Mapping[str, Any]:
        """The object of JSON; empty if it is none."""
        try:
            said: object = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _life(value: object) -> float:
    """Seconds that a token lasts. Some providers write the number as a text, some leave it out."""
    try:
        seconds = float(cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else math.inf


def _why(error: BaseException, host: str | None) -> str:
    """What the library's error comes from. It says nothing of TLS itself, and of a connection only that it
    failed."""
    text = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return reason(cause, host)
        if isinstance(cause, BaseExceptionGroup):  # of one attempt for each address
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[-1]
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)  # of a name: below 0
        text = text or str(cause)
        cause = cause.__cause__ or cause.__context__
    return text or type(error).__name__


def _ways(secrets: Iterable[str | None]) -> list[str]:
    """The secrets, and how they are written in a form."""
    return [way for secret in secrets if secret for way in (secret, quote(secret, ""), quote_plus(secret))]


def _refusal(answer: _Answer, secrets: Sequence[str]) -> tuple[str, bool]:
    """What is wrong with an answer, and if it will be so until somebody acts."""

    def shown(text: str) -> str:
        text = masked(plain(" ".join(text.split())), secrets)
        return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."

    said = answer.table
    error = said.get("error")
    if isinstance(error, str) and error:
        permanent = error in _MEANINGS and answer.status < 500
        meaning = _MEANINGS[error] if permanent else "it cannot give a token now"
        detail = shown(f"{error}: {said.get('error_description') or ''}".removesuffix(": "))
        return f"gives no token: {meaning} ({detail})", permanent
    if 300 <= answer.status < 400:
        where = shown(urlsplit(answer.headers.get("location", "")).hostname or "nowhere")
        return f"redirects to {where}, which is not followed; is it the right URL?", False
    kind = shown(answer.headers.get("content-type", "something without a type").partition(";")[0])
    hint = "" if answer.status >= 500 else "; is it the URL of a token endpoint, and nothing in between?"
    return f"answers with status {answer.status} and {kind}, which is no token{hint}", False


def _pause(answer: _Answer) -> float:
    seconds = answer.headers.get("retry-after", "")
    return min(float(seconds), _LONGEST_PAUSE) if re.fullmatch("[0-9]{1,9}", seconds) else 0.0
