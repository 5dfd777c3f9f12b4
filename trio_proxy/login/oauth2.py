"""Gets access tokens over HTTP from the token endpoint of a provider (RFC 6749).

Two grants are enough for mail: a *refresh token* (§6) for each account, which a person got by giving consent
in a browser; and *client credentials* (§4.4), with which an application logs in for all accounts that the
provider allows.

The answer may be anything: HTML from a captive portal, 502 from a gateway, nothing from an overloaded server.
The result is always a `Token`, or a `TokenError` whose text holds no secret. A redirection is not followed:
it would send the secrets to an address that the settings do not name.
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
"""The most octets of an answer."""
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_LONGEST_TEXT: Final = 200
_LONGEST_LIFE: Final = 10 * 365 * 86_400.0
_LONGEST_PAUSE: Final = 300.0

_MEANINGS: Final[Mapping[str, str]] = {
    "invalid_grant": "the refresh token has expired or was revoked: give consent again, and replace it",
    "interaction_required": "the provider needs a person: give consent again, and replace the refresh token",
    "consent_required": "the application has no consent for this scope: give consent again",
    "invalid_client": "the client id or the client secret is wrong",
    "unauthorized_client": "the provider does not let this client use this grant",
    "unsupported_grant_type": "the provider does not know this grant",
    "invalid_scope": "the scope is wrong",
    "invalid_request": "the provider finds the request incomplete",
}
"""Errors of RFC 6749 §5.2 and of providers → their meaning here. They stay until a person acts."""


@attrs.frozen(eq=False, kw_only=True)
class OAuth2:
    """The token endpoint of one provider; a `TokenSource`."""

    url: str
    client_id: str
    client_secret: str | None = attrs.field(default=None, repr=False)
    """None: a public application, which has no secret."""
    scope: str = ""
    refresh_tokens: RefreshTokens | None = None
    """None: the grant is client credentials."""
    timeout: float = 10.0
    """The seconds for one request."""
    context: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """The TLS context for the endpoint; None: trusts the authorities of the system."""

    @property
    def is_shared(self) -> bool:
        """True if one token is valid for all accounts."""
        return self.refresh_tokens is None

    async def fetch(self, account: str) -> Token:
        """A new token for the account. Raises `TokenError`. Cannot be cancelled during the request, which
        takes at most ``timeout``."""
        refresh_token = self._refresh_token(account)
        secrets = _ways((refresh_token, self.client_secret))
        asked_at = trio.current_time()
        try:
            # The session may end meanwhile, but a new refresh token in the answer must not be lost.
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
            raise TokenError(f"{self.url} gives an access token that cannot be sent to a server")
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
        # Without TLS the authorities of the system are not read, which takes tens of milliseconds.
        has_tls = urlsplit(self.url).scheme == "https"
        verify = has_tls and (self.context or ssl.create_default_context())
        async with (
            httpx2.AsyncClient(timeout=None, trust_env=False, verify=verify) as client,
            client.stream("POST", self.url, data=form, headers=_HEADERS) as response,
        ):
            content = b""
            async for piece in response.aiter_raw():  # to its end: the library warns if it is left early
                content = (content + piece)[:_LARGEST]
            return _Answer(response.status_code, response.headers, content)


@attrs.frozen(eq=False)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)

    @property
    def table(self) -> Mapping[str, Any]:
        """The JSON object; empty if the answer is none."""
        try:
            said: object = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _life(value: object) -> float:
    """The seconds that a token lasts. Some providers write the number as text, and some leave it out."""
    try:
        seconds = float(cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else math.inf


def _why(error: BaseException, host: str | None) -> str:
    """The cause of the library's error, which itself does not mention TLS, and only says that a connection
    failed."""
    text = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return reason(cause, host)
        if isinstance(cause, BaseExceptionGroup):  # one exception for each address
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[-1]
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)  # of a name: below 0
        text = text or str(cause)
        cause = cause.__cause__ or cause.__context__
    return text or type(error).__name__


def _ways(secrets: Iterable[str | None]) -> list[str]:
    """The secrets, also as they are encoded in a form."""
    return [way for secret in secrets if secret for way in (secret, quote(secret, ""), quote_plus(secret))]


def _refusal(answer: _Answer, secrets: Sequence[str]) -> tuple[str, bool]:
    """Says what is wrong with an answer, and if it stays wrong until a person acts."""

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
