"""The client's end of an SMTP dialogue: it faces a server. A pull parser, as `ServerConnection` is.

It follows the same framing table, seen from the other side: what this end sends, the server reads::

    send_command(command, handle=…) ──> octets for the server
          └──────> (command, handle), (command, handle), …    what the server owes a reply to
                          └───────────────────┐
    receive_data(octets) ──> the next reply answers the oldest
    next_event() ──> ReplyReceived(reply, command, handle)
                     RemoteProtocolError     the server's violation; nothing more is read
                     Pause                   NEED_DATA, END_OF_INPUT, PAUSED

A server owes one reply for each command, in the order of the commands. The caller gives a *handle* with each
command, any object, and gets it back with the reply; so it need not count replies. What must never happen is
that a reply is matched to another command than the one that it answers: so a reply that no command asked for
ends the dialogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Never, TypeAlias

import attrs

from sansio_smtp.arguments import Octets, check_type
from sansio_smtp.arguments import octets as as_octets
from sansio_smtp.config import Config, Dialect
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.members import (
    DIALECT_LMTP,
    KIND_CHUNK,
    KIND_DATA,
    KIND_END_OF_DATA,
    KIND_GROUP,
    KIND_HELLO,
    KIND_IDENTITY,
    PHASE_AUTH_LINE,
    PHASE_CLOSED,
    PHASE_COMMAND,
    PHASE_CONTENT,
    PHASE_GREETING,
    PHASE_MUST_CLOSE,
    PHASE_TLS,
)
from sansio_smtp.states import FRAMING, LINE_STEPS, REPLY_STEPS, Phase, Step
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import END_OF_DATA, Command, auth_line, chunk_command, octet_count
from sansio_smtp.wire.content import ContentWriter
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader
from sansio_smtp.wire.violations import RemoteProtocolError, server_violation

from .extensions import keywords
from .objections import after_end, cannot_send, no_handshake, not_one_line, not_one_message
from .received import END_OF_INPUT, NEED_DATA, PAUSED, Pause
from .sent_content import SentContent
from .transaction import Transaction

__all__ = ["ClientConnection", "ReplyReceived"]

_CR, _LF = b"\r\n"
_CHUNKS: Final = (Kind.CHUNK, Kind.LAST_CHUNK)


@attrs.define(eq=False)
class ReplyReceived:
    """A reply of the server. ``command`` is the command that it answers, ``handle`` the handle that was given
    with it. Both are None for the greeting, and for a reply that no command asked for (``unsolicited``),
    which ends the dialogue."""

    reply: Reply
    command: Command | None
    handle: Any = None
    unsolicited: bool = False


_NONE: Final[Mapping[str, str]] = {}
"""The keywords of a server that has offered none."""

ServerEvent: TypeAlias = ReplyReceived | RemoteProtocolError | Pause
"""What `ClientConnection.next_event` returns. After a `RemoteProtocolError`, the server's violation, nothing
more is read."""


@attrs.define(eq=False, repr=False)
class ClientConnection:
    r"""The client's end of a dialogue: octets of a server in, replies out, each with the command that it
    answers.

    Write the octets that `send_command` returns, give what you read to `receive_data`, and take events until
    one is a `Pause`. The first reply is the greeting:

    >>> from sansio_smtp import ClientConnection, Pause
    >>> client = ClientConnection()
    >>> client.receive_data(b"220 mx.example ESMTP\r\n")
    >>> while not isinstance(event := client.next_event(), Pause):
    ...     print(event.reply)
    220 mx.example ESMTP
    >>> client.send_command("EHLO me.example")
    b'EHLO me.example\r\n'
    >>> client.receive_data(b"250-mx.example\r\n250 SIZE 1000\r\n")
    >>> event = client.next_event()
    >>> print(event.command, event.reply.code, client.keywords)
    EHLO me.example 250 {'SIZE': '1000'}

    The events are those of ``ServerEvent``:

    - `ReplyReceived`: a reply, with the command that it answers, and the ``handle`` that was given with it.
    - `RemoteProtocolError`: the server has broken the protocol; close the connection.

    `phase` says what may be sent (`Phase`): in COMMAND the next command; several of them while `may_send`. In
    CONTENT, after 354 to DATA, the message: `send_message`, or in pieces `send_content` and
    `send_end_of_data`. In TLS, after 220 to STARTTLS, nothing before the handshake: then call `tls_started`,
    and say EHLO again. In MUST_CLOSE nothing: close the connection.

    To log in send ``AUTH``, the mechanism, and its first message in base64, if it has one. After 334 the
    phase is AUTH_LINE: what you give to `send_command` is the next message in base64, or ``*`` to give up.
    235 says that the login is accepted. No repr shows these lines.
    """

    config: Config = attrs.field(factory=Config)
    phase: Phase = attrs.field(default=Phase.GREETING, init=False)
    eof: bool = attrs.field(default=False, init=False)
    """True if the server will send no more."""
    keywords: Mapping[str, str] = attrs.field(default=_NONE, init=False)
    """What the server offered in reply to the last EHLO; empty after HELO."""
    hello: Command | None = attrs.field(default=None, init=False)
    """The EHLO or HELO that the server accepted last."""
    offered: Mapping[str, str] | None = attrs.field(default=None, init=False)
    """As `keywords`; kept after HELO, empty after an EHLO that was refused, None if no EHLO was answered
    since the connection, TLS or XCLIENT began."""
    dialect: Dialect = attrs.field(init=False)
    """What the server speaks."""
    in_content: bool = attrs.field(default=False, init=False)
    """True from the server's 354 until end-of-data is sent, also if the dialogue must be closed meanwhile:
    the server reads all octets as mail data."""
    refusals: int = attrs.field(default=0, init=False)
    """Number of replies 4xx and 5xx of this server."""
    _reader: ReplyReader = attrs.field(init=False)
    _awaited: list[tuple[Command, Any]] = attrs.field(factory=list[tuple[Command, Any]], init=False)
    # (command, handle), once for each reply that is owed
    _in_advance: bool = attrs.field(default=False, init=False)
    # True if octets of the server lay here unread when the oldest command was sent: they cannot answer it
    _sent: SentContent | None = attrs.field(default=None, init=False)
    # the content of the message, if `send_content` has returned some
    transaction: Transaction = attrs.field(factory=Transaction, init=False)
    """The mail transaction as this server has accepted it."""

    def __attrs_post_init__(self) -> None:
        check_type(self.config, Config, "ClientConnection takes a Config", "such as Config(max_reply=4096)")
        self._reader = ReplyReader(self.config.max_reply)
        self.dialect = self.config.upstream_dialect

    @property
    def buffered(self) -> int:
        """Number of octets that have not been parsed yet."""
        return len(self._reader)

    @property
    def pending(self) -> bool:
        """True if `next_event` may return an event before more octets arrive."""
        return self.eof or not self._reader.empty

    @property
    def unanswered(self) -> int:
        """Number of replies that the server owes."""
        return len(self._awaited)

    @property
    def awaiting(self) -> Command | None:
        """The oldest command that the server owes a reply to; `END_OF_DATA` for a message; None if it owes
        none."""
        return self._awaited[0][0] if self._awaited else None

    @property
    def owed(self) -> tuple[tuple[Command, Any], ...]:
        """The commands that the server owes replies to, with their handles, oldest first."""
        return tuple(self._awaited)

    @property
    def next_reply_to(self) -> tuple[Command, Any] | None:
        """The oldest command that the server owes a reply to, and its handle, if the next octets to arrive
        begin that reply; None if it owes none, or if octets lie here unread."""
        if not self._awaited or self.eof or not self._reader.empty:
            return None
        return self._awaited[0]

    @property
    def is_quiet(self) -> bool:
        """True if the server owes nothing, and nothing of it lies here unread."""
        return self.phase is PHASE_COMMAND and not self._awaited and self._reader.empty and not self.eof

    @property
    def takes_groups(self) -> bool:
        """True if several commands may be sent at once (RFC 2920 §3)."""
        return "PIPELINING" in self.keywords

    def awaits(self, handle: object) -> bool:
        """Returns True if the server owes a reply to a command that was sent with this handle."""
        return any(sent_with is handle for _, sent_with in self._awaited)

    @property
    def max_message_size(self) -> int | None:
        """The SIZE in octets that the server announced (RFC 1870); None if it announced none, or 0."""
        return octet_count(self.keywords.get("SIZE", "")) or None

    def may_send(self) -> bool:
        """Returns True if a command may be sent now: not in mail data or in an AUTH exchange, and while
        replies are owed only if the server offered PIPELINING and the last command may be followed by another
        (RFC 2920 §3.1)."""
        if self.phase is not PHASE_COMMAND:
            return False
        if not self._awaited:
            return True
        last = self._awaited[-1][0].kind
        if last is not KIND_GROUP and last is not KIND_END_OF_DATA and last is not KIND_CHUNK:
            return False
        return "PIPELINING" in self.keywords

    def send_command(self, command: Command | str | bytes, *more: Never, handle: object = None) -> bytes:
        """The octets of a command: one line without its CRLF, such as ``"EHLO me.example"``. In phase
        AUTH_LINE text is the next line of the login, in base64. ``handle``, any object, comes back with the
        reply.

        Raises `LocalProtocolError` if the phase does not allow it or the line holds CR, LF or NUL.
        """
        if more:
            raise not_one_line()
        return self.pass_command(command if isinstance(command, Command) else self._line(command), handle)

    def pass_command(self, command: Command, handle: object = None, replies: int = 1) -> bytes:
        """As `send_command`, for a `Command` to which the server owes this many replies. ``handle`` comes
        back with each of them."""
        raw = command.raw
        if _CR in raw or _LF in raw or 0 in raw:  # numbers: 0.1 µs; with b"\r" and so on 0.6
            command.check()
        phase = FRAMING[self.phase].get(LINE_STEPS[command.kind])
        if phase is None:
            raise cannot_send(command, self.phase, self.awaiting)
        self.phase = phase
        awaited = self._awaited
        if not awaited and not self._reader.empty:
            self._in_advance = True
        awaited.append((command, handle))
        if replies > 1:
            awaited += [(command, handle)] * (replies - 1)
        return raw + b"\r\n"

    def send_message(self, message: Octets, *more: Never, handle: object = None) -> bytes:
        """After 354 to DATA: the octets of a whole message, and end-of-data. Line ends become CRLF, and
        leading dots are doubled. ``handle``: see `send_end_of_data`.

        Raises `LocalProtocolError` if the phase does not allow it, or for a line that begins with NUL and
        holds only NULs and one dot: some servers would read it as end-of-data."""
        if more:
            raise not_one_message()
        writer = ContentWriter()
        wire = writer.feed(as_octets(message, "send_message")) + writer.finish()
        if writer.error is not None:
            raise LocalProtocolError(f"this message cannot be sent: {writer.error}")
        return self.send_content(wire) + self.send_end_of_data(handle=handle)

    def send_content(self, wire: Octets) -> bytes:
        """For a message in pieces: checks that this content may be sent now and returns it. It is not
        changed: give what `ContentWriter` makes of the message, or `ContentReader.feed` of what a client has
        sent. `send_message` is for a message that you have as a whole.

        Raises `LocalProtocolError` if the phase does not allow it, or if the content holds end-of-data, a
        line end that is not CRLF, or what some servers could read as end-of-data."""
        if not isinstance(wire, bytes):
            wire = as_octets(wire, "send_content")
        self.pass_content(wire)
        if self._sent is None:
            self._sent = SentContent()
        self._sent.add(wire)
        return wire

    def pass_content(self, wire: bytes) -> bytes:
        """As `send_content`, for what a `ContentReader` or `ContentWriter` has returned: only the phase is
        checked."""
        if self.phase is not PHASE_CONTENT:
            raise self._no_content_now()
        return wire

    def send_end_of_data(self, *, handle: object = None) -> bytes:
        """The octets of end-of-data. ``handle`` comes back with each reply that the server owes: one, or from
        an LMTP server one for each recipient that it has accepted (RFC 2033 §4.2).

        Raises `LocalProtocolError` if the phase does not allow it, or if the content that `send_content` has
        returned does not end in CRLF: the server would not see the end of the message."""
        if self._sent is not None and self.phase is PHASE_CONTENT:
            self._sent.check_end()
        return self.pass_end_of_data(handle)

    def pass_end_of_data(self, handle: object = None) -> bytes:
        """As `send_end_of_data`, after content of `pass_content`: only the phase is checked."""
        by_recipient = self.dialect is DIALECT_LMTP
        replies = len(self.transaction.envelope.recipients) if by_recipient else 1
        wire = self.pass_command(END_OF_DATA, handle, replies)
        self.in_content = False
        self._sent = None
        return wire

    def speak(self, dialect: Dialect | str) -> None:
        """Says what the server speaks, before its greeting."""
        self.dialect = dialect if isinstance(dialect, Dialect) else Dialect(dialect)

    @property
    def takes_chunks(self) -> bool:
        """True if the server has offered CHUNKING in reply to the last EHLO. No other may be sent BDAT: it
        would read the octets as commands."""
        return "CHUNKING" in self.keywords

    def send_chunk(
        self, octets: Octets, *, last: bool = False, handle: object = None
    ) -> tuple[bytes, Command]:
        """The BDAT line for a chunk of these octets, and the command that its reply will be said to answer:
        `END_OF_DATA` for the last chunk, which has as many replies as after `send_end_of_data`. Send the
        line, then the octets. Raises `LocalProtocolError` if the server takes no chunks, or none now."""
        if not isinstance(octets, bytes):
            octets = as_octets(octets, "send_chunk")
        if not self.takes_chunks:
            raise LocalProtocolError("the server has not offered CHUNKING; send DATA, then the message")
        command = chunk_command(len(octets), last=last)
        wire = self.pass_command(command, handle)
        self._step(Step.CHUNK_END)
        awaited = self._awaited
        if last:
            command = END_OF_DATA
            by_recipient = self.dialect is DIALECT_LMTP
            replies = len(self.transaction.envelope.recipients) if by_recipient else 1
            awaited[-1:] = [(command, handle)] * replies
        return wire, command

    def __repr__(self) -> str:
        return f"<ClientConnection in phase {self.phase.name}>"

    def tls_started(self) -> None:
        """The TLS handshake after STARTTLS is complete. What was known of the server came in plain text, and
        is forgotten (RFC 3207 §4.2). Raises `LocalProtocolError` if none was due."""
        if self.phase is Phase.TLS and not self._reader.empty:
            raise LocalProtocolError("octets came before the TLS handshake; call next_event until it pauses")
        if not self._step(Step.TLS_STARTED):
            raise no_handshake(self.phase)
        self._forget()

    def forget_hello(self) -> None:
        """The server is to hear EHLO or HELO anew before other commands."""
        self.hello = None

    def receive_data(self, data: Octets) -> None:
        """Takes octets as they came, cut anywhere. No octets, ``b""``, are the end of input, as a socket
        gives it: the same as `receive_eof`. After it, `LocalProtocolError` is raised for more octets."""
        if not isinstance(data, bytes):
            data = as_octets(data, "receive_data")
        if not data:
            self.receive_eof()
        elif self.phase is not PHASE_CLOSED:
            if self.eof:
                raise after_end()
            self._reader.feed(data)

    def receive_eof(self) -> None:
        """The server will send no more. `next_event` returns `END_OF_INPUT` after the last reply."""
        self.eof = True

    def next_event(self) -> ServerEvent:
        """The next reply; or the server's violation; or a `Pause`, the reason why there is no reply."""
        if self.phase is PHASE_MUST_CLOSE or self.phase is PHASE_CLOSED:
            return PAUSED
        try:
            reply = self._reader.next_reply()
        except RemoteProtocolError as error:
            return self._broken(error)
        if reply is None and (self.phase is not PHASE_TLS or self._reader.empty):
            return END_OF_INPUT if self.eof else NEED_DATA
        if reply is None or self.phase is PHASE_TLS:
            # What came in plain text must never be read as if it had come under TLS.
            shown = b"" if reply is None else reply.raw
            return self._broken(server_violation("octets after 220 to STARTTLS, before TLS", shown))
        if self.phase is PHASE_GREETING:
            return self._greeted(reply)
        if self._awaited:
            return self._replied(*self._awaited[0], reply)
        return self._unsolicited(reply)

    def close(self) -> None:
        """The connection is closed: forgets all replies that are owed, and the transaction."""
        self._awaited.clear()
        self._reader = ReplyReader(self.config.max_reply)
        self.transaction = Transaction()
        if self.phase is not PHASE_CLOSED:
            self._step(Step.CLOSE)

    def _line(self, line: str | bytes) -> Command:
        """The command, or the line of a login, that a text is."""
        if self.phase is PHASE_AUTH_LINE:
            check_type(line, (str, bytes), "a line of a login is a str or bytes")
            return auth_line(line.encode() if isinstance(line, str) else line)
        try:
            command = Command.of(line)
        except LocalProtocolError:
            if self.phase is PHASE_CONTENT:  # a line of the message, or the dot after it
                raise cannot_send("a line of the message", self.phase, None) from None
            raise
        if command.kind in _CHUNKS:
            raise LocalProtocolError(f"{command} is sent with its octets: call send_chunk")
        return command

    def _no_content_now(self) -> LocalProtocolError:
        if self.phase is PHASE_COMMAND:
            return LocalProtocolError(
                "mail data cannot be sent in phase COMMAND: send DATA, and read its 354"
            )
        return cannot_send("mail data", self.phase, self.awaiting)

    def _step(self, step: Step | None) -> bool:
        """Moves the phase by its table. Returns False for a step that the table does not have.
        `pass_command` and `take_reply` do the same, as they run for each input."""
        phase = FRAMING[self.phase].get(step) if step else None
        if phase is None:
            return False
        self.phase = phase
        return True

    def _greeted(self, reply: Reply) -> ServerEvent:
        code = reply.code
        if not self._step(REPLY_STEPS.get((None, code if code == 421 else code // 100))):
            return self._broken(server_violation(f"{reply.code} in reply to the connection", reply.raw))
        return ReplyReceived(reply, None)

    def _replied(self, command: Command, handle: object, reply: Reply) -> ServerEvent:
        code = reply.code
        if self._in_advance:
            self._in_advance = False
            kind = command.kind
            refuses_message = (kind is KIND_END_OF_DATA or kind is KIND_CHUNK) and code >= 400
            if code != 421 and not refuses_message:  # which may come unasked
                return self._broken(server_violation(f"a reply before {command} was sent", reply.raw))
        if not self.take_reply(command, reply):
            return self._broken(server_violation(_objection(command, code), reply.raw))
        kind = command.kind
        if kind is KIND_HELLO:
            self._hello_answered(command, reply)
        elif kind is KIND_IDENTITY and command.verb == b"XCLIENT" and reply.code < 300:
            self._forget()  # the session begins anew
        return ReplyReceived(reply, command, handle)

    def take_reply(self, command: Command, reply: Reply) -> bool:
        """Takes a reply to the oldest command that is owed one, neither EHLO nor HELO nor XCLIENT. The caller
        has read it itself: see `next_reply_to`. Returns False, and takes nothing, if it is no reply to this
        command."""
        code = reply.code
        step = REPLY_STEPS.get((command.kind, code if code == 421 else code // 100))
        phase = FRAMING[self.phase].get(step) if step else None
        if phase is None:
            return False
        if phase is PHASE_CONTENT:
            if self.dialect is DIALECT_LMTP and not self.transaction.envelope.recipients:
                return False  # for no recipient there would be no reply to the message (RFC 2033 §4.2)
            self.in_content = True
        else:
            self.in_content = False
        self.phase = phase
        if code >= 400:
            self.refusals += 1
        del self._awaited[0]
        self.transaction.answered(command, reply)
        return True

    def _hello_answered(self, command: Command, reply: Reply) -> None:
        accepted, is_ehlo = reply.code < 300, command.verb != b"HELO"
        if accepted:
            self.hello = command
            self.keywords = keywords(reply) if is_ehlo else _NONE
        if is_ehlo:
            self.offered = self.keywords if accepted else _NONE

    def _forget(self) -> None:
        self.hello = self.offered = None
        self.keywords = _NONE
        self.transaction = Transaction()

    def _unsolicited(self, reply: Reply) -> ServerEvent:
        # 421 says that the server is leaving (RFC 5321 §3.8). A refusal in the middle of mail data answers
        # the message early. It is not known if the server goes on reading, so this is the last reply.
        if reply.code != 421 and not (self.phase is PHASE_CONTENT and reply.code >= 400):
            return self._broken(server_violation("reply that nothing asked for", reply.raw))
        self._step(Step.GOODBYE)
        return ReplyReceived(reply, None, unsolicited=True)

    def _broken(self, error: RemoteProtocolError) -> RemoteProtocolError:
        error.found_in(self.phase)
        self._step(Step.GOODBYE)
        return error


def _objection(command: Command, code: int) -> str:
    """What is wrong with a reply that `take_reply` has not taken."""
    for_nobody = " without a recipient" if command.kind is KIND_DATA and code // 100 == 3 else ""
    return f"{code} in reply to {command}{for_nobody}"
