"""Logs the proxy in to a server (RFC 4954), as a step of the server's setup.

The driver is asked for the mechanism and the secrets (`LoginQuestion`). Here is the AUTH exchange::

    begin ──> LoginQuestion ─┬─ LogIn ──> AUTH … ──┬─ 334  the next response, or "*"
                ^            │                     ├─ 2xx  the setup goes on, or the client's AUTH is answered
                │            │                     └─ 4xx, 5xx ──┐
                │            └─ Answer: the client's command     │
                └── at most twice more ──────────────────────────┘

The client waits meanwhile with the command that needs the login: its AUTH, or MAIL.

What must never happen: a server counts as logged in to that has not said 2xx, or that has said it in place of
the proof which the mechanism asks for; a secret goes to another server than the one that was asked about; or
what the server says of the proxy's own secrets is told to the client.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from typing import Final

from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.events import Event, ServerUnusable
from sansio_smtp.members import KIND_AUTH
from sansio_smtp.questions import AnyVerdict, Disconnect, LogIn, LoginQuestion
from sansio_smtp.sasl_client import SaslClient
from sansio_smtp.wire.commands import Command, auth_line
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import LONGEST_EXCHANGE, decoded

from . import own_replies
from .downstream import Downstream, nothing
from .forwarding import Forwarding
from .server_setup import Lack

__all__ = ["LoginFlow"]

_MOST_ATTEMPTS: Final = 3
"""The first is usual; the second has a fresh token; more are a fault of the driver."""
_LONGEST_COMMAND: Final = 510
"""Octets of a command line without its CRLF (RFC 5321 §4.5.3.1.4). Lines of an exchange may be longer."""
_CANCEL: Final = b"*"
_TO_AUTH: Final = (432, 454, 534, 535)
"""The refusals of AUTH that tell the client what it can do (RFC 4954 §6)."""


class LoginFlow:
    """The login to the server that is connected."""

    __slots__ = (
        "_attempts",
        "_cancelled",
        "_client",
        "_downstream",
        "_forwarding",
        "_on_login",
        "_on_unusable",
        "_out",
        "_refused",
        "_sent",
        "_translates",
        "_unsent",
        "waits",
    )

    def __init__(
        self, config: Config, downstream: Downstream, forwarding: Forwarding, out: list[Event]
    ) -> None:
        self.waits = False
        """True if the login is due and waits until the open question is answered."""
        self._translates = config.login_mode is LoginMode.TRANSLATE
        self._downstream = downstream
        self._forwarding = forwarding
        self._out = out
        self._on_login: Callable[[], None] = nothing
        self._on_unusable: Callable[[Lack], None] = lambda _: None
        self._client: SaslClient | None = None
        self._attempts = 0
        self._refused: Reply | None = None
        self._unsent: bytes | None = None  # an initial response that was too long for the command line
        self._sent = 0  # lines of this exchange
        self._cancelled = False

    def call(self, *, on_login: Callable[[], None], on_unusable: Callable[[Lack], None]) -> None:
        """Sets what is called when the server is logged in to, and the client waits with another command than
        AUTH; and when the server cannot be used."""
        self._on_login, self._on_unusable = on_login, on_unusable

    def begin(self) -> None:
        """The login is due. Asks how, now or when the open question has been answered."""
        self._attempts, self._refused = 0, None
        self._ask()

    def go_on(self) -> None:
        """The open question has been answered: see `waits`."""
        self._ask()

    def answered(self, reply: Reply) -> None:
        """Takes the server's reply to a line of the exchange."""
        if reply.code == 421:
            self._give_up_server(f"it said {self._shown(reply)} to AUTH", own_replies.UNREACHABLE)
        elif reply.severity == 3:
            self._respond(reply)
        elif reply.severity == 2:
            self._accepted(reply)
        else:
            self._was_refused(reply)

    def close(self) -> None:
        """The session is over: forgets the secrets."""
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
            self._give_up(verdict.reply)  # type: ignore[union-attr]

    @property
    def _command(self) -> Exchange:
        """The command of the client that waits for the login."""
        oldest = self._forwarding.oldest
        assert oldest is not None
        assert isinstance(oldest.handle, Exchange)  # a setup is for a command of the client
        return oldest.handle

    # The exchange

    def _start(self, client: SaslClient) -> None:
        self._client, self._cancelled, self._sent, self._unsent = client, False, 0, None
        line, initial = b"AUTH " + client.name.encode(), client.initial
        if initial is not None:
            whole = b"%s %s" % (line, _base64(initial) or b"=")
            if len(whole) <= _LONGEST_COMMAND:
                line = whole
            else:
                self._unsent = initial
        self._send(Command.of(line))

    def _respond(self, reply: Reply) -> None:
        if self._sent == LONGEST_EXCHANGE:
            self._give_up_server("its login has too many steps", own_replies.LOGIN_NOT_TRUSTED)
            return
        response = None if self._cancelled else self._response(reply)
        self._cancelled = response is None
        self._send(auth_line(_CANCEL if response is None else _base64(response)))

    def _response(self, reply: Reply) -> bytes | None:
        """What answers a challenge; None to cancel the exchange (RFC 4954 §4)."""
        unsent, self._unsent = self._unsent, None
        if unsent is not None:
            return unsent
        assert self._client is not None  # the server was sent AUTH
        challenge = decoded(reply.lines[0])
        try:
            return None if challenge is None else self._client.respond(challenge)
        except ValueError:
            return None

    def _send(self, line: Command) -> None:
        self._sent += 1
        self._forwarding.send_login(line)

    # The outcome

    def _accepted(self, reply: Reply) -> None:
        client, self._client = self._client, None
        assert client is not None  # the server was sent AUTH
        name, trusted = client.name, client.complete and not self._cancelled
        client.forget()
        if not trusted:
            why = f"it accepted the login before {name} was complete"
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
        self._refused = reply
        if self._attempts < _MOST_ATTEMPTS:
            self._ask()
        else:
            self._give_up(self._refusal())

    def _give_up(self, reply: Reply) -> None:
        """The client's command gets this reply, and is not sent."""
        if self._is_clients():
            self._downstream.drop_attempt()
        elif self._refused is not None:
            self._out.append(ServerUnusable(f"it refused the login: {self._shown(self._refused)}"))
        self._forwarding.answer_oldest(reply)

    def _give_up_server(self, why: str, reply: Reply) -> None:
        self._forget()
        self._on_unusable(Lack(why, reply))

    def _is_clients(self) -> bool:
        """Returns True if the client waits for the reply to its own login."""
        oldest = self._forwarding.oldest
        return oldest is not None and oldest.command.kind is KIND_AUTH

    def _refusal(self) -> Reply:
        """What suits the client, if the login is given up now."""
        refused = self._refused
        if not self._is_clients():
            return own_replies.NOT_LOGGED_IN
        if refused is None:
            return own_replies.NO_LOGIN_NOW
        if refused.code in _TO_AUTH:
            return self._masked(refused)
        return own_replies.WRONG_LOGIN if refused.severity == 5 else own_replies.NO_LOGIN_NOW

    def _masked(self, reply: Reply) -> Reply:
        """The reply without the credentials that were sent to the server: they may not be the client's."""
        return Reply(reply.code, self._downstream.masked(reply.raw))

    def _shown(self, reply: Reply) -> str:
        return str(self._masked(reply))

    def _forget(self) -> None:
        client, self._client, self._unsent = self._client, None, None
        if client is not None:
            client.forget()


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)
