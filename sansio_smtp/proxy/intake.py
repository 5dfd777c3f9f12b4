"""Commands of the client on their way through a dialogue: asked about, answered here, or forwarded."""

from __future__ import annotations

from sansio_smtp.ends.server import Refused
from sansio_smtp.events import CLIENT, Violation
from sansio_smtp.questions import (
    COMMAND,
    IN_TURN,
    PLACES,
    Answer,
    AnyVerdict,
    CommandQuestion,
    Continue,
    Disconnect,
    Inspect,
    ReplaceCommand,
    Route,
    Swallow,
)
from sansio_smtp.wire.commands import Command, Kind
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .content_pipeline import CONTENT_PLACES
from .delivery import Delivery
from .dialogue import Dialogue
from .exchanges import ANYWHERE, Exchange
from .routes import Routes

__all__ = ["Intake"]


class Intake:
    """Takes commands one by one, and puts each where it belongs."""

    def __init__(self, dialogue: Dialogue, delivery: Delivery) -> None:
        self._dialogue = dialogue
        self._delivery = delivery
        self._places = dialogue.ask & CONTENT_PLACES
        self._verbs = frozenset(name.encode() for name in dialogue.ask - PLACES)
        self._asks_all = COMMAND in dialogue.ask
        self._may_route = bool(self._verbs) or self._asks_all
        self._routes = Routes()
        self._errors = 0
        self.unasked: Exchange | None = None
        """The command that is asked about when its turn has come; nothing behind it is parsed before."""
        self.auth: list[Command] = []
        """The AUTH exchange that is under way: the command, and the client's lines."""

    def command(self, command: Command) -> None:
        """A command, or a line of an AUTH exchange."""
        dialogue = self._dialogue
        dialogue.trace(CLIENT, command.shown)
        exchange = dialogue.exchanges.open(command)
        kind = command.kind
        if kind is Kind.DATA:
            dialogue.places = self._places
        elif kind is Kind.AUTH:
            self.auth = [command]
        elif kind is Kind.AUTH_LINE:
            self.auth.append(command)
        if dialogue.detached and (reply := dialogue.detached_reply(command)):
            dialogue.fill(exchange, reply)
        elif kind is not Kind.AUTH_LINE and (self._asks_all or command.verb in self._verbs):
            # AUTH lines are no commands; no rule sees them.
            self.unasked = exchange
            self.ask_in_turn()
        else:
            self._forward(exchange)

    def refused(self, event: Refused) -> None:
        """A line that must not be forwarded."""
        dialogue = self._dialogue
        dialogue.trace(CLIENT, event.command.shown)
        dialogue.out.append(Violation(CLIENT, event.error))
        self._errors += 1
        exchange = dialogue.exchanges.open(event.command)
        too_many = self._errors > dialogue.config.max_errors
        dialogue.fill(exchange, own_replies.TOO_MANY_ERRORS if too_many else event.error.reply_hint)

    def ask_in_turn(self) -> bool:
        """Asks about the command that waits for it, if its turn has come; whether it has."""
        dialogue, exchange = self._dialogue, self.unasked
        if exchange is None or dialogue.closed:
            return False
        if IN_TURN in dialogue.ask and not dialogue.exchanges.is_due(exchange):
            return False
        self.unasked = None
        question = CommandQuestion(exchange.command, dialogue.client.envelope)
        dialogue.ask_for(question, lambda verdict: self._judged(exchange, verdict))
        return True

    def _judged(self, exchange: Exchange, verdict: AnyVerdict) -> None:
        dialogue = self._dialogue
        if isinstance(verdict, Answer):
            if exchange.command.kind is Kind.DATA and verdict.reply.code != 421:
                dialogue.reset_server()
            elif exchange.command.verb == b"MAIL" and verdict.reply.severity == 2:
                dialogue.mail = None  # no server knows of this transaction
            dialogue.fill(exchange, verdict.reply)
        elif isinstance(verdict, Disconnect):
            dialogue.end_session(exchange, verdict.reply)
        elif isinstance(verdict, Swallow):
            self._delivery.swallow(verdict.reply)
            dialogue.fill(exchange, own_replies.GO_AHEAD)
        else:
            upstream: str | None = ANYWHERE
            if isinstance(verdict, ReplaceCommand):
                exchange.command = verdict.command
            elif isinstance(verdict, Route):
                exchange.command = verdict.command or exchange.command
                upstream = verdict.upstream
            elif isinstance(verdict, Inspect):
                dialogue.places = verdict.places & CONTENT_PLACES
            if exchange.command.kind is Kind.AUTH:
                self.auth = [exchange.command]
            if isinstance(verdict, Continue | Inspect) and not dialogue.detached:
                dialogue.add_recipients(verdict.recipients)
            self._forward(exchange, upstream)

    def _forward(self, exchange: Exchange, upstream: str | None = ANYWHERE) -> None:
        dialogue, command = self._dialogue, exchange.command
        if dialogue.detached and (reply := dialogue.detached_reply(command)):
            dialogue.fill(exchange, reply)
        elif refusal := self._limit_reached(command):
            dialogue.fill(exchange, refusal)
        else:
            if self._may_route:
                self._routes.mark(exchange, upstream, dialogue)
            dialogue.forward(exchange)

    def _limit_reached(self, command: Command) -> Reply | None:
        config, envelope = self._dialogue.config, self._dialogue.client.envelope
        limit = config.max_message_size
        if command.verb == b"MAIL" and limit is not None and command.declared_size > limit:
            return own_replies.too_big(limit)
        if command.verb == b"RCPT" and len(envelope.recipients) >= config.max_recipients:
            return own_replies.TOO_MANY_RECIPIENTS
        return None
