"""Decides what to do with each command of the client: ask a question, answer it here, or send it to the
server.

The first of these that applies::

    command ─┬─ the server was reset       221 to QUIT; else 421, or a new connection (`Config.reconnect`)
             ├─ a question is wanted       asked now, or when the replies before it are known (`IN_TURN`)
             │    └─ verdict ─┬─ answered here; or the session ends; or (DATA) the message is swallowed
             │                └─ passed on: as it is, replaced, or to another server
             ├─ STARTTLS, XCLIENT, XFORWARD  answered here (`OwnCommands`)
             ├─ AUTH                       answered here where the proxy logs in by itself (`ClientLogin`)
             ├─ a limit of ours            452, 552
             ├─ QUIT, and the connection to the server is to be kept: RSET (`Keeping`)
             └─ else                       to the server (`Forwarding`)

What must never happen is that the server keeps a mail transaction that has ended for the client. So if a
verdict, in place of the server, accepts a command that begins or ends a transaction, the server gets RSET.
"""

from __future__ import annotations

from functools import partial

from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.received import Refused
from sansio_smtp.events import CLIENT, Event, Violation
from sansio_smtp.members import (
    EFFECT_ADD_RECIPIENT,
    EFFECT_BEGIN,
    EFFECT_END,
    GATE_QUEUED,
    KIND_AUTH,
    KIND_AUTH_LINE,
    KIND_CHUNK,
    KIND_DATA,
    KIND_IDENTITY,
    KIND_LAST_CHUNK,
    KIND_QUIT,
    UPSTREAM_DETACHED,
)
from sansio_smtp.questions import (
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
from sansio_smtp.states import GateStep
from sansio_smtp.verbs import UNKNOWN, VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import LONGEST_EXCHANGE
from sansio_smtp.wire.violations import RemoteProtocolError

from . import own_replies
from .chunks import ABORTING, ALLOWED
from .client_login import ClientLogin
from .downstream import Downstream
from .forwarding import ANYWHERE, Forwarding
from .headroom import with_headroom
from .keeping import Keeping
from .message_flow import MessageFlow
from .own_commands import OwnCommands
from .shared import Shared

__all__ = ["CommandFlow"]


class CommandFlow:
    """Takes the client's commands one by one."""

    __slots__ = (
        "_asked",
        "_asks_others",
        "_config",
        "_downstream",
        "_errors",
        "_forwarding",
        "_in_turn",
        "_keeping",
        "_login",
        "_logins",
        "_may_route",
        "_message",
        "_out",
        "_places",
        "_queued",
        "asks_all",
        "verbs",
    )

    def __init__(
        self,
        config: Config,
        asked: Shared,
        downstream: Downstream,
        forwarding: Forwarding,
        message: MessageFlow,
        out: list[Event],
        keeping: Keeping | None = None,
    ) -> None:
        self._config = config
        self._keeping = keeping
        self._downstream = downstream
        self._forwarding = forwarding
        self._message = message
        self._out = out
        self._asked = asked
        self._places = asked.content
        self.verbs = asked.verbs
        """The verbs that are asked about by their names."""
        self.asks_all = asked.all_commands
        """True if all commands are asked about."""
        self._asks_others = asked.other_verbs
        self._in_turn = asked.in_turn
        self._may_route = asked.may_route
        self._queued: Exchange | None = None
        self._login: tuple[Command, ...] = ()
        self._errors = 0
        self._logins: ClientLogin | None = None
        if config.login_mode is not LoginMode.RELAY:
            self._logins = ClientLogin(config, asked, downstream, forwarding)

    @property
    def login(self) -> tuple[Command, ...]:
        """The current or last AUTH exchange: the command and the client's lines after it, as far as they may
        hold a name."""
        return self._login

    @property
    def relays(self) -> bool:
        """True if usual commands without a question go to the server, as far as limits allow."""
        return self._logins is None or not self._logins.due

    def command(self, command: Command) -> None:
        """Takes a command, or a line of an AUTH exchange."""
        client, kind = self._downstream, command.kind
        if client.traces:
            client.trace(CLIENT, command.shown)
        exchange = client.end.exchanges[-1]
        if kind is not KIND_AUTH_LINE:
            client.tally.command(command.verb)
        if kind is KIND_CHUNK or kind is KIND_LAST_CHUNK:
            self._chunk(exchange, command)
            return
        if client.tally.over is not None and kind is not KIND_AUTH_LINE and kind is not KIND_QUIT:
            client.fill(exchange, client.tally.over)
            return
        if self._message.in_chunks and not self._goes_with_chunks(exchange, command):
            return
        if kind is KIND_DATA:
            self._message.ask_at(self._places)
        elif kind is KIND_AUTH:
            self._login = (command,)
        elif kind is KIND_AUTH_LINE and len(self._login) <= LONGEST_EXCHANGE:
            self._login += (command,)
        if self._forwarding.leg.state is UPSTREAM_DETACHED and (
            reply := self._forwarding.reply_without_server(command)
        ):
            client.fill(exchange, reply)
        elif (
            kind is KIND_IDENTITY or (kind is KIND_AUTH and self._logins is not None)
        ) and not client.is_due(exchange):
            client.step(GateStep.QUEUE)
            self._queued = exchange
        elif kind is not KIND_AUTH_LINE and (
            self.asks_all or command.verb in self.verbs or (self._asks_others and command.verb not in VERBS)
        ):
            # An AUTH line is not a command, and it holds credentials: there is never a question about it.
            self.ask(exchange, command)
        else:
            self.forward(exchange, command)

    def _goes_with_chunks(self, exchange: Exchange, command: Command) -> bool:
        """Takes a command between two chunks of a message. Returns False if it is refused."""
        if command.verb in ABORTING:
            self._message.abandon()
        elif command.verb not in ALLOWED:
            self._downstream.fill(exchange, own_replies.IN_MESSAGE)
            return False
        return True

    def _chunk(self, exchange: Exchange, command: Command) -> None:
        """Takes BDAT. The first one of a message is asked about like DATA, and is taken when the replies
        before it are known: only then is it known if there is a recipient, and if the message is binary."""
        client, forwarding = self._downstream, self._forwarding
        if self._message.in_chunks:
            self._message.next_chunk(exchange)
        elif not client.chunking:
            client.end.drop_chunk(stray=True)
            self._refuse_here(exchange, own_replies.NO_CHUNKS)
        elif forwarding.leg.state is UPSTREAM_DETACHED and (
            reply := forwarding.reply_without_server(command)
        ):
            client.fill(exchange, reply)
        elif not client.is_due(exchange):
            client.step(GateStep.QUEUE)
            self._queued = exchange
        else:
            self._take_chunk(exchange)

    def _take_chunk(self, exchange: Exchange) -> None:
        """The first BDAT of a message is due. There is no question about a chunk outside a message."""
        client = self._downstream
        self._message.ask_at(self._places)
        if self._wants_question(exchange.command) and client.end.in_transaction:
            self._ask(exchange)
            return
        if client.gate is GATE_QUEUED:
            client.step(GateStep.TAKE)
        self._message.begin_chunks(exchange)

    def _refuse_here(self, exchange: Exchange, reply: Reply) -> None:
        """Refuses a command that must not be sent to this proxy; this counts as a mistake of the client."""
        why = reply.lines[0].decode().partition(" ")[2]
        error = RemoteProtocolError(why, reply, exchange.command.shown)
        error.found_in(self._downstream.end.phase)
        self._note_refused(exchange, error)

    def ask(self, exchange: Exchange, command: Command) -> None:
        """Asks about a command, now or in its turn. For forwarded verbs except AUTH, `command` does nothing
        else."""
        client = self._downstream
        if command.kind is KIND_DATA:
            self._message.ask_at(self._places)
        if self._in_turn and client.end.exchanges[0] is not exchange and not client.is_due(exchange):
            client.step(GateStep.QUEUE)
            self._queued = exchange
        else:
            self._ask(exchange)

    def data(self, exchange: Exchange, command: Command) -> None:
        """Does what `command` does with DATA without a question. For other forwarded verbs without a
        question, except AUTH, `forward` does that."""
        self._message.ask_at(self._places)
        self.forward(exchange, command)

    def refused(self, event: Refused) -> None:
        """Answers a line that must not be forwarded. After too many of them the session ends."""
        client = self._downstream
        client.tally.line()
        if client.traces:
            # A violation is no command, and the evidence of one may be a secret.
            client.trace(CLIENT, event.command.shown or event.error.evidence or b"(not shown)")
        self._note_refused(client.end.newest, event.error, expected=event.expected)

    def _note_refused(
        self, exchange: Exchange, error: RemoteProtocolError, *, expected: bool = False
    ) -> None:
        if not expected:
            self._out.append(Violation(CLIENT, error))
        self._errors += 1
        tally, reply = self._downstream.tally, error.reply_hint
        if self._errors > self._config.max_errors:
            tally.hit("max_errors")
            reply = own_replies.TOO_MANY_ERRORS
        elif tally.over is not None:
            reply = tally.over
        else:
            tally.hit(error.limit)
        self._downstream.fill(exchange, reply)

    def ask_in_turn(self) -> bool:
        """If the replies before it are now known, asks about the command that waits in state QUEUED, or takes
        it. Returns True if it did."""
        exchange = self._queued
        if exchange is None or self._downstream.question is not None or not self._downstream.is_due(exchange):
            return False
        self._queued = None
        if exchange.command.verb == b"BDAT":
            self._take_chunk(exchange)
        elif self._wants_question(exchange.command):
            self._ask(exchange)
        else:
            self._downstream.step(GateStep.TAKE)
            self.forward(exchange, exchange.command)
        return True

    def close(self) -> None:
        """Forgets the command that waits to be asked about."""
        self._queued = None

    def _wants_question(self, command: Command) -> bool:
        verb = command.verb
        return self.asks_all or verb in self.verbs or (self._asks_others and verb not in VERBS)

    def _ask(self, exchange: Exchange) -> None:
        downstream = self._downstream
        question = CommandQuestion(exchange.command, downstream.end.transaction.envelope)
        downstream.ask(question, partial(self._judged, exchange))

    def _judged(self, exchange: Exchange, verdict: AnyVerdict) -> None:
        command = exchange.command
        if type(verdict) is Continue and not verdict.recipients and command.kind is not KIND_DATA:
            self.forward(exchange, command)
        elif type(verdict) is Inspect:
            self._pass_on(exchange, verdict)
        elif isinstance(verdict, Answer):
            self._answer(exchange, verdict.reply)
        elif isinstance(verdict, Disconnect):
            self._downstream.end_session(exchange, verdict.reply)
        elif isinstance(verdict, Swallow):
            self._message.swallow(verdict.reply)
            if command.kind is not KIND_DATA:
                self._message.begin_chunks(exchange)
                return
            self._downstream.fill(exchange, own_replies.GO_AHEAD)
        else:
            self._pass_on(exchange, verdict)

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        """A verdict answers in place of the server. If this begins or ends the client's transaction, the
        server gets RSET, so that it does not keep the old one."""
        verb = VERBS.get(exchange.command.verb, UNKNOWN)
        if verb.kind is KIND_CHUNK:
            self._downstream.end.drop_chunk()
        if verb.kind is KIND_DATA or verb.kind is KIND_CHUNK:
            if reply.code != 421:
                self._forwarding.reset_server()
        elif reply.severity == 2 and verb.effect in (EFFECT_BEGIN, EFFECT_END):
            self._forwarding.end_transaction()
        elif reply.severity == 2 and verb.kind is KIND_AUTH:
            self._downstream.log_in(self._login, by_server=False)
        self._downstream.fill(exchange, reply)

    def _pass_on(self, exchange: Exchange, verdict: AnyVerdict) -> None:
        command: Command = exchange.command
        upstream: str | None = ANYWHERE
        if isinstance(verdict, Inspect):
            self._message.ask_at(verdict.places)
        elif isinstance(verdict, ReplaceCommand):
            command = verdict.command
        elif isinstance(verdict, Route):
            command = verdict.command or command
            upstream = verdict.upstream
        if command.kind is KIND_AUTH:
            self._login = (command,)
        if isinstance(verdict, Continue | Inspect) and self._forwarding.leg.state is not UPSTREAM_DETACHED:
            self._forwarding.add_recipients(verdict.recipients)
        self.forward(exchange, command, upstream)

    def forward(self, exchange: Exchange, command: Command, upstream: str | None = ANYWHERE) -> None:
        """Sends a command of the client to a server, unless the proxy answers it or a limit is reached."""
        forwarding = self._forwarding
        kind = command.kind
        if self._logins is not None and (kind is KIND_AUTH or kind is KIND_AUTH_LINE):
            lines, self._login = self._login, ()  # not kept longer than needed
            self._logins.take(exchange, command, lines, upstream)
            return
        if command.verb == b"BDAT":
            self._message.begin_chunks(exchange)
            return
        if command.verb in self._downstream.end.access.own:
            OwnCommands(self._config, self._asked, self._downstream, forwarding).take(exchange, command)
            return
        if forwarding.leg.state is UPSTREAM_DETACHED and (reply := forwarding.reply_without_server(command)):
            self._downstream.fill(exchange, reply)
            return
        if self._keeping is not None:
            if kind is KIND_QUIT and self._keeping.quit(exchange):
                return
            self._keeping.sees(command)
        effect, config = VERBS.get(command.verb, UNKNOWN).effect, self._config
        if effect is EFFECT_ADD_RECIPIENT:
            if len(self._downstream.end.transaction.envelope.recipients) >= config.max_recipients:
                self._downstream.tally.hit("max_recipients")
                self._downstream.fill(exchange, own_replies.TOO_MANY_RECIPIENTS)
                return
        elif (
            effect is EFFECT_BEGIN
            and (config.max_message_size or config.headroom)
            and (limit := self._largest())
            and command.declared_size > limit
        ):
            self._downstream.tally.hit("max_message_size")
            self._downstream.fill(exchange, own_replies.too_big(limit))
            return
        elif effect is EFFECT_BEGIN and self._logins is not None and self._logins.due:
            self._downstream.fill(exchange, own_replies.LOG_IN_FIRST)
            return
        if effect is EFFECT_BEGIN and config.headroom:
            command = with_headroom(command, config.headroom)
        if self._may_route and command.kind is not KIND_DATA:  # DATA goes where its MAIL went
            upstream = forwarding.target(command, upstream)
        hold = command.kind is KIND_DATA and self._message.holds
        forwarding.forward(command, exchange, upstream, hold=hold)

    def _largest(self) -> int | None:
        """The largest size that MAIL may declare; None if the server decides."""
        if self._config.headroom:
            return self._downstream.end.max_message_size
        return self._config.max_message_size
