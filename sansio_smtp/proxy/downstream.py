"""The connection to the client: the replies that it must get, what it was told, and the gate. A reply to any
line may become known at any time, from a server or a verdict: the exchange is *filled*. Replies are *sent* in
the order of the lines (RFC 2920 §3.2). So if a rule refuses a RCPT at once, this reply still waits for the
server's reply to MAIL::

                              oldest
    fill(exchange, reply) ──> [ MAIL: no reply yet ][ RCPT: 550 ][ RCPT: no reply yet ]
                                   │
                                   └─ filled ──> send_reply; then the next one, while it has a reply

The gate (`states.GATE`) says if the client's input may be parsed. At most one question is open at a time.
While it is open, no input of the client is parsed, so that no verdict depends on its time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import attrs

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.access import access_of
from sansio_smtp.ends.exchanges import Content, Exchange
from sansio_smtp.ends.extensions import keywords
from sansio_smtp.ends.fan_out import FanOut
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    ClientChanged,
    CommandRefused,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    Side,
    StartTLS,
    Violation,
)
from sansio_smtp.members import (
    EFFECT_END,
    GATE_ENDING,
    GATE_OPEN,
    GATE_SHUT,
    KIND_CHUNK,
    KIND_END_OF_DATA,
    KIND_HELLO,
    KIND_LAST_CHUNK,
    KIND_STARTTLS,
    PHASE_MUST_CLOSE,
    PHASE_TLS,
)
from sansio_smtp.questions import AnyQuestion, Continue, LoginQuestion, ReplyQuestion
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.states import GATE, Gate, GateStep, unforeseen
from sansio_smtp.verbs import UNKNOWN, VERBS, Kind
from sansio_smtp.wire.commands import END_OF_CHUNKS, END_OF_DATA, Command
from sansio_smtp.wire.credentials import Credentials
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.sasl import Login, read_login

from . import own_replies
from .tally import Tally
from .verdict_checks import not_open

__all__ = ["Downstream", "nothing"]

_ASK, _ASK_REPLY, _ANSWER = GateStep.ASK, GateStep.ASK_REPLY, GateStep.ANSWER
Resume = Callable[[Any], None]
"""A function that takes the verdict on a question, and continues."""


class Downstream:
    """The connection to the client. ``out`` is the list of events that the proxy returns; ``client`` is what
    the driver knows about the client; ``checks_logins`` is True if the driver is asked about its login;
    ``tally`` counts what the client does."""

    __slots__ = (
        "_accounts",
        "_attempted",
        "_case_sensitive_logins",
        "_checks_logins",
        "_config",
        "_credentials",
        "_headroom",
        "_hides_secrets",
        "_on_over",
        "_on_room",
        "_out",
        "_resume",
        "_waiting",
        "attempt",
        "authenticated",
        "chunking",
        "end",
        "forwarded",
        "gate",
        "greeting",
        "hello",
        "identity",
        "largest",
        "login",
        "question",
        "tally",
        "traces",
    )

    def __init__(
        self,
        config: Config,
        out: list[Event],
        client: ClientInfo | None = None,
        *,
        checks_logins: bool = False,
        tally: Tally | None = None,
    ) -> None:
        self.end = ServerConnection(config)
        self.tally = tally or Tally(config)
        """Counts what the client has done."""
        self._headroom = config.headroom
        self._accounts = config.account
        self.largest: int | None = None
        """The largest message that the server may get, after all edits; None: no limit."""
        self.limit_message(config.max_message_size)
        self.gate = Gate.OPEN
        self.question: AnyQuestion | None = None
        self.hello: Command | None = None
        """The last EHLO or HELO that was answered with 2xx, as it was sent to the server."""
        self.authenticated = False
        """True if a server has accepted the client's credentials."""
        self.login: Login | None = None
        """The last accepted login, or the login that XCLIENT has named; None if there is none. STARTTLS and
        XCLIENT reset it to None."""
        self.chunking = False
        """True if CHUNKING was offered to the client in the last EHLO reply."""
        self.identity = client or ClientInfo()
        """The client, without information from its own commands."""
        self.forwarded: Forwarded | None = None
        """The client of the mail transaction that XFORWARD has named."""
        self.greeting: Reply | None = None
        """The greeting that the client got; kept only if XCLIENT may need it again."""
        self.attempt: LoginAttempt | None = None
        """The client's name and password, while a server may need them. None in INJECT."""
        self._attempted: Login | None = None  # the login of that attempt
        self._config = config
        self._checks_logins = checks_logins
        self.end.allow(access_of(config, self.identity, checks_logins=checks_logins))
        self._case_sensitive_logins = config.case_sensitive_logins
        self._resume: Resume | None = None
        self._out = out
        self.traces = config.trace
        """True if `Received` events are wanted."""
        self._credentials: Credentials | None = None  # most clients have none
        self._hides_secrets = config.login_mode is not LoginMode.RELAY
        # True if secrets that a server repeats are masked for the client too: they may not be the client's
        self._on_over: Callable[[], None] = nothing
        self._on_room: Callable[[], None] = nothing
        self._waiting: Collection[object] = ()

    def call(
        self, *, on_over: Callable[[], None], on_room: Callable[[], None], waiting: Collection[object]
    ) -> None:
        """Sets the functions that are called when the session is over (the last reply was sent), and when
        replies were sent, so that commands in ``waiting`` may go on."""
        self._on_over, self._on_room, self._waiting = on_over, on_room, waiting

    @property
    def relays(self) -> bool:
        """True if the client's input is parsed, and a reply of the server passes unchanged."""
        return self.gate is GATE_OPEN and self.forwarded is None and not self.traces

    def limit_message(self, largest: int | None) -> None:
        """Sets the largest message for the server. The limit for the client is smaller by the headroom."""
        self.largest = largest
        self.end.limit_message(largest if largest is None else max(largest - self._headroom, 1))

    @property
    def client_info(self) -> ClientInfo:
        """What is known about the client now."""
        hello, identity = self.hello, self.identity
        helo = hello.argument.decode("utf-8", "backslashreplace").strip() if hello else identity.helo
        known = attrs.evolve(identity, helo=helo, forwarded=self.forwarded)
        login = self.login
        if login is None:
            return known
        unknown = login.name is None
        return attrs.evolve(known, login=login.name, login_given=login.given, login_unknown=unknown)

    # The identity of the client, and its TLS

    def tls_started(self, info: TlsInfo) -> None:
        """TLS has begun with the client. What the client said before is forgotten (RFC 3207 §4.2)."""
        self.end.tls_started()
        self._begin_anew(attrs.evolve(self.identity, tls=info))

    def rename(self, client: ClientInfo, login: Login | None) -> None:
        """XCLIENT has named the client, and maybe its login."""
        self._begin_anew(client)
        self.login = login
        self._out.append(ClientChanged(self.client_info))

    def forward_for(self, known: Forwarded) -> None:
        """XFORWARD has named the client of the next mail transaction."""
        self.forwarded = known
        self.tally.client_changed()

    def greet(self, reply: Reply) -> None:
        """Sends the greeting."""
        if self._config.accept_xclient:
            self.greeting = reply
        self.send_reply(reply)

    def _begin_anew(self, client: ClientInfo) -> None:
        self.identity = client
        self.hello = self.login = self.forwarded = None
        self.authenticated = self.chunking = False
        self.tally.client_changed()
        self.drop_attempt()
        self.end.allow(access_of(self._config, client, checks_logins=self._checks_logins))

    # The gate

    def step(self, step: GateStep) -> None:
        """Moves the gate by its table; it changes nowhere else. This does not call `following`, to save a
        call for each question."""
        after = GATE[self.gate].get(step)
        if after is None:
            raise unforeseen(self.gate, step)
        self.gate = after

    def ask(self, question: AnyQuestion, resume: Resume) -> None:
        """Opens a question; ``resume`` takes its verdict."""
        self.step(_ASK_REPLY if type(question) in _OF_SERVERS else _ASK)
        self.question, self._resume = question, resume
        self._out.append(Ask(question))

    def take_resume(self) -> Resume:
        """Closes the open question, and returns the function that takes its verdict."""
        resume = self._resume
        if resume is None:  # the caller's question was None too
            raise not_open(None, None)
        self.step(_ANSWER)
        self._resume = self.question = None
        return resume

    def is_due(self, exchange: Exchange) -> bool:
        """Returns True if all commands on which this one may depend have been answered. A RCPT does not
        depend on other RCPTs (RFC 2920 §3.1)."""
        exchanges = self.end.exchanges
        if exchanges[0] is exchange:
            return True
        if exchange.command.verb != b"RCPT":
            return False
        return all(before.command.verb == b"RCPT" for before in exchanges)

    # Replies

    def fill(self, exchange: Exchange, reply: Reply) -> None:
        """The reply to a line is known. It is sent when every reply before it has been sent."""
        if reply.code == 421 or exchange.closes:
            if self.gate is GATE_SHUT:
                return
            self.step(GateStep.END)
        exchanges, arriving = self.end.exchanges, self.end.arriving
        if arriving is not None and self.gate is GATE_ENDING:
            arriving = None  # no more octets of it are awaited
        if not exchanges or exchanges[0] is not exchange or exchange is arriving:
            exchange.fill(reply)
        elif (
            self.forwarded is None
            and exchange.command.kind not in _WATCHED
            and not (self._accounts and reply.code >= 400)
        ):
            self.send_reply(reply, last=exchange.closes and exchange.owes == 1)  # usual `_deliver`
        else:
            self._deliver(exchange, reply)
        while (
            exchanges
            and exchanges[0].replies  # usually none, which needs no call
            and exchanges[0] is not arriving
            and (known := exchanges[0].next_reply())
        ):
            self._deliver(exchanges[0], known)
        if self._waiting:
            self._on_room()

    def _answers_message(self, command: Command, reply: Reply) -> bool:
        """Returns True for a reply that decides a message: the reply to its end, or to its first refused
        chunk, which ends the transaction. If a server then still accepts the end, it has accepted a message,
        and that is reported too."""
        kind = command.kind
        if kind is KIND_END_OF_DATA:
            return command is not END_OF_CHUNKS or self.end.in_transaction or reply.code < 300
        is_chunk = kind is KIND_LAST_CHUNK or kind is KIND_CHUNK
        return is_chunk and reply.code >= 400 and self.end.in_transaction

    def chunk_ended(self) -> None:
        """All octets of a chunk have come: its reply may be sent, if it is known."""
        exchanges = self.end.exchanges
        while exchanges and (known := exchanges[0].next_reply()):
            self._deliver(exchanges[0], known)
        if self._waiting:
            self._on_room()

    def fill_all(self, exchange: Exchange, reply: Reply) -> None:
        """Adds the same reply to a line for each reply that it must get."""
        for _ in range(exchange.owes - len(exchange.replies or ())):
            self.fill(exchange, reply)

    def share(self, exchange: Exchange, reply: Reply) -> None:
        """The server has given one of its replies to a message with a reply for each recipient."""
        assert exchange.fan_out is not None
        if reply.code == 421:
            self.fill(exchange, reply)  # the last reply of all
            return
        for each in exchange.fan_out.take(reply):
            self.fill(exchange, each)

    def _deliver(self, exchange: Exchange, reply: Reply) -> None:
        command = exchange.command
        kind = command.kind
        if command is END_OF_DATA or self._answers_message(command, reply):
            if exchange.owes == 1 or reply.code == 421:
                self.tally.answered(accepted=reply.code < 300)
                self._out.append(self.answered(reply, exchange=exchange))
        elif self._accounts and reply.code >= 400 and command.verb in _ENVELOPE:
            self._out.append(self._refused(command, reply))
        elif kind is KIND_HELLO and reply.code < 300:
            self.hello = exchange.replacement or exchange.command
            self.chunking = command.verb == b"EHLO" and "CHUNKING" in keywords(reply)
            self.tally.client_changed()
        elif kind is KIND_STARTTLS and reply.code < 300 and (error := self.end.injected()) is not None:
            self._out.append(Violation(CLIENT, error))
            self.send_reply(error.reply_hint, last=True)
            return
        if self.forwarded is not None and _ends_transaction(exchange.command, reply):
            self.forwarded = None
            self.tally.client_changed()
        self.send_reply(reply, last=exchange.closes and exchange.owes == 1)

    def send_reply(self, reply: Reply, *, last: bool = False) -> None:
        """Sends the reply to the oldest line. ``last``: the session ends with it, whatever code it has."""
        end = self.end
        raw = reply.raw
        if reply.code >= 400:
            self.tally.refused()
        # Done before the end counts the reply as sent, because it may fail.
        shown = raw if self._credentials is None else self.masked(raw)
        if shown is not raw and self._hides_secrets and not self._answers_hello:
            reply = Reply(reply.code, shown, reply.origin)
        self._out.append(SendToClient(end.pass_reply(reply, last=last), shown, reply.origin))
        if end.phase is PHASE_MUST_CLOSE:
            self._on_over()
        elif end.phase is PHASE_TLS:
            self._out.append(StartTLS(CLIENT))

    @property
    def _answers_hello(self) -> bool:
        """True if the next reply answers EHLO or HELO: a client interprets its text."""
        exchanges = self.end.exchanges
        return bool(exchanges) and exchanges[0].command.kind is KIND_HELLO

    def end_session(self, exchange: Exchange | None, reply: Reply) -> None:
        """Ends the session with this reply to this line, after the replies before it. If ``exchange`` is
        None, the reply is sent now."""
        if exchange is None:
            self.fail(reply)
        else:
            exchange.end_with()
            self.fill_all(exchange, reply)

    def end_with(self, exchange: Exchange) -> None:
        """The session will end with the reply to this line, which is not known yet. Nothing more is
        parsed."""
        exchange.end_with()
        self.step(GateStep.END)
        self.question = self._resume = None

    def fail(self, reply: Reply) -> None:
        """The session cannot go on: sends this reply now, in answer to the oldest line, and closes both
        sides. Within a TLS handshake no reply can be sent.

        If a verdict on the server's reply to a message is awaited, that reply is passed on first: it is the
        true result, and a client that does not get it sends the message again."""
        if self.end.phase is PHASE_TLS:
            self._on_over()
            return
        question = self.question
        command = question.command if isinstance(question, ReplyQuestion) else None
        if command is not None and command.kind is KIND_END_OF_DATA:
            self.take_resume()(Continue())
            if self.gate is GATE_SHUT:  # that reply was the last
                return
        exchanges = self.end.exchanges
        if exchanges:
            oldest = exchanges[0]
            kind = oldest.command.kind
            if reply is own_replies.LOST:
                reply = _LOST_REPLIES.get(kind, reply)
            if self._answers_message(oldest.command, reply):
                self._out.append(self.answered(reply, exchange=oldest))
            elif self._accounts and oldest.command.verb in _ENVELOPE:
                self._out.append(self._refused(oldest.command, reply))
            if kind is KIND_END_OF_DATA:
                for _ in range(0 if reply.code == 421 else oldest.owes - 1):
                    self.send_reply(reply)
        self.send_reply(reply)
        self._on_over()

    def close(self) -> None:
        """Closes the connection to the client: its end, the gate and the open question."""
        self.step(GateStep.CLOSE)
        self.end.close()
        self.question = self._resume = None
        self.drop_attempt()
        self.let_go()

    def let_go(self) -> None:
        """Breaks all reference cycles, so that memory is freed at once."""
        self._on_over = self._on_room = nothing

    def log_in(self, exchange: Sequence[Command], *, by_server: bool = True) -> None:
        """The client's credentials were accepted in this AUTH exchange, by a server or by a verdict."""
        self.take_login(self.read_login(exchange), by_server=by_server)

    def read_login(self, exchange: Sequence[Command]) -> Login:
        """The login of this AUTH exchange."""
        return read_login(exchange, case_sensitive=self._case_sensitive_logins)

    def take_login(self, login: Login, *, by_server: bool) -> None:
        """The client has logged in; ``by_server``: a server knows this."""
        self.authenticated = self.authenticated or by_server
        self.login = login
        self.tally.client_changed()
        self._remembered().accepted(login.given)

    def keep_attempt(self, attempt: LoginAttempt, login: Login) -> None:
        """Keeps the name and password of a login that a server will decide. After `accept_attempt` they are
        kept, because another server may need them too."""
        self.attempt, self._attempted = attempt, login

    def accept_attempt(self) -> None:
        """A server has accepted the client's login."""
        assert self._attempted is not None  # see `keep_attempt`
        self.take_login(self._attempted, by_server=True)

    def drop_attempt(self) -> None:
        """Wipes the client's name and password."""
        if self.attempt is not None:
            self.attempt.wipe()
            self.attempt = self._attempted = None

    # What is shown

    def answered(
        self,
        reply: Reply,
        envelope: Envelope | None = None,
        content: Content | None = None,
        *,
        exchange: Exchange | None = None,
    ) -> MessageAnswered:
        """The event for a message that gets this reply. ``envelope``: None means the envelope of the open
        transaction. ``exchange``: the exchange of the message, if it has one."""
        envelope = envelope or self.end.transaction.envelope
        fan_out: FanOut | None = None
        if exchange is not None:
            fan_out, content = exchange.fan_out, exchange.content
        results: tuple[tuple[Command, Reply], ...] = ()
        if fan_out is not None:
            envelope, results = fan_out.envelope, fan_out.results(reply)
            if fan_out.by_recipient and fan_out.complete:
                reply = fan_out.summary
        if self._credentials is None:
            return MessageAnswered(reply, envelope, None, results, content)
        masked = self.masked(reply.raw)
        results = tuple((to, Reply(each.code, self.masked(each.raw), each.origin)) for to, each in results)
        return MessageAnswered(reply, envelope, None if masked == reply.raw else masked, results, content)

    def _refused(self, command: Command, reply: Reply) -> CommandRefused:
        masked = self.masked(reply.raw)
        shown = None if masked == reply.raw else masked
        return CommandRefused(command, reply, self.end.transaction.envelope, shown)

    def trace(self, side: Side, shown: bytes) -> None:
        """Adds a `Received` event, secrets masked."""
        self._out.append(Received(side, self.masked(shown) if side is SERVER else shown))

    def keep_secret(self, command: Command) -> None:
        """Remembers the credentials in a command, so that they are masked if a server repeats them in a
        reply."""
        self._remembered().keep(command)

    def masked(self, octets: bytes) -> bytes:
        """The octets with the client's credentials masked: some servers repeat them in a reply."""
        return octets if self._credentials is None else self._credentials.masked(octets)

    def _remembered(self) -> Credentials:
        if self._credentials is None:
            self._credentials = Credentials()
        return self._credentials


def _ends_transaction(command: Command, reply: Reply) -> bool:
    """Returns True if a mail transaction, or the time before it, is over with this reply."""
    if command.kind is KIND_END_OF_DATA or (command.kind in _CHUNKS and reply.code >= 400):
        return True
    return reply.code < 300 and VERBS.get(command.verb, UNKNOWN).effect is EFFECT_END


def nothing() -> None:
    """A placeholder for a function that is not set yet: see `Downstream.call`."""


_OF_SERVERS: Final = (ReplyQuestion, LoginQuestion)
"""The questions that are not about the client's last input."""
_WATCHED: Final = frozenset((Kind.END_OF_DATA, Kind.CHUNK, Kind.LAST_CHUNK, Kind.HELLO, Kind.STARTTLS))
"""The kinds of lines whose replies change what is known, or are reported."""
_CHUNKS: Final = frozenset((Kind.CHUNK, Kind.LAST_CHUNK))
_ENVELOPE: Final = frozenset((b"MAIL", b"RCPT", b"DATA"))
"""The commands whose refusal is reported (`CommandRefused`)."""
_LOST_REPLIES: Final = {Kind.END_OF_DATA: own_replies.LOST_MESSAGE, Kind.QUIT: own_replies.BYE}
"""Kind of the oldest line → the reply if the server closed the connection without 421; for other kinds it is
421."""
