"""`Engine`: the parts of a proxy, and the pass that runs them after each input.

The parts; each alone writes its own state::

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

The parts run in passes, one for each reply of the server: first the reply (`_run_server`), because it may let
the client go on; then a command that waited for it (`CommandFlow.ask_in_turn`); then the client's input
(`_run_client`). So it makes no difference if two replies come in one segment or in two (promise P1). Then the
joint state is checked with `joint_states.TOGETHER`, and the events are returned.

All parts are made when one is first needed. A session that is passed on from the greeting to the reply to
QUIT (`Passing`) needs none of them, which saves a sixth of its instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Final

from sansio_smtp.arguments import check_type, wrong_type
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, Dialect, UpstreamTls
from sansio_smtp.ends.access import access_of
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.exchanges import Content
from sansio_smtp.ends.received import (
    END_OF_INPUT,
    ChunkEnded,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Pause,
)
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import InternalError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Close,
    Event,
    MessageAnswered,
    Violation,
)
from sansio_smtp.joint_states import contradiction
from sansio_smtp.members import (
    GATE_ASKED,
    GATE_OPEN,
    GATE_QUEUED,
    MESSAGE_NONE,
    MESSAGE_STREAMING,
    PHASE_COMMAND,
    UPSTREAM_READY,
)
from sansio_smtp.questions import asked_places
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from . import own_replies
from .command_flow import CommandFlow
from .downstream import Downstream
from .failover import Failover
from .forwarding import Forwarding
from .keeping import Keeping
from .lane import Lane
from .message_flow import MessageFlow
from .message_store import Room, Spool
from .passing import Passing
from .readings import Readings
from .reply_flow import ReplyFlow
from .setup_flow import SetupFlow
from .shared import shared
from .tally import Tally

__all__ = ["Engine"]


_BUSY: Final = frozenset((Phase.CONTENT, Phase.CHUNK, Phase.TLS))
"""The phases in which a client that awaits no reply is in the middle of something."""
_SUCH_AS: Final = 'such as ClientInfo(address="192.0.2.1:51000")'


class _Part:
    """A slot for one of the parts. All parts are made when the first one is used. A ``__getattr__`` could do
    this too, but would make each attribute of a `Proxy` slower."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, engine: Engine, _: type) -> Any:
        try:
            return self._slot.__get__(engine)
        except AttributeError:
            engine.make_parts()
            return self._slot.__get__(engine)

    def __set__(self, engine: Engine, part: object) -> None:
        self._slot.__set__(engine, part)


class Engine(Readings):
    """The internal part of `Proxy`, which drivers do not call."""

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
        "_login",
        "_main",
        "_make_spool",
        "_message",
        "_out",
        "_passing",
        "_replies",
        "_room",
        "_setup",
        "answers",
        "ask",
        "config",
        "flows",
        "progress",
        "tally",
    )

    def __init__(
        self,
        config: Config | None = None,
        ask: Collection[str] = (),
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
        room: Room | None = None,
    ) -> None:
        self.config = config = Config() if config is None else config
        check_type(config, Config, "Proxy takes a Config", 'such as Config(tls="may")')
        self._given = ClientInfo() if client is None else client
        check_type(self._given, ClientInfo, "client is a ClientInfo", _SUCH_AS)
        if self._given.tls is not None:  # anything else would count as TLS
            check_type(self._given.tls, TlsInfo, "tls of a ClientInfo is a TlsInfo, or None for plain text")
        if make_spool is not None and not callable(make_spool):
            raise wrong_type("make_spool is a function that makes a Spool", make_spool)
        asked = shared(config, ask if isinstance(ask, frozenset) else asked_places(ask))
        self.ask = asked.ask
        self.progress = 0
        """Counts commands, replies and pieces of content. A driver moves its deadline when this number
        changes, so that a peer that sends single octets cannot hold the dialogue open."""
        self.flows = False
        """True if the last input of a side only had to be passed on: the side may be read again, and nothing
        more has to be sent. Then a driver need not check other levels."""
        self.tally = Tally(config)
        """Counts what the client has done in this session, and the limits that it has hit."""
        self.answers = False
        """True if the last input was a reply to a message, which `pass_on` has taken."""
        self._out: list[Event] = []
        self._asked = asked
        self._make_spool = make_spool
        self._room = room
        self._connection: tuple[UpstreamTls, Dialect | None] = config.upstream_tls, None
        self._draining: Reply | None = None
        self._client_lost = False
        self._has_parts = False
        self._passing: Passing | None = None

    def make_parts(self) -> None:
        config, asked = self.config, self._asked
        self._downstream = downstream = Downstream(
            config, self._out, self._given, checks_logins=asked.logins, tally=self.tally
        )
        self._forwarding = forwarding = Forwarding(config, downstream, self._out)
        downstream.call(on_over=self._close, on_room=forwarding.advance, waiting=forwarding.waiting)
        self._message = message = MessageFlow(
            config, downstream, forwarding, self._out, self._make_spool, self._room
        )
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
        lane: Lane | None = None
        if config.lane and not config.trace:
            lane = Lane(config, downstream, forwarding, message, self._commands, asks_replies=asked.replies)
        self._main = downstream, forwarding, downstream.end, message, self._setup.login, lane
        level, dialect = self._connection
        if level is not config.upstream_tls or dialect is not None:
            forwarding.leg.use_level(level, dialect)
        if self._passing is not None:
            self._passing.use(downstream, forwarding, message, self._commands)
        self._has_parts = True

    # The engine: handles the input of both ends until neither has any left

    def _run(self) -> list[Event]:
        self.flows = False
        downstream, forwarding, client, message, login, _ = self._main
        more = forwarding.leg.end.pending
        while True:
            # The client's next steps are done before the next reply is read, as if that came later. No input
            # of the client allows another reply to be read: after the last one, one pass is enough.
            if more:
                more = self._run_server()
            if login is not None and login.waits and downstream.question is None:
                login.go_on()
            if downstream.gate is GATE_QUEUED:
                self._commands.ask_in_turn()
            if client.pending:
                self._run_client()
            if not more:
                break
        if self._draining is not None and self._idle():
            downstream.fail(self._draining)
        gate, state = downstream.gate, message.state
        plain = gate is GATE_OPEN or (gate is GATE_ASKED and state is MESSAGE_NONE)
        if (
            not plain
            or forwarding.leg.state is not UPSTREAM_READY
            or (state is not MESSAGE_NONE and state is not MESSAGE_STREAMING)
        ):
            self._check_joint_state()
        events = self._out.copy()
        self._out.clear()
        return events

    def _check_joint_state(self) -> None:
        """Raises `InternalError` if the joint state breaks a rule of `joint_states.TOGETHER`. Not called for
        the states of plain relaying, which break none."""
        if wrong := contradiction(self.snapshot()):
            raise InternalError(wrong)

    def _fail(self, reply: Reply) -> list[Event]:
        self._stop_passing()
        if not self.closed:
            self._downstream.fail(reply)
        return self._run()

    def _stop_passing(self) -> None:
        """Called before each input that `pass_on` has not taken. No input is passed on while a question is
        open, or a message is sent in pieces."""
        if self._passing is not None:
            self._passing.stop()

    def _run_server(self) -> bool:
        """Handles the next reply of the server. Returns True if another one may have come too."""
        if self._downstream.question is not None and self._asked.replies:
            return False
        end = self._forwarding.leg.end
        event = end.next_event()
        if event is END_OF_INPUT:
            if self._keeping is None or not self._keeping.lost():
                self._server_failed("it closed the connection", own_replies.LOST)
            return False
        if isinstance(event, Pause):
            return False
        self.progress += 1
        if isinstance(event, ReplyReceived):
            self._replies.replied(event)
        else:
            self.tally.hit(event.limit)
            event.show(self._downstream.masked(event.evidence))
            self._out.append(Violation(SERVER, event))
            self._server_failed(f"it broke the protocol: {event.args[0]}", event.reply_hint)
        return end.pending and end is self._forwarding.leg.end

    def _server_failed(self, why: str, reply: Reply) -> None:
        """Leaves the server for another, or ends the session with this reply."""
        if self._failover is None or not self._failover.takes(why, reply):
            self._downstream.fail(reply)

    def _run_client(self) -> None:
        """Handles the client's input."""
        client, message, downstream = self._client, self._message, self._downstream
        most = self.config.max_pipelined
        forwarding = self._forwarding
        while (
            downstream.gate is GATE_OPEN
            # The octets of a chunk are always read: they need no further reply.
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
                message.end_of_data(event.size, event.bare_lf)
            elif isinstance(event, ContentRefused):
                self._out.append(Violation(CLIENT, event.error))
                self.tally.hit(event.error.limit)
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
        """The client's input has ended. Open replies may still be delivered; an incomplete message must not
        be completed at the server."""
        if self._client.phase is not PHASE_COMMAND or not self._client.exchanges:
            self._close()

    # Closing

    def _close(self) -> None:
        """Closes both sides now. This happens once: a closed side does not call it, and nothing more is
        parsed."""
        self._forwarding.close()
        self._out.append(Close(CLIENT))
        self._downstream.close()
        self._message.close()
        self._commands.close()
        if self._login is not None:
            self._login.close()

    def let_go(self) -> None:
        """For a driver that gives no more input. The parts form reference cycles until the session is closed,
        and a session whose reply to QUIT was passed on is not closed before it is read: only the garbage
        collector would free it. After this call its memory is freed as soon as nothing refers to it."""
        if self._passing is not None:
            self._passing.let_go()
        if self._has_parts:
            self._downstream.let_go()
            self._forwarding.let_go()

    def _idle(self) -> bool:
        client, leg = self._client, self._forwarding.leg
        if self.closed or self._downstream.question or client.exchanges:
            return False
        if client.phase in _BUSY:
            return False
        return leg.detached or not client.in_transaction

    @property
    def place(self) -> Hashable:
        """For `Passing`: what else the opening depends on. See `Openings`."""
        checks = self._asked.logins
        return access_of(self.config, self._given, checks_logins=checks), *self._connection

    def answered(self, reply: Reply, envelope: Envelope, content: Content | None) -> MessageAnswered:
        """For `Passing`: see `Downstream.answered`."""
        if self._has_parts:
            return self._downstream.answered(reply, envelope, content)
        return MessageAnswered(reply, envelope, content=content)


for _name in (
    *("_client", "_commands", "_downstream", "_failover", "_forwarding", "_keeping", "_login"),
    *("_main", "_message", "_replies", "_setup"),
):
    setattr(Engine, _name, _Part(vars(Engine)[_name]))
