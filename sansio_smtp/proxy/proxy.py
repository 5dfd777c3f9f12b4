"""`Proxy`, the API of a proxied session: each input of a driver gives one ordered list of events.

Nothing here reads, writes, waits or knows the time. A peer's mistake never raises: it is a `Violation` in the
list, followed by what has to be sent and closed. A mistake of the caller raises `LocalProtocolError`. A fault
of this library raises `InternalError` or another exception; then `Proxy.broke` ends the session.

The parts of a proxy; each alone writes its own state::

    client <──> Downstream            ── CommandFlow ──>        Forwarding ── Upstream <──> server
                exchanges, gate,      a command: question,      the queue     one object for
                the open question     reply or forward          of commands   each connection

                                      <── ReplyFlow ──
                                      a reply: to the client, or to a command of ours
                                        └─ SetupFlow          what a server must have before it is used

                                      ── MessageFlow ──>
                                      the message in flight
                                        └─ ContentPipeline      questions and edits
                                             └─ MessageStore    a message that is kept whole

An input runs through them in one pass: first what the server sent (`_run_server`), since a reply may let the
client go on; then a command that waited for replies (`CommandFlow.ask_in_turn`); then what the client sent
(`_run_client`). Then the joint state is checked with `states.TOGETHER`, and the events are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.received import END_OF_INPUT, ContentReceived, ContentRefused, EndOfData, Pause
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError, LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Close,
    Event,
    MessageAnswered,
    Side,
    Violation,
    WaitingFor,
)
from sansio_smtp.members import (
    GATE_ASKED,
    GATE_OPEN,
    GATE_QUEUED,
    GATE_SHUT,
    KIND_END_OF_DATA,
    MESSAGE_NONE,
    MESSAGE_STREAMING,
    PHASE_COMMAND,
    PHASE_CONTENT,
    PHASE_GREETING,
    PHASE_TLS,
    UPSTREAM_CLOSED,
    UPSTREAM_CONNECTING,
    UPSTREAM_DETACHED,
    UPSTREAM_READY,
)
from sansio_smtp.questions import REPLY, Question, ReplyQuestion, V, asked_places
from sansio_smtp.states import Phase, Snapshot, contradiction
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login
from sansio_smtp.wire.violations import RemoteProtocolError

from . import own_replies
from .breakdown import end_after_fault
from .command_flow import CommandFlow
from .downstream import Downstream
from .forwarding import Forwarding
from .message_flow import MessageFlow
from .message_store import Spool
from .reply_flow import ReplyFlow
from .setup_flow import SetupFlow
from .verdict_checks import check

__all__ = ["Proxy"]

_MAY_READ: Final = {
    (client, server): frozenset(side for side, may in ((CLIENT, client), (SERVER, server)) if may)
    for client in (False, True)
    for server in (False, True)
}


class Proxy:
    """One session of a client, proxied to one server at a time.

    ``ask`` names the hook places at which a question is wanted: the constants of `sansio_smtp.questions`, or
    a verb such as ``"RCPT"`` for that command alone. Other names raise `LocalProtocolError`. ``make_spool``
    makes room for a message that is asked about whole and is larger than `Config.max_held`; without it, such
    a message is refused. ``client`` is what the driver knows of the client.
    """

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
    ) -> None:
        self.config = config or Config()
        self.ask = asked_places(ask)
        self.progress = 0
        """Counts commands, replies and pieces of content. A driver moves its deadline when this moves, so
        that a peer that sends an octet now and then cannot hold the dialogue open."""
        self._out: list[Event] = []
        self._downstream = Downstream(self.config, self._out, client)
        self._forwarding = Forwarding(self.config, self._downstream, self._out)
        self._downstream.call(on_over=self._close, on_room=self._forwarding.advance)
        self._message = MessageFlow(self.config, self._downstream, self._forwarding, self._out, make_spool)
        self._commands = CommandFlow(
            self.config, self.ask, self._downstream, self._forwarding, self._message, self._out
        )
        self._setup = SetupFlow(self.config, self._downstream, self._forwarding, self._out)
        self._replies = ReplyFlow(
            self.config,
            self.ask,
            self._downstream,
            self._forwarding,
            self._message,
            self._commands,
            self._setup,
        )
        self._client = self._downstream.end
        self._asks_replies = REPLY in self.ask
        self._draining = False
        self._client_lost = False

    # What a driver reads

    @property
    def may_read(self) -> frozenset[Side]:
        """The sides that may be read now. It may change with every input, so look before each read."""
        return _MAY_READ[self._may_read_client(), self._may_read_server()]

    @property
    def waiting_for(self) -> WaitingFor:
        """What the session waits for: the driver's deadline depends on it."""
        if self.closed:
            return WaitingFor.NOTHING
        if self._downstream.question is not None:
            return WaitingFor.VERDICT
        server = self._forwarding.leg.end
        if self._client.phase is PHASE_TLS or server.phase is PHASE_TLS:
            return WaitingFor.HANDSHAKE
        if self._client.phase is PHASE_GREETING or server.phase is PHASE_GREETING:
            return WaitingFor.GREETING
        if self._message.has_more:
            return WaitingFor.CONTENT
        if (awaiting := server.awaiting) is not None:
            return WaitingFor.FINAL_REPLY if awaiting is END_OF_DATA else WaitingFor.REPLY
        return WaitingFor.CONTENT if self._client.phase is PHASE_CONTENT else WaitingFor.COMMAND

    @property
    def states(self) -> tuple[Phase, Phase]:
        """The framing phases of the end that faces the client and of the one that faces the server."""
        return self._client.phase, self._forwarding.leg.end.phase

    def snapshot(self) -> Snapshot:
        """The joint state as one value, for tests, logs and transcripts."""
        client, leg = self._client, self._forwarding.leg
        return Snapshot(
            client.phase,
            client.transaction.state,
            self._downstream.gate,
            self._message.state,
            leg.state,
            leg.end.phase,
            leg.end.transaction.state,
        )

    @property
    def envelope(self) -> Envelope:
        """The mail transaction as the client was told it stands."""
        return self._client.envelope

    @property
    def hello(self) -> Command | None:
        """The last EHLO or HELO to which the client got 2xx, as it was sent to the server."""
        return self._downstream.hello

    @property
    def login(self) -> str | None:
        """The name with which the client has authenticated, prepared for comparing; None before, and if it
        is unknown who has logged in: see `ClientInfo.login`."""
        login = self._downstream.login
        return None if login is None else login.name

    @property
    def accepted_login(self) -> Login | None:
        """The login that was accepted last; None if none was. Its name is None if it is unknown."""
        return self._downstream.login

    @property
    def client_info(self) -> ClientInfo:
        """What is known of the client by now."""
        return self._downstream.client_info

    @property
    def identity(self) -> ClientInfo:
        """The client, without what it has said in this session. It is another object after STARTTLS and
        XCLIENT."""
        return self._downstream.identity

    @property
    def forwarded(self) -> Forwarded | None:
        """Who the client of the mail transaction is, as a relay has said with XFORWARD; None if none has."""
        return self._downstream.forwarded

    @property
    def server_tls(self) -> TlsInfo | None:
        """The TLS of the connection to the server; None in plain text."""
        return self._forwarding.leg.tls

    @property
    def client_changes(self) -> int:
        """Counts the changes of what is known of the client, and of `server_tls`. While it stays the same,
        `hello`, the login, `identity`, `forwarded` and `server_tls` do."""
        return self._downstream.changes + self._forwarding.tls_changes

    @property
    def awaiting(self) -> Command | None:
        """The oldest command that the server owes a reply to; `END_OF_DATA` for a message; None if it owes
        none."""
        return self._forwarding.leg.end.awaiting

    @property
    def has_more(self) -> bool:
        """True if `more` is to be called when what was sent to the server has been written."""
        return self._message.has_more

    @property
    def closed(self) -> bool:
        """True if both sides are closed. Every further input is ignored."""
        return self._downstream.gate is GATE_SHUT

    @property
    def buffered(self) -> int:
        """Number of octets that are kept in memory."""
        client, server = self._client, self._forwarding.leg.end
        owed = sum(len(exchange.command.raw) for exchange in client.exchanges)
        return client.buffered + server.buffered + owed + self._message.buffered

    # Inputs

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        """Takes octets that a side sent, cut anywhere. Empty input does nothing; for end of input see
        `eof_from`."""
        if side is CLIENT:
            self._client.receive_data(data)
            return self._run()
        leg = self._forwarding.leg
        if leg.state is UPSTREAM_CONNECTING:
            leg.connected()
        leg.end.receive_data(data)
        return self._run()

    def eof_from(self, side: Side) -> list[Event]:
        """A side will send no more: it closed or half-closed its connection, or the server was lost. For a
        client that was reset see `client_lost`."""
        leg = self._forwarding.leg
        if side is SERVER:
            if leg.state is UPSTREAM_CONNECTING:
                leg.connected()
            leg.end.receive_eof()
        else:
            self._client.receive_eof()
            if self._client.phase is PHASE_GREETING and not self._client.buffered:
                self._close()
        return self._run()

    def client_lost(self) -> list[Event]:
        """The client's connection was reset, so that no reply can reach it. Both sides are closed at once.
        Only if the server owes the reply to a message, that reply is awaited, for `MessageAnswered` (RFC
        1047)."""
        if self.closed or self._client_lost:
            return []
        self._client_lost = True
        question = self._downstream.question
        message = self._message_at_server()
        if message is not None:
            self._forwarding.drop_errands()
            self._commands.close()
            self._downstream.end_with(message)
            return self._run()
        if isinstance(question, ReplyQuestion) and question.command is END_OF_DATA:
            self._out.append(MessageAnswered(question.reply, self.envelope))
        self._close()
        return self._run()

    def prefer(self, upstream: str | None) -> None:
        """A rule has said the server of this client, before the first server is connected: connect this one.
        `Connect` names it from then on. Raises `LocalProtocolError` after the server's first octets."""
        if self._forwarding.leg.state is not UPSTREAM_CONNECTING:
            raise LocalProtocolError("the first server is said before it is connected")
        self._forwarding.prefer(upstream)

    def server_connected(self, tls: UpstreamTls) -> None:
        """The server that was asked for is connected, and ``tls`` is what TLS is on this connection, if that
        is not `Config.upstream_tls`. Raises `LocalProtocolError` after the server's first octets."""
        self._forwarding.leg.use_level(tls)

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        """The TLS handshake with this side is complete: after `StartTLS`, or with a server before its first
        octets. Raises `LocalProtocolError` if none was due."""
        if self.closed:
            return []
        self.progress += 1
        if side is SERVER:
            self._setup.tls_started(info)
        else:
            downstream = self._downstream
            # XCLIENT may have told the server a login.
            named = downstream.login is not None and self._forwarding.leg.named
            known = downstream.authenticated or named
            downstream.tls_started(info)
            self._forwarding.client_restarted(known=known)
        return self._run()

    def tls_failed(self, side: Side, why: str) -> list[Event]:
        """The TLS handshake with this side has failed; ``why`` is for the log. The session ends: the client
        gets 421 if it is the server's, and nothing if it is its own, as it expects TLS."""
        if self.closed:
            return []
        if side is SERVER:
            self._setup.tls_failed(why)
        else:
            self._close()
        return self._run()

    def server_unreachable(self) -> list[Event]:
        """The server cannot be connected: the client gets 421, as its greeting if it has had none yet."""
        return self._fail(own_replies.UNREACHABLE)

    def refuse(self, reply: Reply) -> list[Event]:
        """Sends the client this 4xx or 5xx, as its greeting if it has had none yet, and closes both sides.
        Raises `LocalProtocolError` for another reply than 421 if the client waits for no reply."""
        return self._fail(reply)

    def answer(self, question: Question[V], verdict: V) -> list[Event]:
        """Gives the verdict on the open question.

        Raises `LocalProtocolError` for another question than the open one, or a verdict that the question
        does not take. If the session has ended meanwhile, or the client was lost, the verdict is ignored.
        """
        downstream = self._downstream
        if self.closed:
            return []
        if question is not downstream.question:
            if self._client_lost:
                return []
            raise LocalProtocolError("this question is not open")
        check(question, verdict)
        self.progress += 1
        downstream.take_resume()(verdict)
        return self._run()

    def more(self) -> list[Event]:
        """Sends the next piece of a message in a spool. Call it only while `has_more`."""
        self.progress += 1
        self._message.more()
        return self._run()

    def timed_out(self, *, stalled: bool = False) -> list[Event]:
        """The deadline for `waiting_for` has passed: the client gets a reply that says so, and both sides are
        closed.

        ``stalled``: the deadline was for the server to take what was sent to it, so the client is not to
        blame.
        """
        if self.closed:
            return []
        return self._fail(own_replies.STALLED if stalled else own_replies.TIMEOUTS[self.waiting_for])

    def shutdown(self, *, now: bool = False) -> list[Event]:
        """The service stops. A client outside a mail transaction gets 421; a transaction may finish, unless
        ``now``."""
        if now:
            return self._fail(own_replies.SHUTDOWN)
        self._draining = True
        return self._run()

    def broke(self) -> list[Event]:
        """Ends the session after an exception, which came out of this proxy or out of the driver.

        The client gets the replies that were decided before, then 451 if it is owed a reply, else 421, and
        both sides are closed. Nothing more goes to the server; its connection is reset if a message may be
        incomplete. Never raises.
        """
        return end_after_fault(self._downstream, self._forwarding, self._message, self._out)

    # The engine: both ends are drained until neither has anything to give

    def _run(self) -> list[Event]:
        # A reply may let the client go on, but nothing that the client sends lets a reply be read: one pass
        # is enough.
        downstream, forwarding = self._downstream, self._forwarding
        if forwarding.leg.end.pending:
            self._run_server()
        if downstream.gate is GATE_QUEUED:
            self._commands.ask_in_turn()
        if self._client.pending:
            self._run_client()
        if self._draining and self._idle():
            downstream.fail(own_replies.SHUTDOWN)
        gate, message = downstream.gate, self._message.state
        plain = gate is GATE_OPEN or (gate is GATE_ASKED and message is MESSAGE_NONE)
        if (
            not plain
            or forwarding.leg.state is not UPSTREAM_READY
            or (message is not MESSAGE_NONE and message is not MESSAGE_STREAMING)
        ):
            self._check_joint_state()
        events = self._out.copy()
        self._out.clear()
        return events

    def _check_joint_state(self) -> None:
        """Raises `InternalError` if the joint state breaks a rule of `states.TOGETHER`. Not called for the
        states of plain relaying, which break none."""
        if wrong := contradiction(self.snapshot()):
            raise InternalError(wrong)

    def _fail(self, reply: Reply) -> list[Event]:
        if not self.closed:
            self._downstream.fail(reply)
        return self._run()

    def _run_server(self) -> None:
        """Handles the replies that the server sent."""
        downstream, end = self._downstream, self._forwarding.leg.end
        while downstream.question is None or not self._asks_replies:
            event = end.next_event()
            if event is END_OF_INPUT:
                downstream.fail(own_replies.LOST)
                return
            if isinstance(event, Pause):
                return
            self.progress += 1
            if isinstance(event, ReplyReceived):
                self._replies.replied(event)
            else:
                event.show(downstream.masked(event.evidence))
                self._out.append(Violation(SERVER, event))
                downstream.fail(event.reply_hint)
            if not end.pending:
                return

    def _run_client(self) -> None:
        """Handles what the client sent."""
        client, message, downstream = self._client, self._message, self._downstream
        most = self.config.max_pipelined
        while downstream.gate is GATE_OPEN and len(client.exchanges) < most:
            event = client.next_event()
            if event is END_OF_INPUT:
                self._client_ended()
                return
            if isinstance(event, Pause):
                return
            self.progress += 1
            if isinstance(event, Command):
                self._commands.command(event)
            elif isinstance(event, ContentReceived):
                message.content(event)
            elif isinstance(event, EndOfData):
                message.end_of_data(event)
            elif isinstance(event, ContentRefused):
                self._out.append(Violation(CLIENT, event.error))
                message.refuse(event.error.reply_hint)
            elif isinstance(event, RemoteProtocolError):
                self._out.append(Violation(CLIENT, event))
                self._close()
                return
            else:
                self._commands.refused(event)
            if not client.pending:
                return

    def _client_ended(self) -> None:
        """The client's input has ended. Replies that are owed may still be delivered; a message that did not
        end there must not end at the server."""
        if self._client.phase is not PHASE_COMMAND or not self._client.exchanges:
            self._close()

    def _message_at_server(self) -> Exchange | None:
        """The exchange of the message that the server has all of and owes the reply to; None if there is
        none."""
        for exchange in self._client.exchanges:
            if exchange.command.kind is KIND_END_OF_DATA and self._forwarding.leg.end.awaits(exchange):
                return exchange
        return None

    # Closing

    def _close(self) -> None:
        """Closes both sides, now."""
        if self.closed:
            return
        self._forwarding.close()
        self._out.append(Close(CLIENT))
        self._downstream.close()
        self._message.close()
        self._commands.close()

    # Levels

    def _client_paused(self) -> bool:
        return (
            self._downstream.gate is not GATE_OPEN or len(self._client.exchanges) >= self.config.max_pipelined
        )

    def _idle(self) -> bool:
        client, leg = self._client, self._forwarding.leg
        if self.closed or self._downstream.question or client.exchanges:
            return False
        if client.phase is PHASE_CONTENT or client.phase is PHASE_TLS:
            return False
        return leg.detached or not client.in_transaction

    def _may_read_client(self) -> bool:
        client = self._client
        if client.eof or self._client_lost or client.phase is PHASE_TLS or self._client_paused():
            return False
        # Never less than the longest line and its CRLF: otherwise a line that is too long would not be
        # noticed.
        return client.buffered < max(self.config.read_ahead, self.config.max_line + 2)

    def _may_read_server(self) -> bool:
        leg = self._forwarding.leg
        if leg.state is UPSTREAM_DETACHED or leg.state is UPSTREAM_CLOSED or leg.end.eof:
            return False
        if leg.end.phase is PHASE_TLS:
            return False
        paused = self._asks_replies and self._downstream.question is not None
        return not paused or leg.end.buffered < self.config.read_ahead
