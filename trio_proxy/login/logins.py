"""Decides how the proxy logs in to a server: account, mechanism and secret.

==============  ==========================================  ==================================
mode            as whom                                     with
==============  ==========================================  ==================================
``inject``      the account of the settings                 its password, or an access token
``translate``   the name that the client has said           the client's password, or an access
                                                            token for that name
==============  ==========================================  ==================================

What must never happen: a secret goes in plain text over a network, unless the settings say so; a password
that was refused is tried again and again, until the provider locks the account; or a secret is logged.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from sansio_smtp import Answer, LogIn, LoginMode, LoginQuestion, SaslClient

from .plain import Login, Plain
from .secret_files import SecretError

if TYPE_CHECKING:
    from trio_proxy.text.session_log import Log

    from .token_login import TokenLogin
    from .tokens import TokenCache

__all__ = ["PASSWORD_MECHANISMS", "Logins", "SessionLogin", "password_client"]

_NOT_KNOWN: Final = 504
"""RFC 4954 §4: the server does not know a mechanism that it has offered."""
_REFUSAL_SECONDS: Final = 60.0
"""How long the refusal of a password is remembered."""
PASSWORD_MECHANISMS: Final = ("SCRAM-SHA-256", "PLAIN", "LOGIN")
"""The mechanisms that use a password, the preferred one first."""


def password_client(name: str, account: str, password: str) -> SaslClient:
    """One exchange with a mechanism of `PASSWORD_MECHANISMS`. Raises ValueError for a name or a password that
    it cannot carry, or if its library is not installed."""
    if name == "PLAIN":
        return Plain(account, password)
    if name == "LOGIN":
        return Login(account, password)
    if find_spec("scramp") is None:
        raise ValueError('SCRAM-SHA-256 needs a library: pip install "sansio-smtp[login]"')
    from .scram import ScramSha256

    return ScramSha256(account, password)


@attrs.define(eq=False)
class _Refusals:
    """Passwords of the shared account that servers have refused a moment ago. Without this each new client
    would send the password again, and many providers lock an account after ten failures."""

    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(16), repr=False)
    _until: dict[tuple[str | None, bytes], float] = attrs.field(factory=dict[tuple[str | None, bytes], float])

    def mark(self, password: str) -> bytes:
        """A mark of the password; the password itself is not kept."""
        return blake2b(password.encode("utf-8", "surrogateescape"), key=self._key).digest()

    def add(self, server: str | None, mark: bytes) -> None:
        """This server has refused the password."""
        now = trio.current_time()
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[server, mark] = now + _REFUSAL_SECONDS

    def has(self, server: str | None, mark: bytes) -> bool:
        """Returns True if the server has refused this password less than `_REFUSAL_SECONDS` ago."""
        return trio.current_time() < self._until.get((server, mark), 0.0)


@attrs.frozen(kw_only=True, eq=False)
class Logins:
    """How all sessions of a service log in to servers."""

    mode: LoginMode
    account: str | None = None
    """The account for ``inject``."""
    read_password: Callable[[], str] | None = attrs.field(default=None, repr=False)
    """Gives the password of ``account``; raises `SecretError`. It may read a file, so it blocks."""
    tokens: TokenCache | None = None
    """The access tokens; None: passwords are used."""
    may_be_plain: Callable[[str | None], bool] = lambda _: False
    """Returns True if a secret may go to the server of this name without TLS."""
    refusals: _Refusals = attrs.field(factory=_Refusals, init=False, repr=False)

    def of_session(self, log: Log) -> SessionLogin:
        """Makes the object that answers the questions of one session."""
        tokens: TokenLogin | None = None
        if self.tokens is not None:
            from .token_login import TokenLogin

            tokens = TokenLogin(self.tokens, self.mode, log)
        return SessionLogin(self, log, tokens)


@attrs.define(eq=False)
class SessionLogin:
    """The logins of one session."""

    _logins: Logins
    _log: Log
    _tokens: TokenLogin | None = None
    _left: tuple[str, ...] = attrs.field(default=(), init=False)
    """The mechanisms that were not yet tried at this server."""
    _said: bytes = attrs.field(default=b"", init=False, repr=False)
    """The mark of the password that the server got: see `_Refusals.mark`."""

    @property
    def shows_tokens(self) -> bool:
        """True if the server gets access tokens, and never the client's password."""
        return self._tokens is not None

    async def answer(self, question: LoginQuestion) -> LogIn | Answer:
        """The verdict on a question. Raises nothing but a cancellation."""
        logins, attempt = self._logins, question.attempt
        account = logins.account if attempt is None else attempt.name
        if question.tls is None and not logins.may_be_plain(question.upstream):
            self._log.error("no login without TLS: the server does not offer it", **_named(question))
            return Answer(question.refusal)
        if account is None:
            self._log.error("there is no account to log in with", **_named(question))
            return Answer(question.refusal)
        if self._tokens is not None:
            return await self._tokens.answer(question, account)
        return await self._with_password(question, account)

    async def _with_password(self, question: LoginQuestion, account: str) -> LogIn | Answer:
        refused, refusals = question.refused, self._logins.refusals
        if refused is None:
            self._left = tuple(name for name in PASSWORD_MECHANISMS if name in question.mechanisms)
        else:
            tell = self._log.warning if question.attempt is None else self._log.info
            tell("the server refuses the login", account=account, reply=str(refused), **_named(question))
            if refused.code != _NOT_KNOWN:
                if refused.severity == 5 and question.attempt is None:
                    refusals.add(question.upstream, self._said)
                return Answer(question.refusal)
        why = "the server offers no mechanism for a password"
        try:
            password = await self._password(question)
            if question.attempt is None:
                self._said = refusals.mark(password)
                if refusals.has(question.upstream, self._said):
                    self._log.info("no login: the server has refused this password", account=account)
                    return Answer(question.refusal)
            while self._left:
                name, self._left = self._left[0], self._left[1:]
                try:
                    return LogIn(password_client(name, account, password))
                except ValueError as error:
                    why = str(error)
        except SecretError as error:
            why = str(error)
        offers = ", ".join(question.mechanisms) or "no AUTH"
        self._log.error("no login is possible", error=why, offers=offers, **_named(question))
        return Answer(question.refusal)

    async def _password(self, question: LoginQuestion) -> str:
        """Reads the password for each login, so that a new one is used at once, and none is kept in
        memory."""
        if question.attempt is not None:
            return question.attempt.password()
        if self._logins.read_password is None:
            raise SecretError("there is no password")
        return await trio.to_thread.run_sync(self._logins.read_password)


def _named(question: LoginQuestion) -> dict[str, Any]:
    """Names the server for a log line, if it is not the usual one."""
    return {} if question.upstream is None else {"upstream": question.upstream}
