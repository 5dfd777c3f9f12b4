"""Logs the proxy in to a server (RFC 4954), as a step of the server's setup.

It asks the driver for the mechanism and the secrets (`LoginQuestion`); `SaslExchange` makes the lines::

    begin ──> LoginQuestion ─┬─ LogIn ──> AUTH … ──┬─ 334  the next response, or "*"
                ^            │                     ├─ 2xx  the setup goes on, or the client's AUTH is answered
                │            │                     └─ 4xx, 5xx ──┐
                │            └─ Answer: the client's command     │
                └── at most twice more ──────────────────────────┘

Meanwhile the client's command that needs the login, AUTH or MAIL, waits.

What must never happen: the login counts as accepted although the server has not sent 2xx, or has sent 2xx
without the proof that the mechanism requires; a secret goes to another server than the one in the question;
or the client gets a reply that shows the proxy's own secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.sasl_exchange import SaslExchange
from sansio_smtp.events import Event, ServerUnusable
from sansio_smtp.members import KIND_AUTH
from sansio_smtp.questions import Answer, AnyVerdict, Disconnect, LogIn, LoginQuestion
from sansio_smtp.sasl_client import SaslClient
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream, nothing
from .forwarding import Forwarding
from .server_setup import Lack

__all__ = ["LoginFlow"]

_MOST_ATTEMPTS: Final = 3
"""The most attempts: the first is usual, the second has a fresh token, more are a fault of the driver."""
_TO_AUTH: Final = (432, 454, 534, 535)
"""The refusals of AUTH that help the client (RFC 4954 §6)."""


class LoginFlow:
    """The login to the server that is connected."""

    __slots__ = (
        "_attempts",
        "_downstream",
        "_exchange",
        "_forwarding",
        "_on_login",
        "_on_unusable",
        "_out",
        "_refused",
        "waits",
    )

    def __init__(self, downstream: Downstream, forwarding: Forwarding, out: list[Event]) -> None:
        self.waits = False
        """True if the login is due and waits until the open question is answered."""
        self._downstream = downstream
        self._forwarding = forwarding
        self._out = out
        self._on_login: Callable[[], None] = nothing
        self._on_unusable: Callable[[Lack], None] = lambda _: None
        self._exchange: SaslExchange | None = None
        self._attempts = 0
        self._refused: Reply | None = None

    def call(self, *, on_login: Callable[[], None], on_unusable: Callable[[Lack], None]) -> None:
        """Sets the functions that are called when the login is accepted, if the client's command is not AUTH;
        and when the server cannot be used."""
        self._on_login, self._on_unusable = on_login, on_unusable

    def begin(self) -> None:
        """The login is due. Asks the driver, now or when the open question has been answered."""
        self._attempts, self._refused = 0, None
        self._ask()

    def go_on(self) -> None:
        """The open question has been answered: see `waits`."""
        self._ask()

    def answered(self, reply: Reply) -> None:
        """Takes the server's reply to a line of the exchange."""
        if reply.code == 421:
            self._give_up_server(f"it said {self._masked(reply)} to AUTH", own_replies.UNREACHABLE)
        elif reply.severity == 3:
            self._respond(reply)
        elif reply.severity == 2:
            self._accepted(reply)
        else:
            self._was_refused(reply)

    def close(self) -> None:
        """The session is over: forgets the secrets."""
        self.waits = False
        self._forget()
        self._on_login, self._on_unusable = nothing, lambda _: None

    # The question

    def _ask(self) -> None:
        downstream = self._downstream
        self.waits = downstream.question is not None
        if self.waits:
            return
        leg = self._forwarding.leg
        question = LoginQuestion(
            mechanisms=tuple(leg.end.keywords.get("AUTH", "").upper().split()),
            upstream=leg.name,
            tls=leg.tls,
            login=downstream.login,
            attempt=downstream.attempt,
            refused=self._refused,
            refusal=self._refusal(),
            envelope=downstream.end.envelope,
        )
        downstream.ask(question, self._judged)

    def _judged(self, verdict: AnyVerdict) -> None:
        if isinstance(verdict, LogIn):
            self._start(verdict.client)
        elif isinstance(verdict, Disconnect):
            self._downstream.end_session(self._command, verdict.reply)
        else:
            self._give_up(verdict.reply if isinstance(verdict, Answer) else self._refusal())

    @property
    def _command(self) -> Exchange:
        """The command of the client that waits for the login."""
        oldest = self._forwarding.oldest
        assert oldest is not None
        assert isinstance(oldest.handle, Exchange)  # a setup is for a command of the client
        return oldest.handle

    # The exchange

    def _start(self, client: SaslClient) -> None:
        self._exchange = exchange = SaslExchange(client)
        self._forwarding.send_login(exchange.begin())

    def _respond(self, reply: Reply) -> None:
        assert self._exchange is not None  # the server was sent AUTH
        line = self._exchange.answer(reply)
        if line is None:
            self._give_up_server("its login has too many steps", own_replies.LOGIN_NOT_TRUSTED)
        else:
            self._forwarding.send_login(line)

    # The outcome

    def _accepted(self, reply: Reply) -> None:
        exchange = self._exchange
        assert exchange is not None  # the server was sent AUTH
        trusted = exchange.trusted
        self._forget()
        if not trusted:
            why = f"it accepted the login before {exchange.client.name} was complete"
            self._give_up_server(why, own_replies.LOGIN_NOT_TRUSTED)
            return
        self._forwarding.leg.log_in()
        if self._is_clients():
            self._downstream.accept_attempt()
            self._forwarding.answer_oldest(self._masked(reply))
        else:
            self._on_login()

    def _was_refused(self, reply: Reply) -> None:
        self._forget()
        self._attempts += 1
        self._refused = self._masked(reply)
        if self._attempts < _MOST_ATTEMPTS:
            self._ask()
        else:
            self._give_up(self._refusal())

    def _give_up(self, reply: Reply) -> None:
        """Abandons the login: the client's command gets this reply, and is not sent."""
        if self._is_clients():
            self._downstream.drop_attempt()
        elif self._refused is not None:
            self._out.append(ServerUnusable(f"it refused the login: {self._refused}"))
        self._forwarding.answer_oldest(reply)

    def _give_up_server(self, why: str, reply: Reply) -> None:
        self._forget()
        self._on_unusable(Lack(why, reply))

    def _is_clients(self) -> bool:
        """Returns True if the client waits for the reply to its own login."""
        oldest = self._forwarding.oldest
        return oldest is not None and oldest.command.kind is KIND_AUTH

    def _refusal(self) -> Reply:
        """The reply to the client if the login is abandoned now."""
        refused = self._refused
        if not self._is_clients():
            return own_replies.NOT_LOGGED_IN
        if refused is None:
            return own_replies.NO_LOGIN_NOW
        if refused.code in _TO_AUTH:
            return refused
        return own_replies.WRONG_LOGIN if refused.severity == 5 else own_replies.NO_LOGIN_NOW

    def _masked(self, reply: Reply) -> Reply:
        """The reply without the credentials that were sent to the server: they may not be the client's."""
        return Reply(reply.code, self._downstream.masked(reply.raw), reply.origin)

    def _forget(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.forget()
