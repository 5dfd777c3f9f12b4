"""The two ends composed: one dialogue between a client and a server, kept in step.

Every method that takes input returns one ordered list of `Event`. Nothing here reads, writes, waits
or knows the time. What may break the dialogue never raises: it is a `Violation` in the list, followed
by what has to be sent and closed. Only misuse raises (`LocalProtocolError`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from sansio_smtp.config import Config
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.extensions import offer
from sansio_smtp.ends.server import ContentReceived, ContentRefused, EndOfData, Pause
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER, Event, Side, Violation, WaitingFor
from sansio_smtp.questions import (
    REPLY,
    AnyVerdict,
    Disconnect,
    Question,
    ReplaceReply,
    ReplyQuestion,
    V,
)
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA, Command, Kind
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import identity

from . import own_replies
from .delivery import Delivery
from .dialogue import Dialogue
from .exchanges import Exchange, Internal
from .intake import Intake
from .message_store import Spool
from .verdict_checks import check

__all__ = ["Proxy"]

_MAY_READ: Final = {
    (client, server): frozenset(side for side, may in ((CLIENT, client), (SERVER, server)) if may)
    for client in (False, True)
    for server in (False, True)
}


class Proxy:
    """One client, one server, and what passes between them.

    ``ask`` names the hook places at which a question is wanted: the constants of
    `sansio_smtp.questions`, or a verb such as ``"RCPT"`` for that command alone. ``make_spool`` makes room
    for a message that is asked about whole and is larger than `Config.max_held`; without it, it is refused.
    """

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
    ) -> None:
        self.config = config or Config()
        self.ask = frozenset(ask)
        self.progress = 0
        """Counts commands, replies and pieces of content. A driver moves its deadline when this moves, so
        that a peer that sends an octet now and then cannot hold the dialogue open."""
        self.login: str | None = None
        """The identity with which the client has authenticated, as far as its mechanism tells."""
        self._dialogue = Dialogue(self.config, self.ask, make_spool)
        self._client = self._dialogue.client
        self._client.max_message_size = self.config.max_message_size
        self._server = self._dialogue.server
        self._exchanges = self._dialogue.exchanges
        self._delivery = Delivery(self._dialogue)
        self._draining = False
        self._intake = Intake(self._dialogue, self._delivery)

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
        if self._client.phase is Phase.GREETING or self._server.phase is Phase.GREETING:
            return WaitingFor.GREETING
        if self._delivery.has_more:
            return WaitingFor.CONTENT
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
    def hello(self) -> Command | None:
        """The EHLO or HELO that the server last took."""
        return self._dialogue.hello

    @property
    def awaiting(self) -> Command | None:
        """The oldest command or message that the server owes a reply for."""
        return self._server.awaiting

    @property
    def has_more(self) -> bool:
        """Whether `more` is to be called once what was sent to the server has been written."""
        return self._delivery.has_more

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
        return self._fail(own_replies.UNREACHABLE)

    def refuse(self, reply: Reply) -> list[Event]:
        """The client is told this 4xx or 5xx, which is its greeting if it has none yet, and both sides are
        closed. Raises `LocalProtocolError` in the middle of mail data or of a command for another reply than
        421."""
        return self._fail(reply)

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
        check(question, verdict)
        dialogue.question = dialogue.resume = None
        self.progress += 1
        resume(verdict)
        return self._run()

    def more(self) -> list[Event]:
        """The next piece of a message that is too large to be sent at once; only while `has_more`."""
        self.progress += 1
        self._delivery.more()
        return self._run()

    def timed_out(self, *, stalled: bool = False) -> list[Event]:
        """What `waiting_for` names took too long: the client is told, both sides are closed.

        ``stalled``: the server did not take what was sent to it, so the client is not to blame.
        """
        if self.closed:
            return []
        return self._fail(own_replies.STALLED if stalled else own_replies.TIMEOUTS[self.waiting_for])

    def shutdown(self, *, now: bool = False) -> list[Event]:
        """The service stops. An idle client gets 421; a mail transaction may finish, unless ``now``."""
        if now:
            return self._fail(own_replies.SHUTDOWN)
        self._draining = True
        return self._run()

    # The engine: both ends are drained until neither has anything to give

    def _run(self) -> list[Event]:
        dialogue = self._dialogue
        server, client = self._server, self._client
        while (
            (server.pending and self._run_server())
            or (self._intake.unasked is not None and self._intake.ask_in_turn())
            or (client.pending and self._run_client())
        ):
            pass
        if self._draining and self._idle():
            dialogue.fail(own_replies.SHUTDOWN)
        if dialogue.closed:
            self._delivery.close()
            self._intake.unasked = None
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
                self._dialogue.fail(own_replies.LOST)
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
                self._intake.command(event)
            elif isinstance(event, ContentReceived):
                self._delivery.content(event)
            elif isinstance(event, EndOfData):
                self._delivery.end_of_data(event)
            elif isinstance(event, ContentRefused):
                self._dialogue.out.append(Violation(CLIENT, event.error))
                self._delivery.refuse(event.error.reply_hint)
            else:
                self._intake.refused(event)
        return moved

    def _client_ended(self) -> bool:
        """The client's input has ended. Replies that are owed may still be delivered; a message that did
        not end there must not end at the server."""
        if self._client.phase is Phase.COMMAND and self._exchanges:
            return False
        self._dialogue.close()
        return True

    # Replies

    def _server_replied(self, event: ReplyReceived) -> None:
        reply = event.reply
        self._dialogue.trace(SERVER, reply.raw[:-2])
        if event.unsolicited:
            self._dialogue.fail(reply)
            return
        entry = self._exchanges.forwarded.pop(0) if event.command is not None else None
        if self._dialogue.joining:
            self._dialogue.joined(event.command, reply)
        elif isinstance(entry, Internal):
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
        elif entry is Internal.ADDED_RECIPIENT:
            if reply.code >= 400:
                self._addition_refused()
            self._dialogue.send_unsent()
        elif reply.code >= 400:
            # It may still hold an envelope that must not meet the next message.
            self._dialogue.fail(own_replies.NOT_RESET)
        else:
            self._dialogue.send_unsent()

    def _addition_refused(self) -> None:
        """A message never goes without a recipient that it was to have."""
        data = self._dialogue.take_unsent_data()
        if data is Internal.HELD_DATA:
            self._delivery.refuse(own_replies.NO_COPY, first=True)
        elif isinstance(data, Exchange):
            self._dialogue.reset_server()
            self._dialogue.fill(data, own_replies.NO_COPY)

    def _reply_judged(self, entry: Exchange | None, reply: Reply, verdict: AnyVerdict) -> None:
        if isinstance(verdict, Disconnect):
            self._dialogue.end_session(entry, verdict.reply)
        else:
            self._reply(entry, verdict.reply if isinstance(verdict, ReplaceReply) else reply)

    def _reply(self, entry: Exchange | None, reply: Reply) -> None:
        if entry is None:
            self._dialogue.send_reply(reply)
            return
        kind = entry.command.kind
        if kind is Kind.HELLO and reply.code < 300:
            self._dialogue.hello = entry.command
            self._dialogue.learn_limits()
            if entry.command.verb == b"EHLO":
                reply = offer(reply, self.config.relay_keywords, self.config.max_message_size)
        elif entry.command.verb == b"MAIL" and reply.code < 300:
            self._dialogue.mail_taken(entry.command)
        elif entry.command.verb == b"RCPT" and reply.code < 300:
            self._dialogue.has_recipients = True
        elif (kind is Kind.AUTH or kind is Kind.AUTH_LINE) and reply.severity != 3:
            if reply.severity == 2:
                self._dialogue.authenticated = True
                self.login = identity(self._intake.auth)
            self._intake.auth = []
        self._dialogue.fill(entry, reply)

    # Levels

    def _client_paused(self) -> bool:
        dialogue = self._dialogue
        if dialogue.question is not None or dialogue.ending or self._intake.unasked is not None:
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
