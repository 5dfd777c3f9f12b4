"""The server's end of an SMTP dialogue: it faces a client. `ClientConnection` is the other end.

Ends frame, they do not judge: they cut octets into commands, content and replies, keep the phase, and
say what breaks the protocol. Each is usable by itself. Both are pull parsers::

    end.receive_data(octets)
    while not isinstance(event := end.next_event(), Pause): ...
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from sansio_smtp.config import BareNewline, Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import FRAMING, LINE_STEPS, Phase, Step, reply_step
from sansio_smtp.wire.commands import (
    END_OF_DATA,
    HTTP_VERBS,
    REFUSED_VERBS,
    VERB_KINDS,
    Command,
    Kind,
    auth_line,
    chunk_size,
)
from sansio_smtp.wire.content import ContentReader
from sansio_smtp.wire.inbox import Inbox
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

from .transaction import Envelope, Transaction

__all__ = [
    "ContentReceived",
    "ContentRefused",
    "EndOfData",
    "Pause",
    "Refused",
    "ServerConnection",
]


class Pause(Enum):
    """Why `next_event` has nothing to give."""

    NEED_DATA = "more octets are needed"
    PAUSED = "a reply must be sent first"
    END_OF_INPUT = "the peer has sent its last octet"


NEED_DATA: Final = Pause.NEED_DATA
PAUSED: Final = Pause.PAUSED
END_OF_INPUT: Final = Pause.END_OF_INPUT

_EARLY: Final = "mail data sent without waiting for 354"


@attrs.define(eq=False)
class Refused:
    """A line that must not be forwarded; ``error.reply_hint`` is still to be sent, in its turn.

    If ``command.kind`` is `Kind.VIOLATION`, that reply is the last one.
    """

    command: Command
    error: RemoteProtocolError


@attrs.define(eq=False)
class ContentReceived:
    """Mail data in wire form, safe to pass on; see `content.unstuff` to decode it."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} octets>")
    at_line_start: bool


@attrs.define(eq=False)
class ContentRefused:
    """The mail data must not be passed on. What is left of it is dropped up to `EndOfData`;
    then ``error.reply_hint`` is to be sent."""

    error: RemoteProtocolError


@attrs.define(eq=False)
class EndOfData:
    """The client has sent end-of-data; ``size`` counts decoded octets. A reply is owed."""

    size: int


ClientEvent = Command | Refused | ContentReceived | ContentRefused | EndOfData | Pause


@attrs.define(eq=False)
class ServerConnection:
    """The server's end: octets of a client in, commands and content out."""

    config: Config = attrs.field(factory=Config)
    max_message_size: int | None = None
    """Limit on the decoded message, read when content opens; set it as you learn it."""

    phase: Phase = attrs.field(default=Phase.GREETING, init=False)
    eof: bool = attrs.field(default=False, init=False)
    _inbox: Inbox = attrs.field(factory=Inbox, init=False)
    _content: ContentReader | None = attrs.field(default=None, init=False)
    _content_refused: bool = attrs.field(default=False, init=False)
    _chunk_left: int = attrs.field(default=0, init=False)
    _unanswered: list[Command] = attrs.field(factory=list[Command], init=False)
    _transaction: Transaction = attrs.field(factory=Transaction, init=False)
    _data_refused: bool = attrs.field(default=False, init=False)
    _early_content: bool = attrs.field(default=False, init=False)
    _auth_answered: bool = attrs.field(default=False, init=False)

    @property
    def envelope(self) -> Envelope:
        """The mail transaction as the client was told it stands."""
        return self._transaction.envelope

    @property
    def in_transaction(self) -> bool:
        """Whether MAIL was accepted and the transaction has not ended."""
        return self._transaction.open

    @property
    def buffered(self) -> int:
        """Octets that are kept: unparsed, or held back at the end of a piece of content."""
        return len(self._inbox) + (self._content.held if self._content else 0)

    @property
    def pending(self) -> bool:
        """Whether `next_event` may have something to give before more arrives."""
        if self.eof or not self._inbox.empty:
            return True
        content = self._content
        return content is not None and (content.finished or content.error is not None)

    @property
    def unanswered(self) -> int:
        """Lines and messages that are owed a reply."""
        return len(self._unanswered)

    def receive_data(self, data: bytes) -> None:
        """Takes octets as they came, cut anywhere."""
        if self.phase is not Phase.CLOSED:
            self._inbox.feed(data)

    def receive_eof(self) -> None:
        """The client will send no more; `next_event` says so when it gets there."""
        self.eof = True

    def next_event(self) -> ClientEvent:
        """The next command, piece of content, or the reason why there is none."""
        if self.phase is Phase.COMMAND:
            return self._next_line()
        if self.phase is Phase.CONTENT:
            return self._next_content()
        if self.phase is Phase.AUTH_LINE:
            return self._next_line()
        if self.phase is Phase.CHUNK:
            return self._drop_chunk()
        return PAUSED

    def send_reply(self, reply: Reply) -> bytes:
        """The octets of the reply to the oldest line that has none yet, the greeting being the first.

        421 may be sent at any time and ends the dialogue; so does a 4xx or 5xx in the middle of mail data.
        Raises `LocalProtocolError` for a reply that nothing asked for, or one that would open framing
        that does not exist.
        """
        if self.phase is Phase.GREETING:
            self._step(reply_step(None, reply.code), reply)
        elif not self._unanswered:
            if reply.code != 421 and not (self.phase is Phase.CONTENT and reply.code >= 400):
                raise LocalProtocolError(f"no command awaits a reply: {reply}")
            self._step(Step.GOODBYE, reply)
        else:
            command = self._unanswered[0]
            self._step(reply_step(command.kind, reply.code), reply)
            del self._unanswered[0]
            self._transaction.answered(command, reply)
            if command.kind is Kind.DATA:
                self._data_answered()
            elif command.kind is Kind.AUTH or command.kind is Kind.AUTH_LINE:
                self._auth_answered = reply.severity != 3
        return reply.raw

    def close(self) -> None:
        """The connection is gone."""
        self.phase = Phase.CLOSED
        self._unanswered.clear()
        self._inbox = Inbox()
        self._content = None

    def _step(self, step: Step | None, what: object) -> None:
        phase = FRAMING[self.phase].get(step) if step else None
        if phase is None:
            raise LocalProtocolError(f"not possible in phase {self.phase.name}: {what}")
        self.phase = phase

    def _line(self, command: Command) -> None:
        self.phase = FRAMING[self.phase][LINE_STEPS[command.kind]]
        self._unanswered.append(command)

    def _data_answered(self) -> None:
        if self.phase is Phase.CONTENT:
            config = self.config
            self._content_refused = False
            self._content = ContentReader(config.bare_newline, config.nul, self.max_message_size)
        else:
            self._data_refused = True
            self._early_content = not self._inbox.empty

    def _next_line(self) -> ClientEvent:
        if self._early_content:
            # RFC 2920 §3.1: DATA ends a group. What was sent behind a refused DATA may be mail data, and
            # mail data must never be read as commands.
            return self._violation(_EARLY, 503, "5.5.1")
        if self._inbox.peek() == 0x16 and self.phase is Phase.COMMAND:
            # The type of a TLS handshake record; no command begins with it.
            return self._violation("TLS on a plain-text port", 500, "5.5.1")
        line = self._inbox.next_line()
        if line is None:
            return self._no_line()
        bare = not line.endswith(b"\r\n")
        raw = line[:-1] if bare else line[:-2]
        if len(raw) > self.config.max_line:
            return self._violation("line too long", 500, "5.5.6", raw)
        if bare and self.config.bare_newline is BareNewline.REJECT:
            return self._violation("line ended by a bare LF, not CRLF", 500, "5.5.2", raw)
        if self.phase is Phase.AUTH_LINE:
            return self._auth_line(raw)
        command = Command.parse(raw)
        if self._data_refused:
            # The same, arriving a moment later than the refusal was sent.
            self._data_refused = False
            if command.verb not in VERB_KINDS and command.verb not in REFUSED_VERBS:
                return self._violation(_EARLY, 503, "5.5.1", raw)
        if self._auth_answered:
            # A client that did not wait, or took the reply for a challenge, sends its credential now.
            self._auth_answered = False
            if command.verb not in VERB_KINDS:
                command.secret = True
        if b"\0" in raw or b"\r" in raw:
            command.kind = Kind.PLAIN
            return self._refused(command, "command holds NUL or a bare CR", 500, "5.5.2")
        if not command.verb:
            return self._refused(command, "not a command", 500, "5.5.2")
        if command.verb in REFUSED_VERBS:
            return self._framing_verb(command)
        if command.verb in HTTP_VERBS:
            return self._violation("this is an SMTP server, not HTTP", 500, "5.5.1", command.shown)
        self._line(command)
        return command

    def _no_line(self) -> ClientEvent:
        if len(self._inbox) > self.config.max_line + 1:
            return self._violation("line too long", 500, "5.5.6", self._inbox.head())
        return END_OF_INPUT if self.eof else NEED_DATA

    def _auth_line(self, raw: bytes) -> ClientEvent:
        if b"\0" in raw or b"\r" in raw:
            return self._violation("AUTH line holds NUL or a bare CR", 500, "5.5.2")
        command = auth_line(raw)
        self._line(command)
        return command

    def _framing_verb(self, command: Command) -> Refused:
        if command.verb != b"BDAT":
            return self._refused(command, f"{command.verb.decode()} is not supported here", 502, "5.5.1")
        size = chunk_size(command)
        if size is None:
            # How many octets follow is not known: nothing behind this line can be parsed safely.
            return self._violation("BDAT without a valid octet count", 501, "5.5.4", command.shown)
        refused = self._refused(command, "BDAT is not supported here, use DATA", 502, "5.5.1")
        if size:
            self.phase = FRAMING[self.phase][Step.CHUNK]
            self._chunk_left = size
        return refused

    def _refused(self, command: Command, why: str, code: int, enhanced: str) -> Refused:
        error = RemoteProtocolError(why, Reply.of(code, why, enhanced=enhanced), command.shown)
        error.phase = self.phase
        self._line(command)
        return Refused(command, error)

    def _violation(self, why: str, code: int, enhanced: str, evidence: bytes = b"") -> Refused:
        secret = self.phase is Phase.AUTH_LINE or self._auth_answered
        shown = b"" if secret else Command.parse(evidence[:64]).shown
        command = Command(b"", b"", Kind.VIOLATION)
        error = RemoteProtocolError(why, Reply.of(code, f"{why}; closing", enhanced=enhanced), shown)
        error.phase = self.phase
        self._line(command)
        return Refused(command, error)

    def _next_content(self) -> ClientEvent:
        reader = self._content
        assert reader is not None  # set when the phase became CONTENT
        if reader.error is not None and not self._content_refused:
            self._content_refused = True
            reader.error.phase = self.phase
            return ContentRefused(reader.error)
        if reader.finished:
            return self._end_of_data(reader)
        if self._inbox.empty:
            return END_OF_INPUT if self.eof else NEED_DATA
        piece = reader.feed(self._inbox.take())
        self._inbox.feed(reader.rest)
        return ContentReceived(piece, reader.at_line_start) if piece else self._next_content()

    def _end_of_data(self, reader: ContentReader) -> EndOfData:
        self._content = None
        self._line(END_OF_DATA)
        return EndOfData(reader.size)

    def _drop_chunk(self) -> ClientEvent:
        self._chunk_left -= len(self._inbox.take(self._chunk_left))
        if self._chunk_left:
            return END_OF_INPUT if self.eof else NEED_DATA
        self.phase = FRAMING[self.phase][Step.CHUNK_END]
        return self._next_line()
