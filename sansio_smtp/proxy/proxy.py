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

What usually comes takes a shorter way through the same parts: the `Lane`, which is asked first. Everything
else runs through them in one pass: first what the server sent (`_run_server`), since a reply may let the
client go on; then a command that waited for replies (`CommandFlow.ask_in_turn`); then what the client sent
(`_run_client`). Then the joint state is checked with `states.TOGETHER`, and the events are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Final

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, Dialect, UpstreamTls
from sansio_smtp.ends.access import access_of
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.received import (
    END_OF_INPUT,
    ChunkEnded,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Pause,
)
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError, LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    AwaitReply,
    Close,
    Event,
    MessageAnswered,
    SendToClient,
    SendToServer,
    Side,
    Violation,
)
from sansio_smtp.joint_states import contradiction
from sansio_smtp.members import (
    GATE_ASKED,
    GATE_OPEN,
    GATE_QUEUED,
    GATE_SHUT,
    KIND_END_OF_DATA,
    MESSAGE_NONE,
    MESSAGE_STREAMING,
    PHASE_COMMAND,
    PHASE_GREETING,
    UPSTREAM_CONNECTING,
    UPSTREAM_READY,
)
from sansio_smtp.questions import Continue, Question, ReplyQuestion, V, asked_places
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from . import own_replies
from .breakdown import end_after_fault
from .command_flow import CommandFlow
from .downstream import Downstream
from .failover import Failover
from .forwarding import Forwarding
from .keeping import Keeping
from .lane import Lane
from .message_flow import MessageFlow
from .message_store import Spool
from .openings import Input, Opened
from .passing import Passing
from .readings import Readings
from .reply_flow import ReplyFlow
from .setup_flow import SetupFlow
from .shared import shared
from .verdict_checks import check

__all__ = ["Proxy"]


_PARTS: Final = frozenset(
    (
        *("_client", "_commands", "_downstream", "_failover", "_forwarding", "_keeping", "_lane", "_login"),
        *("_message", "_replies", "_setup"),
    )
)
_BUSY: Final = frozenset((Phase.CONTENT, Phase.CHUNK, Phase.TLS))
"""The phases in which a client without an answer to wait for is in the middle of something."""


class Proxy(Readings):
    """One session of a client, proxied to one server at a time.

    ``ask`` names the hook places at which a question is wanted: the constants of `sansio_smtp.questions`, or
    a verb such as ``"RCPT"`` for that command alone. Other names raise `LocalProtocolError`. ``make_spool``
    makes room for a message that is asked about whole and is larger than `Config.max_held`; without it, such
    a message is refused. ``client`` is what the driver knows of the client.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_client",
        "_client_lost",
        "_commands",
        "_connection",
        "_downstream",
        "_draining",
        "_failover",
        "_forwarding",
        "_given",
        "_has_parts",
        "_keeping",
        "_lane",
        "_login",
        "_make_spool",
        "_message",
        "_out",
        "_passing",
        "_replies",
        "_setup",
        "answers",
        "ask",
        "config",
        "flows",
        "progress",
    )

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
    ) -> None:
        self.config = config = config or Config()
        asked = shared(config, ask if isinstance(ask, frozenset) else asked_places(ask))
        self.ask = asked.ask
        self.progress = 0
        """Counts commands, replies and pieces of content. A driver moves its deadline when this moves, so
        that a peer that sends an octet now and then cannot hold the dialogue open."""
        self.flows = False
        """True if the last input of a side only had to be passed on: that side may be read on, and there is
        no more to be sent. A driver need not look at other levels then."""
        self.answers = False
        """True if the last input was a reply to a message, which `pass_on` has taken."""
        self._out: list[Event] = []
        self._asked = asked
        self._make_spool = make_spool
        self._given = client or ClientInfo()
        self._connection: tuple[UpstreamTls, Dialect | None] = config.upstream_tls, None
        self._draining = False
        self._client_lost = False
        self._has_parts = False
        self._passing: Passing | None = None
        usual = config.lane and not config.trace and config.client_dialect is Dialect.SMTP
        if usual and not self.ask and config.max_pipelined > 1:
            self._passing = Passing(config, asked.openings, self)
        if self._passing is None or asked.openings is None:
            self._make_parts()

    def __getattr__(self, name: str) -> Any:
        """Makes the parts when one of them is first asked for: the shortest sessions are passed on from
        beginning to end, and need none (a sixth of their instructions)."""
        if name in _PARTS:
            self._make_parts()
        return object.__getattribute__(self, name)  # raises the error that led here, if it is another name

    def _make_parts(self) -> None:
        config, asked = self.config, self._asked
        self._downstream = downstream = Downstream(config, self._out, self._given, checks_logins=asked.logins)
        self._forwarding = forwarding = Forwarding(config, downstream, self._out)
        downstream.call(on_over=self._close, on_room=forwarding.advance, waiting=forwarding.waiting)
        self._message = message = MessageFlow(config, downstream, forwarding, self._out, self._make_spool)
        self._keeping = keeping = Keeping(downstream, forwarding) if config.keep else None
        self._commands = CommandFlow(config, asked, downstream, forwarding, message, self._out, keeping)
        self._failover: Failover | None = None
        if config.failover:
            self._failover = Failover(config, downstream, forwarding, message, self._out)
        self._setup = SetupFlow(config, downstream, forwarding, self._out, self._failover)
        self._login = self._setup.login
        self._replies = ReplyFlow(
            asked, downstream, forwarding, message, self._commands, self._setup, keeping, self._failover
        )
        self._client = downstream.end
        self._lane: Lane | None = None
        if config.lane and not config.trace:
            self._lane = Lane(
                config, downstream, forwarding, message, self._commands, asks_replies=asked.replies
            )
        level, dialect = self._connection
        if level is not config.upstream_tls or dialect is not None:
            forwarding.leg.use_level(level, dialect)
        if self._passing is not None:
            self._passing.use(downstream, forwarding, message, self._commands)
        self._has_parts = True

    # Inputs

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        """Takes octets that a side sent, cut anywhere. Empty input does nothing; for end of input see
        `eof_from`."""
        lane, passing = self._lane, self._passing
        if passing is not None and passing.mode:
            passing.stop()
        if side is CLIENT:
            if lane is not None:
                rest = lane.from_client(data)
                self.progress += lane.taken
                if rest is None:
                    self.flows = lane.flows
                    events = self._out.copy()
                    self._out.clear()
                    return events
                data = rest
            self._client.receive_data(data)
            return self._run()
        leg = self._forwarding.leg
        if leg.state is UPSTREAM_CONNECTING:
            leg.connected()
        elif lane is not None:
            rest = lane.from_server(data)
            self.progress += lane.taken
            if rest is None:
                self.flows = True
                events = self._out.copy()
                self._out.clear()
                return events
            data = rest
        leg.end.receive_data(data)
        return self._run()

    def pass_on(self, side: Side, data: bytes) -> bytes | None:
        """For a driver that needs no `AwaitReply` and no `BodyComplete`. Takes an input that only has to be
        passed on, and returns the octets for the other side; this side may be read on. Returns None, and has
        done nothing, if it is another one: give it to `receive_from`. If ``answers`` is True then, the octets
        are the reply to a message: `take_answered` has the event. If `closed` is True then, they are the
        reply to QUIT, and both sides are to be closed, as after `Close`."""
        passing = self._passing
        if passing is None:
            return None
        if side is CLIENT:
            octets = passing.from_client(data)
        else:
            octets = passing.from_server(data)
            self.answers = passing.answers
        if octets is not None:
            self.progress += passing.taken
        return octets

    def replay(self, inputs: tuple[Input, ...]) -> None:
        """For `Passing`: takes inputs whose octets have been passed on."""
        if not self._has_parts:
            self._make_parts()
        passing, progress = self._passing, self.progress
        self._passing = None
        try:
            for side, data in inputs:
                Proxy.receive_from(self, side, data)
        finally:
            self._passing, self.progress = passing, progress

    def rehearse(self, inputs: tuple[Input, ...]) -> Opened | None:
        """For `Passing`: what comes of the inputs with which such a session begins. See `Openings`."""
        passed = b""
        other = Proxy(self.config, self.ask, None, self._given)
        other.server_connected(*self._connection)
        for side, data in inputs:
            events = other.receive_from(side, data)
            sent = [event for event in events if not isinstance(event, AwaitReply)]
            event = sent[0] if len(sent) == 1 else None
            if not isinstance(event, SendToServer if side is CLIENT else SendToClient):
                return None
            passed = event.data
            if passed != data and data is not inputs[-1][1]:
                return None
        assert other._passing is not None  # as in this one
        return other._passing.opened(passed)

    @property
    def place(self) -> Hashable:
        """For `Passing`: what else matters of a beginning. See `Openings`."""
        checks = self._asked.logins
        return access_of(self.config, self._given, checks_logins=checks), *self._connection

    def answered(self, reply: Reply, envelope: Envelope) -> MessageAnswered:
        """For `Passing`: see `Downstream.answered`."""
        if self._has_parts:
            return self._downstream.answered(reply, envelope)
        return MessageAnswered(reply, envelope)

    def take_answered(self) -> MessageAnswered:
        """The message that the last input has answered. May be called once, while ``answers`` is True."""
        self.answers = False
        answered = None if self._passing is None else self._passing.take_answered()
        if answered is None:
            raise LocalProtocolError("the last input has answered no message")
        return answered

    def forget_answered(self) -> None:
        """In place of `take_answered`, for those who do not want to know."""
        self.answers = False
        if self._passing is not None:
            self._passing.forget_answered()

    def eof_from(self, side: Side) -> list[Event]:
        """A side will send no more: it closed or half-closed its connection, or the server was lost. For a
        client that was reset see `client_lost`."""
        self._stop_passing()
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
        self._stop_passing()
        self._client_lost = True
        if self._keeping is not None and self._keeping.waits:
            return self._run()  # it had quit
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
        self._catch_up()
        if self._forwarding.leg.state is not UPSTREAM_CONNECTING:
            raise LocalProtocolError("the first server is said before it is connected")
        self._forwarding.prefer(upstream)

    def server_connected(
        self, tls: UpstreamTls, dialect: Dialect | None = None, *, kept: bool = False
    ) -> None:
        """The server that was asked for is connected. ``tls`` is what TLS is on this connection, if that is
        not `Config.upstream_tls`; ``dialect`` is what it speaks, if that is not `Config.upstream_dialect`.
        Raises `LocalProtocolError` after the server's first octets.

        ``kept``: the connection is one that another session has given back (`Release`), and `Config.keep` is
        set. If TLS is spoken on it, call `tls_started` next. Then give its greeting to `receive_from`."""
        if self._has_parts or kept or not self._begins:
            self._catch_up()
            self._forwarding.leg.use_level(tls, dialect)
        self._connection = tls, dialect or self._connection[1]
        if kept:
            self._forwarding.leg.take_over()

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        """The TLS handshake with this side is complete: after `StartTLS`, or with a server before its first
        octets. Raises `LocalProtocolError` if none was due."""
        if self.closed:
            return []
        self._stop_passing()
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
        self._stop_passing()
        if side is SERVER:
            self._setup.tls_failed(why)
        else:
            self._close()
        return self._run()

    def server_unreachable(self) -> list[Event]:
        """The server cannot be connected: the client gets 421, as its greeting if it has had none yet; or
        what the last server has said that was left for another (`Config.failover`)."""
        failover = self._failover
        return self._fail(own_replies.UNREACHABLE if failover is None else failover.unreachable)

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
        if downstream.gate is GATE_SHUT:
            return []
        if question is not downstream.question:
            if self._client_lost:
                return []
            raise LocalProtocolError("this question is not open")
        if not isinstance(verdict, Continue) or verdict.recipients:  # else it fits every question
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
        self._stop_passing()
        if not self._has_parts:
            self._make_parts()
        self._draining, self._lane, self._passing = True, None, None  # from now on each input may be the last
        return self._run()

    def broke(self) -> list[Event]:
        """Ends the session after an exception, which came out of this proxy or out of the driver.

        The client gets the replies that were decided before, then 451 if it is owed a reply, else 421, and
        both sides are closed. Nothing more goes to the server; its connection is reset if a message may be
        incomplete. Never raises.
        """
        if not self._has_parts:  # it may be there that the fault was
            self._make_parts()
        passing, self._passing = self._passing, None
        return end_after_fault(self._downstream, self._forwarding, self._message, passing, self._out)

    # The engine: both ends are drained until neither has anything to give

    def _run(self) -> list[Event]:
        # A reply may let the client go on, but nothing that the client sends lets a reply be read: one pass
        # is enough.
        self.flows = False
        downstream, forwarding = self._downstream, self._forwarding
        if forwarding.leg.end.pending:
            self._run_server()
        if self._login is not None and self._login.waits and downstream.question is None:
            self._login.go_on()
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
        self._stop_passing()
        if not self.closed:
            self._downstream.fail(reply)
        return self._run()

    def _stop_passing(self) -> None:
        """Comes before each input that `pass_on` has not taken. None is passed on while a question is open,
        or a message is sent in pieces."""
        if self._passing is not None:
            self._passing.stop()

    def _run_server(self) -> None:
        """Handles the replies that the server sent."""
        downstream, end = self._downstream, self._forwarding.leg.end
        while downstream.question is None or not self._asked.replies:
            event = end.next_event()
            if event is END_OF_INPUT:
                if self._keeping is None or not self._keeping.lost():
                    self._server_failed("it closed the connection", own_replies.LOST)
                return
            if isinstance(event, Pause):
                return
            self.progress += 1
            if isinstance(event, ReplyReceived):
                self._replies.replied(event)
            else:
                event.show(downstream.masked(event.evidence))
                self._out.append(Violation(SERVER, event))
                self._server_failed(f"it broke the protocol: {event.args[0]}", event.reply_hint)
            if not end.pending or end is not self._forwarding.leg.end:
                return

    def _server_failed(self, why: str, reply: Reply) -> None:
        """The server is left for another, or the session ends with this reply."""
        if self._failover is None or not self._failover.takes(why, reply):
            self._downstream.fail(reply)

    def _run_client(self) -> None:
        """Handles what the client sent."""
        client, message, downstream = self._client, self._message, self._downstream
        most = self.config.max_pipelined
        forwarding = self._forwarding
        while (
            downstream.gate is GATE_OPEN
            # The octets of a chunk are read in any case: they are owed no further reply.
            and (len(client.exchanges) < most or client.arriving is not None)
            and not forwarding.chunks_waiting
        ):
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
                message.content(event.data, event.at_line_start, event.form)
            elif isinstance(event, ChunkEnded):
                message.chunk_ended(event.exchange)
                downstream.chunk_ended()
            elif isinstance(event, EndOfData):
                message.end_of_data(event.size)
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
        """Closes both sides, now. Happens once: a leg that is closed does not call it, and nothing is parsed
        any more."""
        self._forwarding.close()
        self._out.append(Close(CLIENT))
        self._downstream.close()
        self._message.close()
        self._commands.close()
        if self._login is not None:
            self._login.close()

    def _idle(self) -> bool:
        client, leg = self._client, self._forwarding.leg
        if self.closed or self._downstream.question or client.exchanges:
            return False
        if client.phase in _BUSY:
            return False
        return leg.detached or not client.in_transaction
