"""The two ends composed: one dialogue between a client and a server, kept in step.

Every method that takes input returns one ordered list of `Event`. Nothing here reads, writes, waits
or knows the time. What may break the dialogue never raises: it is a `Violation` in the list, followed
by what has to be sent and closed. Only misuse raises (`LocalProtocolError`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from . import canned
from .commands import END_OF_DATA, Command, Kind
from .config import Config
from .connection import ContentReceived, ContentRefused, EndOfData, Pause, Refused, ReplyReceived
from .delivery import Delivery
from .dialogue import Dialogue
from .errors import LocalProtocolError
from .events import CLIENT, SERVER, Event, Side, Violation, WaitingFor
from .exchanges import Exchange, Internal
from .extensions import offer
from .questions import (
    COMMAND,
    PLACES,
    REPLY,
    Answer,
    AnyVerdict,
    CommandQuestion,
    Disconnect,
    Question,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    V,
)
from .replies import Reply
from .states import Phase
from .transaction import Envelope

__all__ = ["Proxy"]

_MAY_READ: Final = {
    (client, server): frozenset(side for side, may in ((CLIENT, client), (SERVER, server)) if may)
    for client in (False, True)
    for server in (False, True)
}


class Proxy:
    """One client, one server, and what passes between them.

    ``ask`` names the hook places at which a question is wanted: the constants of
    `sansio_smtp.questions`, or a verb such as ``"RCPT"`` for that command alone.
    """

    def __init__(self, config: Config | None = None, ask: Collection[str] = ()) -> None:
        self.config = config or Config()
        self.ask = frozenset(ask)
        self.progress = 0
        """Counts commands, replies and pieces of content. A driver moves its deadline when this moves, so
        that a peer that sends an octet now and then cannot hold the dialogue open."""
        self._verbs = frozenset(name.encode() for name in self.ask - PLACES)
        self._dialogue = Dialogue(self.config, self.ask)
        self._client = self._dialogue.client
        self._client.max_message_size = self.config.max_message_size
        self._server = self._dialogue.server
        self._exchanges = self._dialogue.exchanges
        self._delivery = Delivery(self._dialogue)
        self._draining = False
        self._errors = 0

    # What a driver reads

    @property
    def may_read(self) -> frozenset[Side]:
        """The sides that may be read now. A level, not an event: look before each read."""
        return _MAY_READ[self._may_read_client(), self._may_read_server()]

    @property
    def waiting_for(self) -> WaitingFor:
        """What the dialogue waits for."""
        if self._dialogue.closed:
            return WaitingFor.NOTHING
        if self._dialogue.question is not None:
            return WaitingFor.VERDICT
        if self._client.phase is Phase.GREETING:
            return WaitingFor.GREETING
        if self._server.awaiting is not None:
            return WaitingFor.FINAL_REPLY if self._server.awaiting is END_OF_DATA else WaitingFor.REPLY
        return WaitingFor.CONTENT if self._client.phase is Phase.CONTENT else WaitingFor.COMMAND

    @property
    def states(self) -> tuple[Phase, Phase]:
        """The framing phases of the end that faces the client and of the one that faces the server."""
        return self._client.phase, self._server.phase

    @property
    def envelope(self) -> Envelope:
        """The mail transaction as the client was told it stands."""
        return self._client.envelope

    @property
    def awaiting(self) -> Command | None:
        """The oldest command or message that the server owes a reply for."""
        return self._server.awaiting

    @property
    def closed(self) -> bool:
        """Whether both sides are closed; every input is ignored from then on."""
        return self._dialogue.closed

    @property
    def buffered(self) -> int:
        """Octets that are kept, whatever for."""
        kept = self._client.buffered + self._server.buffered
        return kept + self._exchanges.octets + self._delivery.buffered

    # Inputs

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        """Octets that a side sent, cut anywhere. Empty input is nothing; end of input is `eof_from`."""
        if side is CLIENT:
            self._client.receive_data(data)
        else:
            self._server.receive_data(data)
        return self._run()

    def eof_from(self, side: Side) -> list[Event]:
        """A side will send no more: it closed, half-closed or was lost."""
        if side is SERVER:
            self._server.receive_eof()
        else:
            self._client.receive_eof()
            if self._client.phase is Phase.GREETING and not self._client.buffered:
                self._dialogue.close()
        return self._run()

    def server_unreachable(self) -> list[Event]:
        """There is no connection to the server: the client is told instead of greeted."""
        return self._fail(canned.UNREACHABLE)

    def answer(self, question: Question[V], verdict: V) -> list[Event]:
        """The verdict on the open question.

        Raises `LocalProtocolError` for another question than the open one, or a verdict that the
        question does not take. When the dialogue has ended meanwhile, the verdict is ignored.
        """
        dialogue = self._dialogue
        if dialogue.closed:
            return []
        resume = dialogue.resume
        if resume is None or question is not dialogue.question:
            raise LocalProtocolError("this question is not open")
        _check(question, verdict)
        dialogue.question = dialogue.resume = None
        self.progress += 1
        resume(verdict)
        return self._run()

    def timed_out(self, *, stalled: bool = False) -> list[Event]:
        """What `waiting_for` names took too long: the client is told, both sides are closed.

        ``stalled``: the server did not take what was sent to it, so the client is not to blame.
        """
        if self.closed:
            return []
        return self._fail(canned.STALLED if stalled else canned.TIMEOUTS[self.waiting_for])

    def shutdown(self, *, now: bool = False) -> list[Event]:
        """The service stops. An idle client gets 421; a mail transaction may finish, unless ``now``."""
        if now:
            return self._fail(canned.SHUTDOWN)
        self._draining = True
        return self._run()

    # The engine: both ends are drained until neither has anything to give

    def _run(self) -> list[Event]:
        dialogue = self._dialogue
        server, client = self._server, self._client
        while (server.pending and self._run_server()) or (client.pending and self._run_client()):
            pass
        if self._draining and self._idle():
            dialogue.fail(canned.SHUTDOWN)
        if dialogue.closed:
            self._delivery.close()
        events, dialogue.out = dialogue.out, []
        return events

    def _fail(self, reply: Reply) -> list[Event]:
        if not self._dialogue.closed:
            self._dialogue.fail(reply)
        return self._run()

    def _run_server(self) -> bool:
        """Handles what the server said; whether that was anything."""
        moved = False
        while self._server.pending and (self._dialogue.question is None or REPLY not in self.ask):
            event = self._server.next_event()
            if event is Pause.END_OF_INPUT:
                self._dialogue.fail(canned.LOST)
                return True
            if isinstance(event, Pause):
                break
            moved = True
            self.progress += 1
            if isinstance(event, ReplyReceived):
                self._server_replied(event)
            else:
                event.evidence = self._dialogue.masked(event.evidence)
                self._dialogue.out.append(Violation(SERVER, event))
                self._dialogue.fail(event.reply_hint)
        return moved

    def _run_client(self) -> bool:
        """Handles what the client sent; whether that was anything."""
        moved = False
        while self._client.pending and not self._client_paused():
            event = self._client.next_event()
            if event is Pause.END_OF_INPUT:
                return self._client_ended() or moved
            if isinstance(event, Pause):
                break
            moved = True
            self.progress += 1
            if isinstance(event, Command):
                self._command(event)
            elif isinstance(event, ContentReceived):
                self._delivery.content(event)
            elif isinstance(event, EndOfData):
                self._delivery.end_of_data(event)
            elif isinstance(event, ContentRefused):
                self._dialogue.out.append(Violation(CLIENT, event.error))
                self._delivery.refuse(event.error.reply_hint)
            else:
                self._refused(event)
        return moved

    def _client_ended(self) -> bool:
        """The client's input has ended. Replies that are owed may still be delivered; a message that did
        not end there must not end at the server."""
        if self._client.phase is Phase.COMMAND and self._exchanges:
            return False
        self._dialogue.close()
        return True

    # Commands

    def _command(self, command: Command) -> None:
        self._dialogue.trace(CLIENT, command.shown)
        exchange = self._exchanges.open(command)
        if self._dialogue.detached:
            quits = command.kind is Kind.QUIT
            self._dialogue.fill(exchange, canned.BYE if quits else canned.DETACHED)
        elif self._asks_for(command):
            question = CommandQuestion(command, self.envelope)
            self._dialogue.ask_for(question, lambda verdict: self._command_judged(exchange, verdict))
        else:
            self._forward(exchange)

    def _asks_for(self, command: Command) -> bool:
        """AUTH lines are no commands; no rule sees them."""
        return command.kind is not Kind.AUTH_LINE and (COMMAND in self.ask or command.verb in self._verbs)

    def _command_judged(self, exchange: Exchange, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Answer):
            if exchange.command.kind is Kind.DATA and verdict.reply.code != 421:
                self._dialogue.reset_server()
            self._dialogue.fill(exchange, verdict.reply)
        elif isinstance(verdict, Disconnect):
            self._dialogue.end_session(exchange, verdict.reply)
        else:
            if isinstance(verdict, ReplaceCommand):
                exchange.command = verdict.command
            self._forward(exchange)

    def _forward(self, exchange: Exchange) -> None:
        if refusal := self._limit_reached(exchange.command):
            self._dialogue.fill(exchange, refusal)
        else:
            self._dialogue.forward(exchange)

    def _limit_reached(self, command: Command) -> Reply | None:
        limit = self.config.max_message_size
        if command.verb == b"MAIL" and limit is not None and command.declared_size > limit:
            return canned.too_big(limit)
        if command.verb == b"RCPT" and len(self.envelope.recipients) >= self.config.max_recipients:
            return canned.TOO_MANY_RECIPIENTS
        return None

    def _refused(self, event: Refused) -> None:
        self._dialogue.trace(CLIENT, event.command.shown)
        self._dialogue.out.append(Violation(CLIENT, event.error))
        self._errors += 1
        exchange = self._exchanges.open(event.command)
        too_many = self._errors > self.config.max_errors
        self._dialogue.fill(exchange, canned.TOO_MANY_ERRORS if too_many else event.error.reply_hint)

    # Replies

    def _server_replied(self, event: ReplyReceived) -> None:
        reply = event.reply
        self._dialogue.trace(SERVER, reply.raw[:-2])
        if event.unsolicited:
            self._dialogue.fail(reply)
            return
        entry = self._exchanges.forwarded.pop(0) if event.command is not None else None
        if isinstance(entry, Internal):
            self._internal_reply(entry, reply)
        elif REPLY in self.ask:
            question = ReplyQuestion(reply, event.command, self.envelope)
            self._dialogue.ask_for(question, lambda verdict: self._reply_judged(entry, reply, verdict))
        else:
            self._reply(entry, reply)

    def _internal_reply(self, entry: Internal, reply: Reply) -> None:
        if reply.code == 421:
            self._dialogue.fail(reply)
        elif entry is Internal.HELD_DATA:
            self._delivery.data_answered(reply)
        elif reply.code >= 400:
            # It may still hold an envelope that must not meet the next message.
            self._dialogue.fail(canned.NOT_RESET)
        else:
            self._dialogue.send_unsent()

    def _reply_judged(self, entry: Exchange | None, reply: Reply, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Disconnect):
            self._dialogue.end_session(entry, verdict.reply)
        else:
            self._reply(entry, verdict.reply if isinstance(verdict, ReplaceReply) else reply)

    def _reply(self, entry: Exchange | None, reply: Reply) -> None:
        if entry is None:
            self._dialogue.send_reply(reply)
            return
        if entry.command.kind is Kind.HELLO and reply.code < 300:
            limits = (self.config.max_message_size, self._server.max_message_size)
            self._client.max_message_size = min((limit for limit in limits if limit), default=None)
            if entry.command.verb == b"EHLO":
                reply = offer(reply, self.config.relay_keywords, self.config.max_message_size)
        self._dialogue.fill(entry, reply)

    # Levels

    def _client_paused(self) -> bool:
        dialogue = self._dialogue
        if dialogue.question is not None or dialogue.ending:
            return True
        return len(self._exchanges.waiting) >= self.config.max_pipelined

    def _idle(self) -> bool:
        dialogue = self._dialogue
        if dialogue.closed or dialogue.question or self._exchanges or self._client.phase is Phase.CONTENT:
            return False
        return dialogue.detached or not self._client.in_transaction

    def _may_read_client(self) -> bool:
        dialogue = self._dialogue
        if dialogue.closed or self._client.eof or self._client_paused():
            return False
        # Never less than a line and its end: what is too long must be seen to be so.
        return self._client.buffered < max(self.config.read_ahead, self.config.max_line + 2)

    def _may_read_server(self) -> bool:
        dialogue = self._dialogue
        if dialogue.closed or dialogue.detached or self._server.eof:
            return False
        paused = dialogue.question is not None and REPLY in self.ask
        return not paused or self._server.buffered < self.config.read_ahead


def _check(question: Any, verdict: object) -> None:
    """Whether the question takes the verdict, and what it puts in leaves the framing as it is: the first
    digit of a reply decides that (RFC 5321 §4.2.1), and the verb of a command."""
    if not isinstance(verdict, question.verdicts):
        names = ", ".join(kind.__name__ for kind in question.verdicts)
        raise LocalProtocolError(f"{type(verdict).__name__} does not answer this question; {names} do")
    if isinstance(question, ReplyQuestion) and isinstance(verdict, ReplaceReply):
        if verdict.reply.severity != question.reply.severity:
            raise LocalProtocolError(f"{question.reply} cannot become {verdict.reply}: another first digit")
        if question.reply.code == 421 != verdict.reply.code:
            raise LocalProtocolError("the server is leaving; its 421 can only become another 421")
    elif isinstance(question, CommandQuestion):
        if isinstance(verdict, ReplaceCommand):
            verdict.command.check()
            if Command.parse(verdict.command.raw).verb != question.command.verb:
                raise LocalProtocolError(f"{question.command} cannot become {verdict.command}: another verb")
        elif isinstance(verdict, Answer) and (question.command.kind, verdict.reply.severity) == (
            Kind.DATA,
            2,
        ):
            raise LocalProtocolError("2xx to DATA would leave the client no way to go on")
