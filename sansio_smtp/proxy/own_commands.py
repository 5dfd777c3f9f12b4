"""The commands that the proxy answers itself: STARTTLS, XCLIENT, XFORWARD.

They concern only the client's connection, so no server gets them. `ends.access` says who may send them. Their
changes are valid from the moment of their reply. `CommandFlow` handles XCLIENT and XFORWARD only when all
earlier replies have been sent, so that no verdict on an earlier reply is given for another client.
"""

from __future__ import annotations

from functools import partial

from sansio_smtp.config import Config
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.members import KIND_STARTTLS
from sansio_smtp.questions import AnyVerdict, ClientQuestion, Disconnect, Route
from sansio_smtp.wire.client_attributes import XCLIENT, XFORWARD, AttributeProblem, read_attributes
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.login_names import prepared
from sansio_smtp.wire.sasl import Login

from . import own_replies
from .client_identity import forwarded, renamed
from .downstream import Downstream
from .forwarding import Forwarding
from .shared import Shared

__all__ = ["OwnCommands"]


class OwnCommands:
    """Takes these commands, and answers them."""

    __slots__ = ("_asks_client", "_config", "_downstream", "_forwarding")

    def __init__(self, config: Config, asked: Shared, downstream: Downstream, forwarding: Forwarding) -> None:
        self._config = config
        self._asks_client = asked.client_changed
        self._downstream = downstream
        self._forwarding = forwarding

    def take(self, exchange: Exchange, command: Command) -> None:
        """Takes a command of the client."""
        if command.kind is KIND_STARTTLS:
            bad = command.argument.strip()
            self._downstream.fill(exchange, own_replies.NO_ARGUMENT if bad else own_replies.START_TLS)
        elif self._downstream.end.in_transaction:
            self._downstream.fill(exchange, own_replies.IN_TRANSACTION)
        else:
            try:
                self._name(exchange, command)
            except AttributeProblem as problem:
                self._downstream.fill(exchange, own_replies.bad_attribute(str(problem)))

    def _name(self, exchange: Exchange, command: Command) -> None:
        downstream = self._downstream
        if command.verb == b"XFORWARD":
            said = read_attributes(command.argument, XFORWARD)
            downstream.forward_for(forwarded(downstream.forwarded, said))
            downstream.fill(exchange, own_replies.FORWARDED)
            return
        said = read_attributes(command.argument, XCLIENT)
        known = downstream.authenticated or self._forwarding.leg.named
        downstream.rename(renamed(downstream.identity, said), self._login(said.get("LOGIN", "")))
        if self._asks_client:
            question = ClientQuestion(downstream.client_info, downstream.end.envelope)
            downstream.ask(question, partial(self._judged, exchange, known))
        else:
            self._begin_anew(exchange, known)

    def _login(self, name: str) -> Login | None:
        if not name:
            return None
        sensitive = self._config.case_sensitive_logins
        return Login(prepared(name, case_sensitive=sensitive), name, sensitive)

    def _judged(self, exchange: Exchange, known: bool, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Disconnect):
            self._downstream.end_session(exchange, verdict.reply)
            return
        self._forwarding.prefer(verdict.upstream if isinstance(verdict, Route) else None)
        self._begin_anew(exchange, known)

    def _begin_anew(self, exchange: Exchange, known: bool) -> None:
        """Begins the client's session again. ``known``: the server knows the old client."""
        self._forwarding.client_restarted(known=known)
        greeting = self._downstream.greeting
        assert greeting is not None  # no command is read before the greeting
        self._downstream.fill(exchange, greeting)
