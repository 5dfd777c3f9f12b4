"""The client's end of an SMTP dialogue: it faces a server. A pull parser, as `ServerConnection` is."""

from __future__ import annotations

import attrs

from sansio_smtp.config import Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import FRAMING, LINE_STEPS, Phase, reply_step
from sansio_smtp.wire.commands import END_OF_DATA, Command, Kind, octet_count
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader
from sansio_smtp.wire.violations import RemoteProtocolError, server_violation

from .extensions import keywords
from .server import END_OF_INPUT, NEED_DATA, PAUSED, Pause

__all__ = ["ClientConnection", "ReplyReceived"]


@attrs.define(eq=False)
class ReplyReceived:
    """A reply of the server. ``command`` is what it answers: None for the greeting, and for a reply that
    comes unasked (`unsolicited`) and ends the dialogue."""

    reply: Reply
    command: Command | None
    unsolicited: bool = False


ServerEvent = ReplyReceived | RemoteProtocolError | Pause


@attrs.define(eq=False)
class ClientConnection:
    """The client's end: octets of a server in, replies out, each with the command that it answers."""

    config: Config = attrs.field(factory=Config)
    phase: Phase = attrs.field(default=Phase.GREETING, init=False)
    eof: bool = attrs.field(default=False, init=False)
    keywords: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    """What the server offered in reply to the last EHLO; empty after HELO."""
    in_content: bool = attrs.field(default=False, init=False)
    """Whether the server takes what comes for mail data, also when the dialogue must be closed."""
    _reader: ReplyReader = attrs.field(init=False)
    _unanswered: list[Command] = attrs.field(factory=list[Command], init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = ReplyReader(self.config.max_reply)

    @property
    def buffered(self) -> int:
        """Octets that are kept unparsed."""
        return len(self._reader)

    @property
    def pending(self) -> bool:
        """Whether `next_event` may have something to give before more arrives."""
        return self.eof or not self._reader.empty

    @property
    def unanswered(self) -> int:
        """Commands and messages that the server owes a reply for."""
        return len(self._unanswered)

    @property
    def awaiting(self) -> Command | None:
        """The oldest command or message that the server owes a reply for."""
        return self._unanswered[0] if self._unanswered else None

    @property
    def max_message_size(self) -> int | None:
        """The SIZE that the server announced (RFC 1870), if it is a limit."""
        return octet_count(self.keywords.get("SIZE", "")) or None

    def may_send(self) -> bool:
        """Whether a command may go out now: not while content or an AUTH exchange is under way, behind
        unanswered commands only if the server offered PIPELINING and RFC 2920 §3.1 allows it."""
        if self.phase is not Phase.COMMAND:
            return False
        if not self._unanswered:
            return True
        last = self._unanswered[-1].kind
        return "PIPELINING" in self.keywords and (last is Kind.GROUP or last is Kind.END_OF_DATA)

    def send_command(self, command: Command) -> bytes:
        """The octets of a command or AUTH line.

        Raises `LocalProtocolError` if the phase does not allow it or the line holds CR, LF or NUL.
        """
        command.check()
        self._line(command)
        return command.raw + b"\r\n"

    def send_content(self, wire: bytes) -> bytes:
        """Checks that content may be sent now and returns it: wire form, from `ContentReader.feed` or
        `ContentWriter`, without end-of-data."""
        if self.phase is not Phase.CONTENT:
            raise LocalProtocolError(f"no content can be sent in phase {self.phase.name}")
        return wire

    def send_end_of_data(self) -> bytes:
        """The dot line. What was sent before must end in CRLF, or be empty."""
        self._line(END_OF_DATA)
        self.in_content = False
        return b".\r\n"

    def receive_data(self, data: bytes) -> None:
        """Takes octets as they came, cut anywhere."""
        if self.phase is not Phase.CLOSED:
            self._reader.feed(data)

    def receive_eof(self) -> None:
        """The server will send no more; `next_event` says so when it gets there."""
        self.eof = True

    def next_event(self) -> ServerEvent:
        """The next reply, the server's violation, or the reason why there is none."""
        if self.phase in (Phase.MUST_CLOSE, Phase.CLOSED):
            return PAUSED
        try:
            reply = self._reader.next_reply()
        except RemoteProtocolError as error:
            error.phase, self.phase = self.phase, Phase.MUST_CLOSE
            return error
        if reply is None:
            return END_OF_INPUT if self.eof else NEED_DATA
        if self.phase is Phase.GREETING:
            return self._replied(None, reply)
        if self._unanswered:
            return self._replied(self._unanswered[0], reply)
        return self._unsolicited(reply)

    def close(self) -> None:
        """The connection is gone."""
        self.phase = Phase.CLOSED
        self._unanswered.clear()
        self._reader = ReplyReader(self.config.max_reply)

    def reopen(self) -> None:
        """A new connection takes the place of the one that is gone; nothing is known of its server."""
        self.close()
        self.phase = Phase.GREETING
        self.eof = self.in_content = False
        self.keywords = {}

    def _line(self, command: Command) -> None:
        phase = FRAMING[self.phase].get(LINE_STEPS[command.kind])
        if phase is None:
            raise LocalProtocolError(f"{command} cannot be sent in phase {self.phase.name}")
        self.phase = phase
        self._unanswered.append(command)

    def _replied(self, command: Command | None, reply: Reply) -> ServerEvent:
        step = reply_step(command.kind if command else None, reply.code)
        phase = FRAMING[self.phase].get(step) if step else None
        if phase is None:
            return self._broken(f"{reply.code} in reply to {command or 'the connection'}", reply)
        self.phase = phase
        self.in_content = phase is Phase.CONTENT
        if command is not None:
            del self._unanswered[0]
            if command.kind is Kind.HELLO and reply.code < 300:
                self.keywords = keywords(reply) if command.verb == b"EHLO" else {}
        return ReplyReceived(reply, command)

    def _unsolicited(self, reply: Reply) -> ServerEvent:
        # 421 says that the server is leaving (RFC 5321 §3.8). A refusal while mail data is on its way
        # answers the message early; whether the server reads on is not known, so it is the last reply.
        if reply.code != 421 and not (self.phase is Phase.CONTENT and reply.code >= 400):
            return self._broken("reply that nothing asked for", reply)
        self.phase = Phase.MUST_CLOSE
        return ReplyReceived(reply, None, unsolicited=True)

    def _broken(self, why: str, reply: Reply) -> RemoteProtocolError:
        error = server_violation(why, reply.raw)
        error.phase, self.phase = self.phase, Phase.MUST_CLOSE
        return error
