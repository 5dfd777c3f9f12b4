"""Peers for tests without a network: a server and a client; `converse` puts a `Proxy` between them.

Both keep to the protocol. The server raises `AssertionError` if the proxy breaks it; the client notes the
replies to each message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final, NoReturn, Protocol, TypeAlias

import attrs

from sansio_smtp.config import Config, Dialect
from sansio_smtp.ends.access import ANYBODY, Access
from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.received import ChunkEnded, ContentReceived, ContentRefused, Pause, Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.states import Phase
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.content import Form, unstuff
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

__all__ = ["Accepted", "FakeClient", "FakeServer", "Message", "Outcome", "Peer"]

_OK: Final = Reply.of(250, "ok", enhanced="2.0.0")
_GO_AHEAD: Final = Reply.of(354, "go ahead")
_BYE: Final = Reply.of(221, "bye", enhanced="2.0.0")
_UNKNOWN: Final = Reply.of(502, "unknown command", enhanced="5.5.1")
_NO_MAIL: Final = Reply.of(503, "MAIL first", enhanced="5.5.1")
_NO_RECIPIENT: Final = Reply.of(554, "no valid recipients", enhanced="5.5.1")
_BEGIN_TLS: Final = Reply.of(220, "begin TLS", enhanced="2.0.0")

_CHUNKS: Final = (Kind.CHUNK, Kind.LAST_CHUNK)
_GROUPED: Final = (Kind.GROUP, Kind.END_OF_DATA, Kind.DROPPED_CHUNK, *_CHUNKS)
"""The kinds after which a client that pipelines may send the next line without waiting."""
_BEGIN_ANEW: Final = (b"STARTTLS", b"XCLIENT")

Judge: TypeAlias = Callable[[Command], Reply | None]
"""The reply to a command, or None for what an ordinary server says."""


class Peer(Protocol):
    """One end of a connection: takes octets and gives octets."""

    def receive(self, data: bytes) -> None: ...

    def take(self) -> bytes:
        """The octets that it sends now; empty if it waits, or has closed."""
        ...

    def tls_started(self) -> None:
        """The TLS handshake is complete."""

    def closed_by_peer(self) -> None: ...


@attrs.frozen
class Accepted:
    """A message that the fake server answered with 2xx, decoded."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@attrs.define(eq=False)
class FakeServer:
    """A server with one policy per step. It raises `AssertionError` if the client does not wait for a reply:
    if octets follow a command that is not answered yet, unless ``keywords`` offers PIPELINING and
    RFC 2920 §3.1 allows it there.
    """

    keywords: Collection[str] = ("PIPELINING", "8BITMIME")
    greeting: Reply = attrs.field(factory=lambda: Reply.of(220, "mx.example ESMTP"))
    judge: Judge = lambda _: None
    """Called with each command. If it returns a reply, the server sends that instead of its own."""
    judge_message: Callable[[Accepted], Reply] = lambda _: _OK
    early: Callable[[int], Reply | None] = lambda _: None
    """Called with the octets received so far, in the middle of mail data; its reply ends the dialogue."""
    dialect: Dialect = Dialect.SMTP
    """LMTP: ``judge_message`` is called for each recipient by itself, as if the message were for that one."""
    access: Access = ANYBODY
    """What it offers besides ``keywords``, such as STARTTLS, XCLIENT and XFORWARD: see `access_of`."""
    access_under_tls: Access = ANYBODY
    """The same after STARTTLS."""

    accepted: list[Accepted] = attrs.field(factory=list[Accepted], init=False)
    commands: list[bytes] = attrs.field(factory=list[bytes], init=False)
    """The lines of the client, without CRLF."""
    aborted: bool = attrs.field(default=False, init=False)
    """True if the client went away in the middle of mail data."""
    _end: ServerConnection = attrs.field(init=False)
    _outbox: bytearray = attrs.field(factory=bytearray, init=False)
    _pending: deque[Command] = attrs.field(factory=deque[Command], init=False)
    _content: bytearray = attrs.field(factory=bytearray, init=False)
    _refusal: Reply | None = attrs.field(default=None, init=False)  # of the chunk that arrives
    _offered: bool = attrs.field(default=False, init=False)
    _received: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._end = ServerConnection(Config(client_dialect=self.dialect))
        self._end.allow(self.access)
        self._send(self.greeting)

    def receive(self, data: bytes) -> None:
        self._end.receive_data(data)
        self._complain_of_haste()
        while not isinstance(event := self._end.next_event(), Pause):
            if isinstance(event, RemoteProtocolError):
                _complain(f"octets come before the TLS handshake: {event}")
            if isinstance(event, Refused | ContentRefused):
                _complain(f"the fake server cannot read this: {event.error}")
            if isinstance(event, Command):
                self._command(event)
            elif isinstance(event, ContentReceived):
                plain = event.form is Form.PLAIN
                self._content += event.data if plain else unstuff(event.data, event.at_line_start)
                self._received += len(event.data)
                if reply := self.early(self._received):
                    self._send(reply)
            elif isinstance(event, ChunkEnded):
                self._chunk_ended(event.exchange.command)
            else:
                self._message()
            self._complain_of_haste()

    def take(self) -> bytes:
        """The replies that are due. The commands count as unanswered until their replies are taken."""
        data = bytes(self._outbox)
        self._outbox.clear()
        self._pending.clear()
        return data

    def tls_started(self) -> None:
        self._end.tls_started()
        self._end.allow(self.access_under_tls)

    def closed_by_peer(self) -> None:
        self.aborted = self._end.phase is Phase.CONTENT

    def _send(self, reply: Reply) -> None:
        self._outbox += self._end.pass_reply(reply)  # a test may want a server that is wrong

    def _complain_of_haste(self) -> None:
        if self._pending and self._end.buffered:
            last = self._pending[-1]
            if not self._offered or last.kind not in _GROUPED:
                _complain(f"octets come before the reply to {last}")

    def _command(self, command: Command) -> None:
        self.commands.append(command.raw)
        if command.kind in _CHUNKS:
            self._chunk(command)
            return
        self._pending.append(command)
        reply = self.judge(command) or self._reply(command)
        if command.kind is Kind.HELLO and reply.severity == 2:
            self._offered = command.verb != b"HELO" and "PIPELINING" in self.keywords
        self._send(reply)

    def _chunk(self, command: Command) -> None:
        """BDAT is answered when its octets have come (RFC 3030 §2)."""
        recipients = self._end.envelope.recipients
        self._refusal = self.judge(command) or (None if recipients else _NO_RECIPIENT)
        if self._refusal is not None:
            self._end.drop_chunk(stray=not recipients)

    def _chunk_ended(self, command: Command) -> None:
        self._pending.append(command)
        reply, self._refusal = self._refusal or _OK, None
        if reply.code >= 400:
            self._content.clear()
        self._send(reply)

    def _reply(self, command: Command) -> Reply:
        envelope = self._end.envelope
        if command.verb in (b"EHLO", b"LHLO"):
            return Reply.of(250, "mx.example", *self.keywords, *self._end.access.own.values())
        if command.kind is Kind.STARTTLS:
            return _BEGIN_TLS
        if command.kind is Kind.IDENTITY:
            return self.greeting if command.verb == b"XCLIENT" else _OK
        if command.verb == b"RCPT" and envelope.mail is None:
            return _NO_MAIL
        if command.verb == b"DATA":
            return _GO_AHEAD if envelope.recipients else _NO_RECIPIENT
        if command.verb == b"QUIT":
            return _BYE
        return _OK if command.verb in (b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP") else _UNKNOWN

    def _message(self) -> None:
        envelope = self._end.envelope
        sender = envelope.reverse_path
        recipients = tuple(path.address for path in envelope.forward_paths)
        by_recipient = self.dialect is Dialect.LMTP
        self._pending.append(END_OF_DATA)
        for group in ((one,) for one in recipients) if by_recipient else (recipients,):
            message = Accepted(sender.address if sender else "", group, bytes(self._content))
            reply = self.judge_message(message)
            if reply.severity == 2:
                self.accepted.append(message)
            self._send(reply)
        self._content.clear()
        self._received = 0


@attrs.frozen
class Message:
    """A message for the fake client to send; ``content`` is decoded. ``parameters`` are those of MAIL."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    parameters: str = ""


@attrs.frozen
class _Chunk:
    octets: bytes
    last: bool


@attrs.define
class Outcome:
    """The replies to the commands of one message. ``data`` is the reply to DATA, or that to a chunk that was
    refused."""

    mail: Reply | None = None
    recipients: list[Reply] = attrs.field(factory=list[Reply])
    data: Reply | None = None
    final: Reply | None = None
    """The reply to end-of-data; to a client of LMTP the last one."""
    finals: list[Reply] = attrs.field(factory=list[Reply])
    """All replies to end-of-data."""

    def answered(self, command: Command, reply: Reply) -> None:
        """Notes the reply, if the command is one of the message."""
        if command.verb == b"MAIL":
            self.mail = reply
        elif command.verb == b"RCPT":
            self.recipients.append(reply)
        elif command.verb == b"DATA" or (command.kind is Kind.CHUNK and reply.code >= 400):
            self.data = reply
        elif command.kind is Kind.END_OF_DATA:
            self.final = reply
            self.finals.append(reply)


@attrs.define(eq=False)
class FakeClient:
    """Sends messages, then QUIT. It waits for each reply, or sends groups if the server offers PIPELINING."""

    messages: Iterable[Message]
    pipelined: bool = False
    hello: str = "EHLO me.example"
    """If it begins with LHLO, the client speaks LMTP."""
    lines: Iterable[str] = ()
    """Commands that it sends after EHLO or HELO, such as AUTH with its response. After STARTTLS and XCLIENT
    it says EHLO again before the next."""

    chunk_size: int | None = None
    """Number of octets in each chunk, if the server offers CHUNKING; None: the messages go after DATA."""

    outcomes: list[Outcome] = attrs.field(factory=list[Outcome], init=False)
    """One for each message that was begun."""
    replies: list[Reply] = attrs.field(factory=list[Reply], init=False)
    """All replies, the greeting first."""
    finished: bool = attrs.field(default=False, init=False)
    """True if the server has answered QUIT."""
    gone: bool = attrs.field(default=False, init=False)
    _end: ClientConnection = attrs.field(init=False)
    _left: deque[Message] = attrs.field(init=False)
    _unsent: deque[Command | _Chunk] = attrs.field(factory=deque["Command | _Chunk"], init=False)
    _current: Message | None = attrs.field(default=None, init=False)
    _lines: deque[str] = attrs.field(init=False)
    _greeted: bool = attrs.field(default=False, init=False)
    _outbox: bytearray = attrs.field(factory=bytearray, init=False)

    def __attrs_post_init__(self) -> None:
        dialect = Dialect.LMTP if self.hello.startswith("LHLO") else Dialect.SMTP
        self._end = ClientConnection(Config(upstream_dialect=dialect))
        self._left = deque(self.messages)
        self._lines = deque(self.lines)

    def receive(self, data: bytes) -> None:
        self._end.receive_data(data)
        while not isinstance(event := self._end.next_event(), Pause):
            if isinstance(event, RemoteProtocolError):
                _complain(f"the fake client cannot read this: {event}")
            self._replied(event)
        self._go_on()

    def take(self) -> bytes:
        data = bytes(self._outbox)
        self._outbox.clear()
        return data

    def tls_started(self) -> None:
        self._end.tls_started()
        self._say_hello()
        self._go_on()

    def closed_by_peer(self) -> None:
        self.gone = True

    def _replied(self, event: ReplyReceived) -> None:
        reply, command = event.reply, event.command
        self.replies.append(reply)
        if command is None:
            if not event.unsolicited:
                self._say_hello()
            return
        if self.outcomes:
            self.outcomes[-1].answered(command, reply)
        if command.verb == b"DATA" and reply.severity == 3:
            self._send_content()
        elif command.kind is Kind.CHUNK and reply.code >= 400:
            self._give_up()
        elif command.kind is Kind.HELLO:
            self._greeted = True
            self._say_lines()
        elif command.verb in _BEGIN_ANEW and reply.severity == 2:
            if command.verb == b"XCLIENT":
                self._say_hello()
        elif command.verb in _BEGIN_ANEW:
            self._say_lines()
        elif command.kind is Kind.QUIT:
            self.finished = True

    def _say_hello(self) -> None:
        self._greeted = False
        self._queue(self.hello)

    def _say_lines(self) -> None:
        """Queues its lines up to one after which the session begins anew."""
        while self._lines:
            line = self._lines.popleft()
            self._queue(line)
            if Command.of(line).verb in _BEGIN_ANEW:
                break

    def _go_on(self) -> None:
        """Sends what may be sent now. When a message is answered, begins the next one or sends QUIT."""
        end = self._end
        if end.phase is Phase.COMMAND and self._greeted and not self._unsent and not end.unanswered:
            self._begin()
        while self._unsent and (end.may_send() if self.pipelined else self._lock_step()):
            unsent = self._unsent.popleft()
            if isinstance(unsent, Command):
                self._outbox += end.send_command(unsent)
            else:
                line, _ = end.send_chunk(unsent.octets, last=unsent.last)
                self._outbox += line + unsent.octets

    def _lock_step(self) -> bool:
        return self._end.phase is Phase.COMMAND and not self._end.unanswered

    def _begin(self) -> None:
        if self.finished:
            return
        if self._left:
            self._current = message = self._left.popleft()
            self.outcomes.append(Outcome())
            self._queue(f"MAIL FROM:<{message.sender}> {message.parameters}".rstrip())
            for recipient in message.recipients:
                self._queue(f"RCPT TO:<{recipient}>")
            if self.chunk_size is not None and self._end.takes_chunks:
                self._queue_chunks(message.content, self.chunk_size)
            else:
                self._queue("DATA")
        else:
            self._queue("QUIT")

    def _queue(self, line: str) -> None:
        self._unsent.append(Command.of(line))

    def _queue_chunks(self, content: bytes, size: int) -> None:
        for at in range(0, max(1, len(content)), size):
            self._unsent.append(_Chunk(content[at : at + size], at + size >= len(content)))

    def _give_up(self) -> None:
        """A chunk was refused: the message is over (RFC 3030 §2)."""
        unsent = [each for each in self._unsent if not isinstance(each, _Chunk)]
        if len(unsent) < len(self._unsent):
            self._unsent = deque(unsent)
            self._queue("RSET")

    def _send_content(self) -> None:
        assert self._current is not None
        self._outbox += self._end.send_message(self._current.content)


def _complain(what: str) -> NoReturn:
    raise AssertionError(what)
