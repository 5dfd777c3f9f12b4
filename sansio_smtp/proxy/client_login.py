"""Takes the login of a client if the proxy itself logs in to servers: AUTH PLAIN and AUTH LOGIN. The client's
exchange (RFC 4954) is answered here; no server sees any of its lines::

    AUTH, lines ──> name and password ──> question, if LOGIN is asked about ──┬─ INJECT: 235
       └─ 334                                                                 └─ TRANSLATE: `Forwarding`, as a
                                                                                 command that needs a login

In TRANSLATE the client gets the server's reply to the login of the proxy (`LoginFlow`).

What must never happen: the client gets 235 before the rule or the server has accepted, or a name is accepted
that could be read as another one (see `wire.sasl`).
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from functools import partial
from typing import Final

from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.members import KIND_AUTH
from sansio_smtp.questions import Answer, AnyVerdict, AttemptQuestion, Disconnect
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login

from . import own_replies
from .downstream import Downstream
from .forwarding import ANYWHERE, Forwarding
from .shared import Shared

__all__ = ["ClientLogin"]

_NEEDED: Final = {b"PLAIN": 1, b"LOGIN": 2}
"""Mechanism → number of answers of the client."""
_LOGIN_NEEDED: Final = Command(b"AUTH", b"AUTH", Kind.AUTH)
"""A placeholder in the server's queue while the proxy logs in for the client; it is not sent."""


class ClientLogin:
    """The login of the client to the proxy."""

    __slots__ = (
        "_answers",
        "_asks",
        "_downstream",
        "_forwarding",
        "_lines",
        "_mechanism",
        "_required",
        "_translates",
        "_upstream",
    )

    def __init__(self, config: Config, asked: Shared, downstream: Downstream, forwarding: Forwarding) -> None:
        self._asks = asked.logins
        self._translates = config.login_mode is LoginMode.TRANSLATE
        self._required = self._asks and not self._translates
        self._downstream = downstream
        self._forwarding = forwarding
        self._mechanism = b""
        self._lines: tuple[Command, ...] = ()
        self._answers: list[bytes] = []
        self._upstream: str | None = ANYWHERE

    @property
    def due(self) -> bool:
        """True if the client must log in before it sends mail. In TRANSLATE the server itself decides
        that."""
        return self._required and self._downstream.login is None

    def take(
        self, exchange: Exchange, command: Command, lines: tuple[Command, ...], upstream: str | None
    ) -> None:
        """Takes AUTH, or a line of the exchange that it has begun. ``lines`` are all lines of the exchange so
        far; ``upstream`` is the server that a verdict on AUTH has named."""
        if command.kind is KIND_AUTH:
            self._lines, self._answers = lines, []
            self._upstream = self._forwarding.target(command, upstream)
            reply = self._begin(command)
        else:
            self._lines += lines
            reply = self._go_on(command.raw)
        if reply is None:
            self._complete(exchange)
            return
        if reply.severity != 3:
            self._forget()
        self._downstream.fill(exchange, reply)

    def _begin(self, command: Command) -> Reply | None:
        """The reply to AUTH; None if the client has sent everything."""
        if not (self._asks or self._translates):
            return own_replies.NO_AUTH_HERE
        if self._downstream.end.in_transaction:
            return own_replies.IN_TRANSACTION
        if self._downstream.login is not None:
            return own_replies.LOGGED_IN_ALREADY
        words = command.raw.split()[1:]
        if not 1 <= len(words) <= 2:
            return own_replies.BAD_AUTH
        self._mechanism = words[0].upper()
        if self._mechanism not in _NEEDED:
            return own_replies.NO_SUCH_MECHANISM
        if len(words) == 1 or (words[1] == b"=" and self._mechanism == b"LOGIN"):
            return self._next()
        return self._answer(b"" if words[1] == b"=" else words[1])

    def _go_on(self, line: bytes) -> Reply | None:
        return own_replies.LOGIN_CANCELLED if line == b"*" else self._answer(line)

    def _answer(self, word: bytes) -> Reply | None:
        try:
            self._answers.append(a2b_base64(word, strict_mode=True) if word else b"")
        except Error:
            return own_replies.NO_BASE64
        return self._next()

    def _next(self) -> Reply | None:
        if len(self._answers) == _NEEDED[self._mechanism]:
            return None
        if self._mechanism == b"PLAIN":
            return own_replies.ASK_MESSAGE
        return own_replies.ASK_PASSWORD if self._answers else own_replies.ASK_NAME

    def _complete(self, exchange: Exchange) -> None:
        """The client has sent its name and password."""
        login, password = self._downstream.read_login(self._lines), self._answers[-1]
        if self._mechanism == b"PLAIN":
            if password.count(b"\0") != 2:
                self._refuse(exchange, own_replies.NO_PLAIN_MESSAGE)
                return
            password = password.rpartition(b"\0")[2]
        if login.name is None or login.given is None or not password or b"\0" in password:
            self._refuse(exchange, own_replies.BAD_CREDENTIALS)
            return
        attempt = LoginAttempt(self._mechanism.decode(), login.given, password)
        self._forget()
        if self._asks:
            question = AttemptQuestion(attempt, self._downstream.end.envelope)
            self._downstream.ask(question, partial(self._judged, exchange, attempt, login))
        else:
            self._accept(exchange, attempt, login)

    def _judged(self, exchange: Exchange, attempt: LoginAttempt, login: Login, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Answer):
            attempt.wipe()
            self._downstream.fill(exchange, verdict.reply)
        elif isinstance(verdict, Disconnect):
            attempt.wipe()
            self._downstream.end_session(exchange, verdict.reply)
        else:
            self._accept(exchange, attempt, login)

    def _accept(self, exchange: Exchange, attempt: LoginAttempt, login: Login) -> None:
        downstream = self._downstream
        if self._translates:
            downstream.keep_attempt(attempt, login)
            self._forwarding.forward(_LOGIN_NEEDED, exchange, self._upstream)
        else:
            attempt.wipe()
            downstream.take_login(login, by_server=False)
            downstream.fill(exchange, own_replies.LOGGED_IN)

    def _refuse(self, exchange: Exchange, reply: Reply) -> None:
        self._forget()
        self._downstream.fill(exchange, reply)

    def _forget(self) -> None:
        """The exchange is over: forgets its lines."""
        self._lines, self._answers = (), []
