"""The queue of commands to the server: sends each in order, to the right server, when that can take it. A
command that was not yet sent to the server is an *errand*. The oldest errand is sent when its server is
connected, has got all that it needs first (`SetupFlow`), and can take a command now (RFC 2920 §3.1)::

                       oldest
    forward(…) ──────> [ errand ][ errand ][ … ]
    commands of the      │
    proxy (`Own`)        ├─ is for another server?      this one is left: QUIT, Close, Connect, setup
                         ├─ server lacks EHLO, MAIL?    setup
                         ├─ server can take it now?     SendToServer, AwaitReply
                         └─ else                        it waits for the next reply

What must never happen: a server gets MAIL before EHLO, or RCPT before MAIL, because a verdict has answered
the earlier command; or it gets commands in another order than the client's, except for an RSET that must come
first. Replies to the proxy's own commands are not sent to the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

import attrs

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.limits import MAILMAX
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import (
    SERVER,
    AwaitReply,
    Close,
    Connect,
    Event,
    Release,
    SendToServer,
)
from sansio_smtp.members import (
    EFFECT_ADD_RECIPIENT,
    EFFECT_BEGIN,
    KIND_AUTH_LINE,
    KIND_DATA,
    KIND_HELLO,
    KIND_LAST_CHUNK,
    KIND_QUIT,
    UPSTREAM_CONNECTING,
    UPSTREAM_DETACHED,
    UPSTREAM_READY,
)
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command, chunk_command
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .downstream import Downstream, nothing
from .server_setup import next_step, requires_tls
from .upstream import Carried, Upstream

__all__ = ["ANYWHERE", "Errand", "Forwarding", "Own", "Part"]

ANYWHERE: Final = ""
"""A placeholder for the connected server, whichever it is."""

_RSET: Final = Command.of("RSET")
_QUIT: Final = Command.of("QUIT")
_DATA: Final = Command.of("DATA")
_MAIL: Final = VERBS[b"MAIL"]


class Own(Enum):
    """The reason for a command of the proxy's own. Used as the handle in `ClientConnection.send_command`."""

    __hash__ = object.__hash__

    RESET = "RSET: the server has a transaction that has ended for the client"
    END_TRANSACTION = "RSET, if the server is in a transaction by then"
    HELD_DATA = "DATA for a message that was held"
    ADDED_RECIPIENT = "RCPT for a recipient that a verdict added"
    LOGIN = "AUTH, with which the proxy logs in by itself"
    RELEASE = "RSET in place of the client's QUIT: the connection is to serve another client"
    SETUP = "what the server must be sent before the client's next command"


@attrs.frozen(eq=False)
class Part:
    """The handle of a chunk to the server that is not the last part of the client's ``chunk``."""

    chunk: Exchange


@attrs.define(eq=False)
class Errand:
    """A command that was not yet sent to the server."""

    command: Command
    handle: Exchange | Own | Part
    upstream: str | None = ANYWHERE
    """The name of the server for it; None is the server that the driver connected first."""
    hold: bool = False
    """True for DATA that the proxy answers itself: the server gets DATA when the message is complete."""
    octets: bytes | None = None
    """The octets of a chunk, for BDAT; None for another command."""


class Forwarding:
    """The queue of errands, and the server that is connected."""

    __slots__ = (
        "_added",
        "_config",
        "_downstream",
        "_home",
        "_on_prepare",
        "_out",
        "_preferred",
        "_wanted",
        "chunks_waiting",
        "leg",
        "waiting",
    )

    def __init__(self, config: Config, downstream: Downstream, out: list[Event]) -> None:
        self.leg = Upstream(config)
        self._config = config
        self._downstream = downstream
        self._out = out
        self.waiting: list[Errand] = []
        """The queue of errands, oldest first. Read only."""
        self.chunks_waiting = 0
        """The number of chunks in the queue. While there is one, the client's input is not parsed."""
        self._added: tuple[Command, ...] = ()  # recipients that the last verdict added
        self._on_prepare: Callable[[], None] = nothing
        self._preferred: str | None = None  # the server that a verdict on the connection named
        self._home: str | None = None  # the server for transactions without a verdict on it
        self._wanted: str | None = ANYWHERE  # the server of the current MAIL

    def call(self, *, on_prepare: Callable[[], None]) -> None:
        """Sets the function that is called when the server needs something before the oldest errand."""
        self._on_prepare = on_prepare

    # Which server

    @property
    def at_home(self) -> bool:
        """True if, without a verdict on it, the next MAIL and the next RCPT are for the connected server."""
        return self._home == self.leg.name and self._wanted in (ANYWHERE, self.leg.name)

    def target(self, command: Command, said: str | None) -> str | None:
        """The name of the server for a command. ``said`` is the server in its verdict, or `ANYWHERE`.

        A verdict on EHLO, HELO or AUTH is valid for the rest of the session, one on MAIL for the mail
        transaction.
        """
        verb = VERBS.get(command.verb)
        if verb is None or not verb.routed:
            return ANYWHERE
        if verb.effect is EFFECT_BEGIN:
            self._wanted = self._home if said == ANYWHERE else said
            return self._wanted
        if verb.effect is EFFECT_ADD_RECIPIENT:
            return self._wanted if said == ANYWHERE else said
        if verb.kind is KIND_HELLO:
            self._wanted = ANYWHERE  # no transaction is open any more
        if said != ANYWHERE:
            self._home = said
        return said

    # The queue

    def forward(
        self, command: Command, exchange: Exchange, upstream: str | None = ANYWHERE, *, hold: bool = False
    ) -> None:
        """Sends a command of the client, now or when it may be sent. ``hold``: see `Errand`."""
        leg = self.leg
        end = leg.end
        # The usual case: the conditions of `_may_go` in fewer steps.
        if (
            not hold
            and not self.waiting
            and leg.state is UPSTREAM_READY
            and (upstream == ANYWHERE or upstream == leg.name)
            and end.hello is not None
            and not leg.may_lack
            and leg.carried is None
            and not leg.limits.announced
            and end.may_send()
            and (command.kind is not KIND_DATA or not self._added or not end.unanswered)
            and (command.verb == b"RCPT" or command.raw.upper().find(b"REQUIRETLS") < 0)
        ):
            if command is not exchange.command or command.secret or command.kind is KIND_HELLO:
                self._send(command, exchange)
                return
            data = end.pass_command(command, exchange)
            self._out += (SendToServer(data, data), AwaitReply(command))
            return
        self.waiting.append(Errand(command, exchange, upstream, hold))
        self.advance()

    @property
    def relays(self) -> bool:
        """True if the server owes no reply, and each usual command would be sent at once."""
        leg = self.leg
        return (
            leg.state is UPSTREAM_READY
            and not self.waiting
            and not self._added
            and not leg.speaks_lmtp
            and not leg.may_lack
            and not leg.limits.announced
            and (leg.carried is None and leg.end.hello is not None and leg.end.is_quiet)
        )

    def send_held_data(self) -> None:
        """Sends DATA for a message that was held."""
        self.waiting.append(Errand(_DATA, Own.HELD_DATA))
        self.advance()

    def send_chunk(self, octets: bytes, handle: Exchange | Part, *, last: bool = False) -> None:
        """Sends a chunk of a message, now or when the server can take it."""
        self.waiting.append(Errand(chunk_command(len(octets), last=last), handle, octets=octets))
        self.chunks_waiting += 1
        self.advance()

    def expect_chunk(self) -> None:
        """A chunk of a message will come before the client's next command: counts it as waiting."""
        self.chunks_waiting += 1

    def expected_chunk_came(self) -> None:
        """The expected chunk comes now."""
        self.chunks_waiting -= 1

    def drop_chunks(self) -> list[Exchange]:
        """Removes unsent chunks, and recipients that were added for their message. Returns the client's
        chunks that will get no reply from the server."""
        dropped = [errand for errand in self.waiting if errand.octets is not None]
        self.chunks_waiting = 0
        self.waiting[:] = [
            errand
            for errand in self.waiting
            if errand.octets is None and errand.handle is not Own.ADDED_RECIPIENT
        ]
        return [errand.handle for errand in dropped if isinstance(errand.handle, Exchange)]

    @property
    def held_octets(self) -> int:
        """Number of octets of chunks in the queue."""
        return sum(len(errand.octets or b"") for errand in self.waiting) if self.chunks_waiting else 0

    def reset_server(self, *, first: bool = False) -> None:
        """Queues an RSET: the server has accepted a MAIL whose transaction has ended for the client.
        ``first`` puts it before commands that the client has sent meanwhile."""
        if self.leg.detached:
            return
        self.waiting.insert(0 if first else len(self.waiting), Errand(_RSET, Own.RESET))
        self.advance()

    def reset_to_release(self) -> None:
        """Queues an RSET, after which the connection may serve another client."""
        self.waiting.append(Errand(_RSET, Own.RELEASE))
        self.advance()

    def end_transaction(self) -> None:
        """A verdict has ended or replaced the client's transaction. The server gets RSET if it is in a
        transaction after it has answered everything sent before."""
        self.waiting.append(Errand(_RSET, Own.END_TRANSACTION))
        self.advance()

    def add_recipients(self, commands: tuple[Command, ...]) -> None:
        """Queues RCPT commands that a verdict has added. Their DATA is queued after them."""
        self._added = commands
        self.waiting += [Errand(command, Own.ADDED_RECIPIENT) for command in commands]

    def data_refused(self) -> None:
        """The server has refused DATA: recipients that were added for this message must not get another
        one."""
        taken = self.leg.end.transaction.envelope.recipients
        if any(command in taken for command in self._added):
            self.reset_server(first=True)

    def take_back_data(self) -> Exchange | Own | Part | None:
        """Removes an unsent DATA and the added recipients. Returns the handle of the DATA; None if the queue
        has none."""
        data = next((errand.handle for errand in self.waiting if errand.command.kind is KIND_DATA), None)
        self.waiting[:] = [
            errand
            for errand in self.waiting
            if errand.handle is not data and errand.handle is not Own.ADDED_RECIPIENT
        ]
        return data

    def advance(self) -> None:
        """Sends as many commands as the server can take now."""
        queue = self.waiting
        while queue and self._may_go(queue[0]):
            errand = queue.pop(0)
            if errand.handle is not Own.END_TRANSACTION:
                if requires_tls(errand.command) and not self.leg.may_require_tls:
                    self._refuse_plain(errand)
                    return  # later errands were checked meanwhile
                if (limit := self.leg.limits.exceeded_by(errand.command)) and isinstance(
                    errand.handle, Exchange
                ):
                    self._refuse_beyond(limit, errand.handle)
                    return
                if errand.octets is None:
                    self._send(errand.command, errand.handle)
                else:
                    self._send_chunk(errand, errand.octets)
            elif self.leg.in_transaction:
                self._send(_RSET, Own.RESET)

    def _may_go(self, errand: Errand) -> bool:
        leg, handle, kind = self.leg, errand.handle, errand.command.kind
        if leg.state is not UPSTREAM_READY and leg.state is not UPSTREAM_DETACHED:
            return False
        if errand.octets is not None:
            return leg.end.may_send() and not leg.end.awaits(Own.ADDED_RECIPIENT)
        if isinstance(handle, Exchange) and (self._is_elsewhere(errand) or self._lacks(errand)):
            # Only when all replies before this one are known: then it is known what the connected server has
            # accepted, and it can be left or get a setup.
            if self._downstream.end.exchanges[0] is handle and not leg.end.unanswered:
                self._prepare(errand, handle)
            return False
        if handle is Own.END_TRANSACTION:
            # Only when no reply is outstanding is it known what to end; a server that was reset has nothing
            # to end.
            return leg.detached or (not leg.end.unanswered and leg.end.may_send())
        if kind is not KIND_AUTH_LINE and not leg.end.may_send():
            return False
        return kind is not KIND_DATA or self._may_send_data(errand)

    def _may_send_data(self, errand: Errand) -> bool:
        """Returns True if DATA may be sent now. If the message will be held, the proxy itself answers DATA
        with 354, and this returns False."""
        if self.leg.end.awaits(Own.ADDED_RECIPIENT):
            return False
        handle = errand.handle
        if not errand.hold or not isinstance(handle, Exchange):
            return True
        # Only when all replies before this one are known is it known if there is a recipient.
        client = self._downstream
        if client.end.exchanges[0] is not handle:
            return False
        if client.end.envelope.recipients:
            del self.waiting[0]
            client.fill(handle, own_replies.GO_AHEAD)
            return False
        return True

    def _send_chunk(self, errand: Errand, octets: bytes) -> None:
        self.chunks_waiting -= 1
        last = errand.command.kind is KIND_LAST_CHUNK
        line, awaited = self.leg.end.send_chunk(octets, handle=errand.handle, last=last)
        self._out.append(SendToServer(line, line))
        if octets:
            self._out.append(SendToServer(octets))
        self._out.append(AwaitReply(awaited))

    def _send(self, command: Command, handle: Exchange | Own | Part) -> None:
        if command.kind is KIND_HELLO:
            command = self.leg.spoken(command)
        if isinstance(handle, Exchange) and command is not handle.command:
            handle.went_as(command)
        if self.leg.limits.announced:
            self.leg.limits.sent(command)
        data = shown = self.leg.end.pass_command(command, handle)
        if command.secret:
            shown = command.shown + b"\r\n"
            self._downstream.keep_secret(command)
        self._out.append(SendToServer(data, shown))
        self._out.append(AwaitReply(command))

    # Another server, and the setup of a server

    def _is_elsewhere(self, errand: Errand) -> bool:
        leg = self.leg
        if leg.stale and errand.command.kind is not KIND_QUIT:
            return True
        return leg.detached or (errand.upstream != ANYWHERE and errand.upstream != leg.name)

    def _lacks(self, errand: Errand) -> bool:
        """Returns True if the server must get something before this command."""
        leg = self.leg
        if not leg.may_lack and leg.end.hello is not None and leg.carried is None:
            return False
        return next_step(self._config, leg, self._downstream, errand.command) is not None

    def _refuse_plain(self, errand: Errand) -> None:
        """Refuses a MAIL that requires verified TLS, which is not possible."""
        assert isinstance(errand.handle, Exchange)  # MAIL is the client's
        self._downstream.fill(errand.handle, own_replies.TLS_REQUIRED)

    def _refuse_beyond(self, limit: str, exchange: Exchange) -> None:
        """Refuses a command beyond a limit that the server has announced. If the server would take no further
        message, the session ends."""
        if limit == MAILMAX:
            self.waiting.clear()
            self._downstream.fill(exchange, own_replies.TOO_MANY_MESSAGES)
        else:
            self._downstream.tally.hit("max_recipients")
            self._downstream.fill(exchange, own_replies.TOO_MANY_RECIPIENTS)

    def _prepare(self, errand: Errand, exchange: Exchange) -> None:
        """Connects the errand's server, or starts its setup."""
        leg = self.leg
        if not self._is_elsewhere(errand):
            leg.prepare()
            self._on_prepare()
        elif leg.has_recipients and errand.command.verb == b"RCPT":
            # A transaction goes to one server: the proxy has no queue in which a message could wait for a
            # second.
            del self.waiting[0]
            self._downstream.fill(exchange, own_replies.OTHER_ROUTE)
        else:
            self._leave_for(self._home if errand.upstream == ANYWHERE else errand.upstream)

    def _leave_for(self, upstream: str | None) -> None:
        """Leaves the server for another, or for a new connection to the same one."""
        carried = self.leg.transaction_for(self._downstream.end.envelope)
        if not self.leg.detached:
            self._say_quit()
            self._out.append(Close(SERVER))
        self._connect(upstream, carried)

    def _say_quit(self) -> None:
        self._out.append(SendToServer(self.leg.end.pass_command(_QUIT), _QUIT.raw + b"\r\n"))

    def _connect(self, upstream: str | None, carried: Carried | None) -> None:
        self.leg.close()
        self.leg = Upstream(self._config, upstream, carried=carried)
        self._downstream.tally.client_changed()
        self._out.append(Connect(upstream, self._downstream.client_info))

    def replace(self, owed: Iterable[tuple[Command, Any]]) -> None:
        """The connection is lost before it has answered this client anything. A new one takes its place, and
        gets the client's commands in ``owed`` again."""
        self.waiting[:0] = [
            Errand(command, handle) for command, handle in owed if isinstance(handle, Exchange)
        ]
        self._out.append(Close(SERVER))
        self.leg.close()
        self.leg = Upstream(self._config, self.leg.name)
        self._downstream.tally.client_changed()
        self._out.append(Connect(self.leg.name, self._downstream.client_info))

    @property
    def oldest(self) -> Errand | None:
        """The next errand, if there is one."""
        return self.waiting[0] if self.waiting else None

    def send_setup(self, step: Command) -> None:
        """Sends a command of the setup."""
        self._send(step, Own.SETUP)

    def send_login(self, line: Command) -> None:
        """Sends AUTH, or a line of the exchange that it begins."""
        self._send(line, Own.LOGIN)

    def set_up(self) -> None:
        """The server needs nothing more: the oldest errand may be sent."""
        self.leg.set_up()
        self.learn_limits()
        self.advance()

    def answer_oldest(self, reply: Reply) -> None:
        """Abandons the setup: its command gets this reply, and is not sent."""
        self.leg.set_up()
        handle = self.waiting.pop(0).handle
        assert isinstance(handle, Exchange)  # a setup is for a command of the client
        self._downstream.fill(handle, reply)

    def tls_started(self, info: TlsInfo) -> None:
        """TLS has begun with the server. Raises `LocalProtocolError` if none was due."""
        self.leg.tls_started(info)
        self._downstream.tally.client_changed()

    def client_restarted(self, *, known: bool) -> None:
        """The session of the client begins again, after STARTTLS or XCLIENT. ``known``: the server knows the
        old client until the connection ends, because RSET does not undo a login (RFC 4954 §4). The login of
        the proxy may also have been for the old client."""
        leg = self.leg
        self._home, self._wanted = self._preferred, ANYWHERE
        if leg.state is UPSTREAM_DETACHED:
            return
        if known or leg.logged_in or leg.name != self._home:
            leg.go_stale()
            return
        if leg.in_transaction:
            self.reset_server()
        leg.greet_again()

    def prefer(self, upstream: str | None) -> None:
        """A verdict on the connection has named the server to use when no other is named; None is the usual
        one. Before the first connection, this is the first server."""
        self._preferred = self._home = upstream
        if self.leg.state is UPSTREAM_CONNECTING:
            self.leg = Upstream(self._config, upstream)

    def learn_limits(self) -> None:
        """Applies the limits that the server announced in its EHLO reply."""
        self.leg.limits.learn(self.leg.end.keywords)
        limits = (self._config.max_message_size, self.leg.end.max_message_size)
        self._downstream.limit_message(min((limit for limit in limits if limit), default=None))

    def hello_answered(self) -> None:
        """The server has accepted EHLO or HELO of the client."""
        self.leg.settle()
        self.learn_limits()

    # Without a server

    def leave_failed(self, again: list[Errand], envelope: Envelope) -> None:
        """The server has failed: asks for another one of the same name. ``again`` are commands that it has
        not answered; the other server gets them before the waiting ones. The proxy's own commands are not
        needed there, because the other server has no transaction."""
        leg = self.leg
        carried = leg.transaction_for(envelope)
        if leg.end.may_send() and not leg.end.eof:
            self._say_quit()
        self._out.append(Close(SERVER))
        self.waiting[:] = again + [each for each in self.waiting if isinstance(each.handle, Exchange)]
        self._connect(leg.name, carried)

    def lose(self, envelope: Envelope) -> None:
        """The server has ended the connection while it owed no reply. The client's next command gets a new
        one."""
        self._out.append(Close(SERVER))
        self.leg.lose(envelope)

    def detach(self) -> None:
        """Resets the connection to the server in the middle of mail data. Only this does not complete the
        message (RFC 5321 §4.1.1.4). The client is still served."""
        self._out.append(Close(SERVER, abort=True))
        self.leg.reset()
        waiting = self.waiting.copy()
        self.waiting.clear()
        for errand in waiting:
            if not isinstance(errand.handle, Exchange):
                if self.waiting:
                    self.waiting.append(errand)  # it belongs to the errand before it, and goes with it
            elif reply := self.reply_without_server(errand.command):
                errand.handle.fill(reply)
            else:
                self.waiting.append(errand)

    def reply_without_server(self, command: Command) -> Reply | None:
        """The reply to a command after the server was reset; None if the command gets a new connection. After
        a login of the client at the server there is no new connection, because its credentials are not
        kept."""
        if command.kind is KIND_QUIT:
            return own_replies.BYE
        return None if self.may_reconnect else own_replies.DETACHED

    @property
    def may_reconnect(self) -> bool:
        """True if a new connection can be made for this client."""
        config = self._config
        may_log_in = config.login_mode is not LoginMode.RELAY or not self._downstream.authenticated
        return config.reconnect and may_log_in

    def drop_errands(self) -> None:
        """Removes all errands, so that the server does not get them."""
        self.waiting.clear()
        self.chunks_waiting = 0

    def close(self) -> None:
        """Closes the connection to the server: the session is over."""
        leg = self.leg
        if leg.released and leg.greeting is not None and leg.end.is_quiet:
            self._out.append(Release(SERVER, leg.greeting))
        elif not leg.detached:
            self._out.append(Close(SERVER, abort=leg.end.in_content))
        leg.close()
        self.drop_errands()
        self.let_go()

    def let_go(self) -> None:
        """Like `Downstream.let_go`."""
        self._on_prepare = nothing
