"""`Proxy`, the API of a proxied session: each input of a driver gives one ordered list of events.

Nothing here reads, writes, waits or knows the time. A peer's mistake never raises: it is a `Violation` in the
list, followed by what has to be sent and closed. A mistake of the caller raises `LocalProtocolError`. A fault
of this library raises `InternalError` or another exception; then `Proxy.broke` ends the session.

What usually comes takes a shorter way: `Passing` and the `Lane`, which are asked first. Everything else runs
through the parts of the `Engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import NoneType
from typing import Final

from sansio_smtp.arguments import Octets, check_type, octets
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, Dialect, EarlyTalkers, LoginMode, UpstreamTls
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    AwaitReply,
    Event,
    MessageAnswered,
    SendToClient,
    SendToServer,
    Side,
)
from sansio_smtp.members import (
    GATE_SHUT,
    KIND_END_OF_DATA,
    PHASE_GREETING,
    UPSTREAM_CONNECTING,
)
from sansio_smtp.questions import Continue, Inspect, Question, ReplyQuestion, Unasked, V
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .argument_checks import check_last_reply, check_refusal, check_side
from .breakdown import end_after_fault
from .engine import Engine
from .message_store import Room, Spool
from .openings import Input, Opened
from .passing import Passing
from .passing_asked import Ahead, AskedPassing, may_ask_ahead
from .verdict_checks import check, not_open

__all__ = ["Proxy"]

_SIDES: Final[tuple[object, ...]] = (CLIENT, SERVER)


class Proxy(Engine):
    r"""One session of a client, proxied to one server at a time.

    Give what you read of either side to `receive_from`. It returns a list of events, to be done in this
    order; a verdict on a question (`answer`) gives further events:

    >>> from sansio_smtp import CLIENT, SERVER, Ask, Close, Continue, Proxy, SendToClient, SendToServer
    >>> proxy = Proxy(ask={"RCPT"})
    >>> def receive(side, octets):
    ...     events = proxy.receive_from(side, octets)
    ...     for event in events:
    ...         if isinstance(event, SendToClient | SendToServer | Close):
    ...             print(event)  # write event.data; close event.side
    ...         elif isinstance(event, Ask):
    ...             events += proxy.answer(event.question, Continue())
    >>> receive(SERVER, b"220 mx.example ESMTP\r\n")
    SendToClient(b'220 mx.example ESMTP\r\n')
    >>> receive(CLIENT, b"QUIT\r\n")
    SendToServer(b'QUIT\r\n')
    >>> receive(SERVER, b"221 bye\r\n")
    SendToClient(b'221 bye\r\n')
    Close(side=SERVER, abort=False)
    Close(side=CLIENT, abort=False)

    Do not pass over `SendToClient`, `SendToServer`, `Close` and `Ask`. `StartTLS` and `Release` come only if
    the `Config` asks for them, `Connect` also after a `Route` verdict. All others of `Event` are for logs.
    Read a side only while it is in `may_read`. `waiting_for` says what the session waits for, so that you can
    set a time limit (`timed_out`).

    AUTH passes as it comes, and `client_info` says who has logged in; with `Config.login_mode` the proxy logs
    in by itself (`LoginQuestion`). STARTTLS is offered to the client if `Config.tls` says so, and used with
    the server as `Config.upstream_tls` says: after the event `StartTLS` shake hands, then call `tls_started`.
    `states` has the `Phase` of each end.

    ``ask`` names the hook places at which a question is wanted: the constants of `sansio_smtp.questions`, or
    a verb such as ``"RCPT"`` for that command alone. Other names raise `LocalProtocolError`. ``make_spool``
    makes room for a message that is asked about whole and is larger than `Config.max_held`; without it, such
    a message is refused. ``client`` is what the driver knows of the client. ``room`` is the memory that all
    sessions have together for messages that are kept whole; without it there is no limit of all of them.
    """

    __slots__ = ()

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
        room: Room | None = None,
    ) -> None:
        super().__init__(config, ask, make_spool, client, room)
        openings = self._asked.openings
        if self._may_pass and not self.ask:
            self._passing = Passing(self.config, openings, self, self.tally)
        if self._passing is None or openings is None:
            self.make_parts()

    @property
    def _may_pass(self) -> bool:
        """True if `pass_on` may take anything, as far as the configuration goes."""
        config = self.config
        usual = config.lane and not config.trace and config.client_dialect is Dialect.SMTP
        # Where the proxy logs in by itself, what a server repeats of a secret is masked in its replies.
        return usual and config.max_pipelined > 1 and config.login_mode is LoginMode.RELAY

    def ask_ahead(
        self,
        ahead: Ahead,
        of_content: Callable[[Envelope], Inspect | None] | None = None,
        unasked: Unasked | None = None,
    ) -> None:
        """Before the first input, for a driver that calls `pass_on` and has most verdicts at once: ``ahead``
        is called with a question about a usual command or header section. What comes of `Continue`, or at
        DATA of `Inspect`, is passed on then. After any other verdict, and after None, the same question comes
        as an `Ask` event of the `receive_from` that follows. Of what is ``unasked`` the verdict is known, and
        ``ahead`` is not called; nor is it for a DATA of which ``of_content`` gives the verdict, for an
        envelope with recipients."""
        if self._may_pass and may_ask_ahead(self._asked):
            self._passing = AskedPassing(
                self.config, self, self._asked, ahead, of_content, unasked or Unasked(), self.tally
            )
            self._passing.use(self._downstream, self._forwarding, self._message, self._commands)

    # Inputs

    def receive_from(self, side: Side, data: Octets) -> list[Event]:
        """Takes octets that a side sent, cut anywhere. No octets, ``b""``, are the end of input, as a socket
        gives it: the same as `eof_from`."""
        if side not in _SIDES or not isinstance(data, bytes):
            check_side(side)
            data = octets(data, "receive_from")
        if not data:
            return self.eof_from(side)
        _, forwarding, client, _, _, lane = self._main
        passing = self._passing
        if passing is not None and (passing.mode or passing.rest):
            passing.stop()
            if passing.rest:
                data = self._with_rest(passing, side, data)
            if (command := passing.take_unpassed(data)) is not None:
                return self._take_unpassed(command, data)
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
            if client.phase is PHASE_GREETING:
                return self._early(data)
            if data:  # the lane may have left nothing
                client.receive_data(data)
            return self._run()
        leg = forwarding.leg
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
        if data:
            leg.end.receive_data(data)
        return self._run()

    def pass_on(self, side: Side, data: Octets) -> bytes | None:
        """For a driver that needs no `AwaitReply` and no `BodyComplete`. Takes an input that only has to be
        passed on, and returns the octets for the other side; this side may be read on. Returns None, and has
        done nothing, if it is another one: give it to `receive_from`. If ``answers`` is True then, the octets
        are the reply to a message: `take_answered` has the event. If `closed` is True then, they are the
        reply to QUIT, and both sides are to be closed, as after `Close`. If `has_rest` is True after an input
        of the server, call `pass_rest` next."""
        passing = self._passing
        if passing is None or not isinstance(data, bytes):
            return None
        if side is CLIENT:
            passed = passing.from_client(data)
        else:
            passed = passing.from_server(data)
            self.answers = passing.answers
        if passed is not None:
            self.progress += passing.taken
        return passed

    @property
    def has_rest(self) -> bool:
        """True if lines of the client wait for the reply before them. Only after `ask_ahead`."""
        return self._passing is not None and bool(self._passing.rest)

    def pass_rest(self) -> bytes | None:
        """After the reply before them was passed on: takes the next of the lines that wait, and returns the
        octets for the server. Returns None if it is not only to be passed on: call `receive_rest` next."""
        passing = self._passing
        if not isinstance(passing, AskedPassing) or (passed := passing.pass_rest()) is None:
            return None
        self.progress += passing.taken
        return passed

    def receive_rest(self) -> list[Event]:
        """After `pass_rest` has returned None: takes the lines of the client that wait."""
        passing = self._passing
        if passing is None:
            return []
        passing.stop()
        rest = passing.take_rest()
        if (command := passing.take_unpassed(rest)) is not None:
            return self._take_unpassed(command, rest)
        self._client_takes(rest)
        return self._run()

    def take_up(self, lines: bytes) -> None:
        """For `Passing`: lines of a group are for the general path, where they wait too."""
        passing, self._passing = self._passing, None
        try:
            Proxy.receive_from(self, CLIENT, lines)
        finally:
            self._passing = passing

    def _take_unpassed(self, command: Command, lines: bytes) -> list[Event]:
        """Takes the command of the first of these lines, which is read and asked about already."""
        self._client.take_line(command)
        self._commands.command(command)
        self._client_takes(lines[len(command.raw) + 2 :])
        self.progress += 1
        return self._run()

    def _client_takes(self, lines: bytes) -> None:
        if lines:
            self._client.receive_data(lines)

    def _with_rest(self, passing: Passing, side: Side, data: bytes) -> bytes:
        """Gives the lines that wait to the general path. Returns what is still to be taken of this side."""
        rest = passing.take_rest()
        if side is CLIENT:
            return rest + data
        self._client.receive_data(rest)
        return data

    def replay(self, inputs: tuple[Input, ...]) -> None:
        """For `Passing`: takes inputs whose octets have been passed on."""
        if not self._has_parts:
            self.make_parts()
        passing, progress, tally = self._passing, self.progress, self.tally
        commands = tally.commands
        self._passing = None
        try:
            for side, data in inputs:
                Proxy.receive_from(self, side, data)
        finally:
            self._passing, self.progress = passing, progress
            tally.count_no_further_than(commands)

    def rehearse(self, inputs: tuple[Input, ...]) -> Opened | None:
        """For `Passing`: what comes of the inputs with which such a session begins. See `Openings`."""
        other = Proxy(self.config, self.ask, None, self._given)
        try:
            return self._rehearsed(other, inputs)
        finally:
            other.let_go()

    def _rehearsed(self, other: Proxy, inputs: tuple[Input, ...]) -> Opened | None:
        passed = b""
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
        check_side(side)
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
        check_type(upstream, (str, NoneType), "upstream is the name of a server as a str, or None")
        self._catch_up()
        if self._forwarding.leg.state is not UPSTREAM_CONNECTING:
            raise LocalProtocolError("call prefer before the server's first octets")
        self._forwarding.prefer(upstream)

    def server_connected(
        self, tls: UpstreamTls | str, dialect: Dialect | str | None = None, *, kept: bool = False
    ) -> None:
        """The server that was asked for is connected. ``tls`` is what TLS is on this connection, if that is
        not `Config.upstream_tls`; ``dialect`` is what it speaks, if that is not `Config.upstream_dialect`.
        Raises `LocalProtocolError` after the server's first octets.

        ``kept``: the connection is one that another session has given back (`Release`), and `Config.keep` is
        set. If TLS is spoken on it, call `tls_started` next. Then give its greeting to `receive_from`."""
        if not isinstance(tls, UpstreamTls):
            tls = UpstreamTls(tls)
        if dialect is not None and not isinstance(dialect, Dialect):
            dialect = Dialect(dialect)
        if self._has_parts or kept or not self._begins:
            self._catch_up()
            self._forwarding.leg.use_level(tls, dialect)
        self._connection = tls, dialect or self._connection[1]
        if kept:
            self._forwarding.leg.take_over()

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        """The TLS handshake with this side is complete: after `StartTLS`, or with a server before its first
        octets. Raises `LocalProtocolError` if none was due."""
        check_side(side)
        check_type(info, TlsInfo, "info is a TlsInfo", 'such as TlsInfo(version="TLSv1.3")')
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
        check_side(side)
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
        check_refusal(reply)
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
            raise not_open(question, downstream.question)
        if not isinstance(verdict, Continue) or verdict.recipients:  # else it fits every question
            check(question, verdict)
        self.progress += 1
        downstream.take_resume()(verdict)
        return self._run()

    def more(self) -> list[Event]:
        """Sends the next piece of a message in a spool. Call it only while `has_more`."""
        if not self.has_more:
            raise LocalProtocolError("there is nothing more to send; call more() only while has_more is True")
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
        return self._fail(
            own_replies.STALLED if stalled else own_replies.to_timeout(self.waiting_for, self.unfinished)
        )

    def shutdown(self, *, now: bool = False) -> list[Event]:
        """The service stops. A client outside a mail transaction gets 421; a transaction may finish, unless
        ``now``."""
        return self._fail(own_replies.SHUTDOWN) if now else self.drain(own_replies.SHUTDOWN)

    def drain(self, reply: Reply) -> list[Event]:
        """The session is to end with this 421: now, if the client is outside a mail transaction; else after
        the transaction. The first reply that was said counts."""
        check_last_reply(reply)
        self._stop_passing()
        if not self._has_parts:
            self.make_parts()
        downstream, forwarding, client, message, login, _ = self._main
        self._main = downstream, forwarding, client, message, login, None  # each input may be the last now
        self._passing = None
        self._draining = self._draining or reply
        return self._run()

    def broke(self) -> list[Event]:
        """Ends the session after an exception, which came out of this proxy or out of the driver.

        The client gets the replies that were decided before, then 451 if it is owed a reply, else 421, and
        both sides are closed. Nothing more goes to the server; its connection is reset if a message may be
        incomplete. Never raises.
        """
        if not self._has_parts:  # it may be there that the fault was
            self.make_parts()
        passing, self._passing = self._passing, None
        return end_after_fault(self._downstream, self._forwarding, self._message, passing, self._out)

    def _early(self, data: bytes) -> list[Event]:
        """The client has sent something before its greeting."""
        if not self.tally.early and not self.closed:
            self.tally.spoke_early()
            if self.config.early_talkers is EarlyTalkers.REFUSE:
                return self._fail(own_replies.EARLY)
        self._client.receive_data(data)
        return self._run()

    def _message_at_server(self) -> Exchange | None:
        """The exchange of the message that the server has all of and owes the reply to; None if there is
        none."""
        for exchange in self._client.exchanges:
            if exchange.command.kind is KIND_END_OF_DATA and self._forwarding.leg.end.awaits(exchange):
                return exchange
        return None
