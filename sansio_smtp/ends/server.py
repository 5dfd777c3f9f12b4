"""The server's end of an SMTP dialogue: it faces a client. `ClientConnection` is the other end.

An end cuts octets into commands, content and replies, keeps the phase, and finds what breaks the protocol. It
makes no decision about mail. Each end can be used alone. Both are pull parsers::

    end.receive_data(octets)
    while not isinstance(event := end.next_event(), Pause): ...

The phase alone says what the next octets are. `ServerConnection.READERS` has a reader for each phase in which
the client is read::

    GREETING ──2xx──> COMMAND <───────── final reply ────────── BLOCKED
                      │ ^  ^ │                                   ^ │ │ ^
                      │ │  │ └── DATA, AUTH, EHLO, HELO, QUIT ───┘ │ │ │
               BDAT n │ │  │                                       │ │ │
                      v │  └── end-of-data ── CONTENT <─ 354 DATA ─┘ │ │
                   CHUNK  n octets, whatever the reply               │ │
                      TLS <── 2xx to STARTTLS ── BLOCKED     AUTH_LINE <─ 3xx ───┘ │
                       └─ handshake ─> COMMAND                  └──── a line ─────┘

    from every phase:  421, 2xx to QUIT ──> MUST_CLOSE ──> CLOSED

What must never happen is that mail data is read as commands, or commands as mail data. So a line whose reply
decides what the next octets are blocks the reader until that reply has been *sent*: content begins when 354
has been sent, not when DATA has been read. Octets that the client sent too early, for which both readings are
possible, end the session. And the octets that BDAT counts are never read as commands, whether it is accepted,
refused or was never offered: the chunks of a message are read one after the other by one `ChunkReader`, and
`drop_chunk` says that they belong to no message. The reply to BDAT may be sent when all its octets have come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Never

import attrs

from sansio_smtp.arguments import Octets, check_number, check_type, octets
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.members import (
    DIALECT_LMTP,
    KIND_AUTH,
    KIND_AUTH_LINE,
    KIND_CHUNK,
    KIND_DATA,
    KIND_DROPPED_CHUNK,
    KIND_LAST_CHUNK,
    PHASE_AUTH_LINE,
    PHASE_CHUNK,
    PHASE_CLOSED,
    PHASE_COMMAND,
    PHASE_CONTENT,
    PHASE_GREETING,
    PHASE_TLS,
)
from sansio_smtp.states import FRAMING, LINE_STEPS, REPLY_CODES, REPLY_STEPS, Phase, Step
from sansio_smtp.wire.chunk_reader import ChunkReader
from sansio_smtp.wire.commands import END_OF_CHUNKS, END_OF_DATA, Command, chunk_size
from sansio_smtp.wire.content import ContentReader, Form
from sansio_smtp.wire.inbox import Inbox
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from .access import ANYBODY, Access, access_of
from .exchanges import Exchange
from .line_reader import LineReader
from .objections import (
    after_end,
    cannot_accept,
    cannot_reply,
    no_chunk_to_drop,
    no_handshake,
    not_one_reply,
    wrong_code,
)
from .received import (
    END_OF_INPUT,
    NEED_DATA,
    PAUSED,
    ChunkEnded,
    ClientEvent,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Refused,
    Unfinished,
)
from .transaction import Envelope, Transaction

__all__ = ["ServerConnection"]


_PLAIN: Final = Form.PLAIN
_INJECTED: Final = "octets after STARTTLS, before the TLS handshake"
_CHUNKS: Final = (KIND_CHUNK, KIND_LAST_CHUNK, KIND_DROPPED_CHUNK)
_IN_PLAIN_TEXT: Final = ClientInfo()
_ENCRYPTED: Final = ClientInfo(tls=TlsInfo(version="TLS"))


@attrs.define(eq=False, repr=False)
class ServerConnection:
    r"""The server's end of a dialogue: octets of a client in, commands and messages out.

    The first reply is the greeting. Then give what you read to `receive_data`, take events until one is a
    `Pause`, and write the octets that `send_reply` returns:

    >>> from sansio_smtp import Config, Pause, Reply, ServerConnection
    >>> server = ServerConnection(Config(tls="may", max_message_size=1_000_000))
    >>> server.send_reply("220 mx.example ESMTP")
    b'220 mx.example ESMTP\r\n'
    >>> server.receive_data(b"EHLO me.example\r\n")
    >>> while not isinstance(event := server.next_event(), Pause):
    ...     print(event.verb)
    ...     octets = server.send_reply(Reply.of(250, "mx.example", *server.offers))
    b'EHLO'
    >>> event, server.phase
    (NEED_DATA, <Phase.COMMAND: 'command'>)

    The events are those of ``ClientEvent``:

    - `Command`: send a reply. `Command.verb` is bytes, such as ``b"MAIL"``; `Command.mailbox` is what MAIL or
      RCPT names.
    - `ContentReceived`: a piece of the message; `ContentReceived.decoded` are its octets.
    - `EndOfData`: the message is complete; send a reply.
    - `ContentRefused`: the message must not be taken; send its reply at `EndOfData`.
    - `Refused`: a line that is not allowed, or no command; send its reply.
    - `ChunkEnded`: the octets of a BDAT have come; send the reply to it.
    - `RemoteProtocolError`: close the connection.

    `phase` says how the next octets are read (`Phase`). After a command whose reply decides that, such as
    DATA, the end pauses (`Pause.PAUSED`) until the reply is sent. After 354 to DATA the message comes, after
    220 to STARTTLS the TLS handshake: when it is complete, call `tls_started`. After the reply to QUIT and
    after 421 the phase is MUST_CLOSE: close the connection.

    AUTH is a `Command` too. Answer it with 235 or 535; or with 334 and a challenge in base64: then the next
    event is the client's answer, a `Command` of kind `Kind.AUTH_LINE`, whose ``raw`` is base64, or ``*`` to
    give up. No repr shows it. Offer AUTH in the reply to EHLO while `takes_logins`. By default a client may
    log in without TLS; with ``Config(tls="may", auth_without_tls=False)`` the end refuses AUTH before TLS.
    """

    config: Config = attrs.field(factory=Config)
    max_message_size: int | None = None
    """Limit in decoded octets, applied to messages that begin from now on; None is no limit. The argument
    counts, not `Config.max_message_size`; if the argument is left out or None, the setting counts."""

    access: Access = attrs.field(default=ANYBODY, init=False)
    """What the client may do now: as `Config.tls` and `Config.auth_without_tls` say, unless `allow` was
    called."""
    phase: Phase = attrs.field(default=Phase.GREETING, init=False)
    eof: bool = attrs.field(default=False, init=False)
    """True if the client will send no more."""
    exchanges: list[Exchange] = attrs.field(factory=list[Exchange], init=False)
    """The lines and messages that are owed a reply, oldest first. Read only. A list, since it is short, and
    an empty deque takes 760 octets."""
    _inbox: Inbox = attrs.field(factory=Inbox, init=False)
    _lines: LineReader = attrs.field(init=False)
    content: ContentReader | None = attrs.field(default=None, init=False)
    """Reads the message that the client is sending; None if it sends none."""
    _content_refused: bool = attrs.field(default=False, init=False)
    in_chunks: bool = attrs.field(default=False, init=False)
    """True from the first BDAT of a message to the end of its last chunk, or until `drop_chunk`."""
    arriving: Exchange | None = attrs.field(default=None, init=False)
    """The BDAT whose octets have not all come; None if there is none."""
    _chunks: ChunkReader | None = attrs.field(default=None, init=False)  # made for a message's first octets
    _chunk_left: int = attrs.field(default=0, init=False)
    transaction: Transaction = attrs.field(factory=Transaction, init=False)
    """The mail transaction as the client was told it stands."""

    def __attrs_post_init__(self) -> None:
        check_type(self.config, Config, "ServerConnection takes a Config", 'such as Config(tls="may")')
        if self.max_message_size is None:
            self.max_message_size = self.config.max_message_size
        else:
            check_number("max_message_size", self.max_message_size)
        self.access = access_of(self.config, _IN_PLAIN_TEXT)
        self._lines = LineReader(self.config)

    def __repr__(self) -> str:
        return f"<ServerConnection in phase {self.phase.name}>"

    @property
    def offers(self) -> tuple[str, ...]:
        """The lines for the reply to EHLO that say what this end takes from the client now:
        ``Reply.of(250, "mx.example", *server.offers)``. They are PIPELINING, 8BITMIME, SIZE if there is a
        limit, and STARTTLS if `Config.tls` allows it. AUTH is yours to offer."""
        size = () if self.max_message_size is None else (f"SIZE {self.max_message_size}",)
        own = (line.decode() for line in self.access.own.values() if line)
        return ("PIPELINING", "8BITMIME", *size, *own)

    @property
    def takes_logins(self) -> bool:
        """True if AUTH is not refused now: see `Config.auth_without_tls`, which is True by default. Offer it
        only then."""
        return self.access.no_login is None

    @property
    def envelope(self) -> Envelope:
        """The accepted commands of the mail transaction, as the client was told it stands."""
        return self.transaction.envelope

    @property
    def in_transaction(self) -> bool:
        """True if MAIL was accepted and the transaction has not ended."""
        return self.transaction.open

    @property
    def buffered(self) -> int:
        """Number of octets that are kept: not parsed yet, or held back at the end of a piece of content."""
        reader = self.content or self._chunks
        return len(self._inbox) + (reader.held if reader else 0)

    @property
    def received(self) -> int | None:
        """Decoded octets of the message that is being sent; None if it is refused here."""
        reader = self.content or self._chunks
        if reader is None:
            return 0
        return None if reader.error is not None else reader.size

    @property
    def unfinished(self) -> Unfinished | None:
        """What has come of the message that is being sent; None if no message is."""
        content = self.content
        if content is not None:
            return Unfinished(content.size + content.held, content.bare_lf, content.lf_dot)
        if self.phase is not PHASE_CHUNK:
            return None
        chunks = self._chunks
        return Unfinished(0 if chunks is None else chunks.size + chunks.held, in_chunks=True)

    @property
    def pending(self) -> bool:
        """True if `next_event` may return an event before more octets arrive."""
        if self.eof or not self._inbox.empty:
            return True
        content = self.content
        if content is not None:
            return content.finished or content.error is not None
        return self.phase is PHASE_CHUNK and (self._chunk_left == 0 or self._chunk_refused)

    @property
    def at_rest(self) -> bool:
        """True if no octet waits to be parsed; at most three may be held back at the end of a piece of
        content."""
        return self._inbox.empty

    @property
    def reads_commands(self) -> bool:
        """True if the next octet begins a command line, nothing has arrived before it, and each forwarded
        verb but AUTH is taken as it is: nothing is in doubt, and this client may send all of them."""
        return (
            self.phase is PHASE_COMMAND
            and not self.in_chunks
            and self._lines.doubt is None
            and self._inbox.empty
            and not self.eof
            and self.access.tls_first is None
        )

    @property
    def unanswered(self) -> int:
        """Number of lines and messages that are owed a reply."""
        return len(self.exchanges)

    @property
    def newest(self) -> Exchange:
        """The exchange of the line or message that `next_event` returned last, which has not been answered
        yet."""
        return self.exchanges[-1]

    def limit_message(self, size: int | None) -> None:
        """Sets `max_message_size` for messages that begin from now on; None: they have no limit."""
        if size is not None:
            check_number("max_message_size", size)
        self.max_message_size = size

    def allow(self, access: Access) -> None:
        """Sets what the client may do from now on: see `access_of`."""
        check_type(access, Access, "allow takes an Access", "access_of makes one of a Config")
        self.access = access

    def tls_started(self) -> None:
        """The TLS handshake after STARTTLS is complete: commands are read again, and STARTTLS is refused.
        Raises `LocalProtocolError` if none was due."""
        if self.phase is not PHASE_TLS:
            raise no_handshake(self.phase)
        if not self._inbox.empty:
            raise LocalProtocolError("octets came before the TLS handshake; call next_event until it pauses")
        self._step(Step.TLS_STARTED)
        self._lines.begin_anew()
        self.access = access_of(self.config, _ENCRYPTED)

    def injected(self) -> RemoteProtocolError | None:
        """The violation of a client that did not wait for the reply to STARTTLS; None if it did. What it has
        sent came in plain text, and must never be read as if it had come under TLS."""
        if self._inbox.empty:
            return None
        shown = Command.parse(self._inbox.head()[:64]).shown
        error = RemoteProtocolError(
            _INJECTED, Reply.of(503, f"{_INJECTED}; closing", enhanced="5.5.1"), shown
        )
        error.found_in(self.phase)
        return error

    def receive_data(self, data: Octets) -> None:
        """Takes octets as they came, cut anywhere. No octets, ``b""``, are the end of input, as a socket
        gives it: the same as `receive_eof`. After it, `LocalProtocolError` is raised for more octets."""
        if not isinstance(data, bytes):
            data = octets(data, "receive_data")
        if not data:
            self.receive_eof()
        elif self.phase is not PHASE_CLOSED:
            if self.eof:
                raise after_end()
            self._inbox.feed(data)

    def take_line(self, command: Command) -> Exchange:
        """Takes a command line that the caller has read itself, while `reads_commands`. A reply is owed."""
        self.phase = FRAMING[self.phase][LINE_STEPS[command.kind]]  # as `_step` does
        exchange = Exchange(command)
        self.exchanges.append(exchange)
        return exchange

    def take_end_of_data(self) -> Exchange:
        """Takes the end-of-data that `content` has found. A reply is owed."""
        self.content = None
        exchange = self.take_line(END_OF_DATA)
        if self.config.client_dialect is DIALECT_LMTP:
            exchange.owe(len(self.transaction.envelope.recipients))
        return exchange

    def drop_chunk(self, *, stray: bool = False) -> None:
        """The message whose chunks are arriving is over: octets that are still to come are dropped. The next
        BDAT begins another message. ``stray``: the BDAT that came last belongs to no message, so that its
        refusal does not end the transaction, and may be sent at once. A server that does not offer CHUNKING
        calls it so for each BDAT. Raises `LocalProtocolError` if the command that came last is no BDAT or has
        been answered."""
        if stray:
            exchange = self.exchanges[-1] if self.exchanges else None
            if exchange is None or exchange.command.kind not in _CHUNKS:
                raise no_chunk_to_drop(None if exchange is None else exchange.command)
            exchange.becomes(exchange.command.as_dropped())
        self.in_chunks = False
        self._chunks = None

    def receive_eof(self) -> None:
        """The client will send no more. `next_event` returns `END_OF_INPUT` after the last event."""
        self.eof = True

    def next_event(self) -> ClientEvent:
        """The next command or piece of content; or a `Pause`, the reason why there is none."""
        reader = self.READERS.get(self.phase)
        return PAUSED if reader is None else reader(self)

    def send_reply(self, reply: Reply | str | bytes, *more: Never, last: bool = False) -> bytes:
        """The octets of the reply to the oldest line that has none yet. The first reply is the greeting. Text
        is a reply of one line without its CRLF, such as ``"250 2.0.0 ok"``; `Reply.of` takes a code
        and lines.

        421 may be sent at any time and ends the dialogue. So does 4xx or 5xx in the middle of mail data, and
        any reply with ``last``. Raises `LocalProtocolError` for

        - a reply that no line asked for, and one to a BDAT whose octets have not all come, unless it is
          dropped;
        - one that would leave it unknown what the next octets are, such as 3xx to MAIL;
        - 2xx or 3xx to what this end has refused: the line of `Refused`, the message of `ContentRefused`;
        - a code that is none for the command, such as 250 to DATA or AUTH: see ``states.REPLY_CODES``;
        - a `Reply` whose octets are not one reply with its code: see `Reply.check`.
        """
        if more:
            raise not_one_reply()
        if isinstance(reply, Reply):
            reply.check()
        else:
            reply = Reply.parse(reply)
        if reply.code < 400 and self.exchanges:
            exchange = self.exchanges[0]
            command = exchange.command
            if exchange.refused:
                raise cannot_accept(reply, command)
            codes = REPLY_CODES.get((command.kind, reply.code // 100))
            if codes is not None and reply.code not in codes:
                raise wrong_code(reply, command)
        return self.pass_reply(reply, last=last)

    def pass_reply(self, reply: Reply, *, last: bool = False) -> bytes:
        """As `send_reply`, for a reply that another server has made: only its first digit counts, and it may
        accept what this end has refused."""
        digit = 421 if reply.code == 421 else reply.code // 100
        if self.phase is PHASE_GREETING:
            if (greeting := REPLY_STEPS.get((None, digit))) is None:
                raise cannot_reply(reply, self.phase, None)
            self._step(greeting)
        elif not self.exchanges:
            may_end = reply.code == 421 or (self.phase is PHASE_CONTENT and reply.code >= 400)
            if not may_end or Step.GOODBYE not in FRAMING[self.phase]:
                raise cannot_reply(reply, self.phase, None)
            self._step(Step.GOODBYE)
        else:
            exchange = self.exchanges[0]
            command = exchange.command
            step = Step.GOODBYE if last else REPLY_STEPS.get((command.kind, digit))
            after = FRAMING[self.phase].get(step) if step else None
            if after is None:
                raise cannot_reply(reply, self.phase, command)
            if (
                exchange is self.arriving
                and step is not Step.GOODBYE
                and command.kind is not KIND_DROPPED_CHUNK
            ):
                raise LocalProtocolError(
                    f"the octets of {command} have not all come: send {reply} after ChunkEnded or EndOfData"
                )
            self.phase = after
            if exchange.owes == 1:
                del self.exchanges[0]
                self.transaction.answered(command, reply)
            else:
                exchange.go_on()
            if exchange.replacement is not None and command.verb == b"RCPT":
                self.transaction.envelope.went_as(command, exchange.replacement)
            if command.kind is KIND_DATA:
                if after is PHASE_CONTENT:
                    config = self.config
                    self._content_refused = False
                    self.content = ContentReader(config.bare_newline, config.nul, self.max_message_size)
                else:
                    self._lines.data_refused(early=not self._inbox.empty)
            elif command.kind is KIND_AUTH or command.kind is KIND_AUTH_LINE:
                ours = exchange.refused or b"AUTH" in self.access.own
                self._lines.login_answered(reply, ours=ours)
        return reply.raw

    def close(self) -> None:
        """The connection is closed: forgets what was not parsed, and the replies that are owed."""
        self.exchanges.clear()
        self._inbox = Inbox()
        self.content = self._chunks = self.arriving = None
        self.in_chunks = False
        if self.phase is not PHASE_CLOSED:
            self._step(Step.CLOSE)

    def _step(self, step: Step) -> None:
        """Moves the phase by its table. `take_line` and `pass_reply` do the same, as they run for each
        input."""
        self.phase = FRAMING[self.phase][step]

    # Readers

    def _next_line(self) -> ClientEvent:
        in_login = self.phase is PHASE_AUTH_LINE
        line = self._lines.next_line(self._inbox, self.access, in_login=in_login)
        if line is None:
            return END_OF_INPUT if self.eof else NEED_DATA
        if isinstance(line, Refused):
            return self._refused(line)
        exchange = self.take_line(line)
        if line.kind is KIND_CHUNK or line.kind is KIND_LAST_CHUNK:
            self._begin_chunk(exchange)
            self.in_chunks = True
        return line

    def _refused(self, line: Refused) -> Refused:
        line.error.found_in(self.phase)
        exchange = self.take_line(line.command)
        exchange.refuse()
        if line.command.kind is KIND_DROPPED_CHUNK:
            self._begin_chunk(exchange)
            self.drop_chunk()
        return line

    def _begin_chunk(self, exchange: Exchange) -> None:
        self.arriving = exchange
        self._chunk_left = chunk_size(exchange.command) or 0

    def _early_octets(self) -> ClientEvent:
        error = self.injected()
        if error is None:
            return END_OF_INPUT if self.eof else PAUSED
        self._step(Step.GOODBYE)
        return error

    def _next_content(self) -> ClientEvent:
        reader = self.content
        assert reader is not None  # set when the phase became CONTENT
        if reader.error is not None and not self._content_refused:
            self._content_refused = True
            reader.error.found_in(self.phase)
            return ContentRefused(reader.error)
        if reader.finished:
            return self._end_of_data(reader)
        if self._inbox.empty:
            return END_OF_INPUT if self.eof else NEED_DATA
        piece = reader.feed(self._inbox.take())
        self._inbox.feed(reader.rest)
        return ContentReceived(piece, reader.at_line_start) if piece else self._next_content()

    def _end_of_data(self, reader: ContentReader) -> EndOfData:
        exchange = self.take_end_of_data()
        if reader.error is not None:
            exchange.refuse()
        return EndOfData(reader.size, reader.bare_lf)

    @property
    def _chunk_refused(self) -> bool:
        return self._chunks is not None and self._chunks.error is not None

    def _next_chunk(self) -> ClientEvent:
        """The next octets of a chunk."""
        if self.in_chunks and self._chunks is None:
            binary = (self.envelope.declared("BODY") or "").upper() == "BINARYMIME"
            config = self.config
            self._chunks = ChunkReader(config.bare_newline, config.nul, self.max_message_size, binary)
        reader = self._chunks
        if reader is not None and reader.error is not None:
            return self._refuse_chunks(reader.error)
        if self._chunk_left:
            if self._inbox.empty:
                return END_OF_INPUT if self.eof else NEED_DATA
            octets = self._inbox.take(self._chunk_left)
            self._chunk_left -= len(octets)
            piece = reader.feed(octets) if reader is not None else b""
            return self._passed(reader, piece) if piece else self._next_chunk()
        exchange = self.arriving
        assert exchange is not None  # set when the phase became CHUNK
        if reader is not None and exchange.command.kind is KIND_LAST_CHUNK:
            if tail := reader.finish():
                return self._passed(reader, tail)
            if reader.error is not None:
                return self._refuse_chunks(reader.error)
        self._step(Step.CHUNK_END)
        self.arriving = None
        if reader is None or exchange.command.kind is not KIND_LAST_CHUNK:
            # A chunk that was dropped may have been answered before.
            return ChunkEnded(exchange) if exchange in self.exchanges else self.next_event()
        exchange.becomes(END_OF_CHUNKS)
        self.drop_chunk()
        return EndOfData(reader.size, reader.bare_lf)

    def _passed(self, reader: ChunkReader | None, piece: bytes) -> ContentReceived:
        return ContentReceived(piece, reader is None or reader.at_line_start, _PLAIN)

    def _refuse_chunks(self, error: RemoteProtocolError) -> ContentRefused:
        error.found_in(self.phase)
        assert self.arriving is not None  # its octets are read
        self.arriving.refuse()
        self.drop_chunk()
        return ContentRefused(error)

    READERS: ClassVar[dict[Phase, Callable[[ServerConnection], ClientEvent]]] = {
        Phase.COMMAND: _next_line,
        Phase.AUTH_LINE: _next_line,
        Phase.CONTENT: _next_content,
        Phase.CHUNK: _next_chunk,
        Phase.TLS: _early_octets,
    }
    """phase → the method that reads the next octets. In every other phase nothing is parsed."""
