"""Targets: `ServerConnection` and `ClientConnection`, each alone with its caller. The tapes are those of the
proxy. For the server's end, the server's octets are the replies that its caller gives; for the client's end,
the client's octets are the commands that its caller sends.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import attrs
from properties.receivers import Bdat, Item, StrictReceiver, canonical

from sansio_smtp import ClientConnection, Command, Reply, ServerConnection
from sansio_smtp.config import Dialect
from sansio_smtp.ends.client import ReplyReceived
from sansio_smtp.ends.received import ChunkEnded, ContentReceived, ContentRefused, EndOfData, Pause, Refused
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.testing import Chunker, bytewise, drawn, whole
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import auth_line
from sansio_smtp.wire.content import Form, unstuff
from sansio_smtp.wire.violations import RemoteProtocolError

from .tape import Tape, scripts, tape_of
from .target import Target

__all__ = ["CLIENT_END", "SERVER_END"]

_REPLY: Final = re.compile(rb"([2-5][0-9][0-9])(?: [^\r\n]*)?(?:\r?\n|$)")


def _seeds() -> Iterator[bytes]:
    for script, text in scripts():
        yield tape_of(script, text)


def _cuts(tape: Tape) -> Chunker:
    return drawn(Random(tape.cuts)) if tape.cuts else bytewise


# The server's end


@attrs.define(eq=False)
class _Caller:
    """Drives a server's end: gives the replies of the tape, and those that the end asks for."""

    end: ServerConnection
    seen: list[tuple[str, Any]] = attrs.field(factory=list[tuple[str, Any]])
    """The events of the end: commands and messages in the form of a receiver, and the rest."""
    hints: dict[int, Reply] = attrs.field(factory=dict[int, Reply])
    """The replies that lines must get, by the number of the line."""
    lines: int = 0
    answered: int = 0
    codes: list[int] = attrs.field(factory=list[int])
    content: bytearray = attrs.field(factory=bytearray)
    form: Form = Form.DOTTED
    refused: RemoteProtocolError | None = None
    broken: bool = False

    def take(self) -> None:
        while not self.broken:
            event = self.end.next_event()
            if isinstance(event, Pause):
                break
            self._took(event)
            self._give_hints()

    def _took(self, event: Any) -> None:
        if isinstance(event, RemoteProtocolError):
            self.broken = True
        elif isinstance(event, Refused):
            self.seen.append(("refused", event.command.raw))
            self.hints[self.lines] = event.error.reply_hint
            self.lines += 1
            self.broken = event.command.kind is Kind.VIOLATION
        elif isinstance(event, Command):
            if event.kind not in (Kind.CHUNK, Kind.LAST_CHUNK):
                self.seen.append(("auth line" if event.kind is Kind.AUTH_LINE else "command", event.raw))
            self.lines += 1
        elif isinstance(event, ContentReceived):
            assert event.data, "an empty piece of content"
            dotted = event.form is Form.DOTTED
            if event.form is not self.form:  # DATA after chunks of which none was the last
                self.form = event.form
                self.content.clear()
            self.content += unstuff(event.data, event.at_line_start) if dotted else event.data
        elif isinstance(event, ContentRefused):
            self.refused = event.error
        elif isinstance(event, EndOfData):
            self._ended(event)
        else:
            assert isinstance(event, ChunkEnded)

    def _ended(self, event: EndOfData) -> None:
        message, self.content = bytes(self.content), bytearray()
        if self.refused is not None:
            self.seen.append(("refused message", b""))
        else:
            assert len(message) == event.size, f"{event.size} octets are said, {len(message)} were given"
            self.seen.append(("message", message))
        by_bdat = self.end.exchanges[-1].command.kind is not Kind.END_OF_DATA or self.lines_of_chunk
        if not by_bdat:
            self.lines += 1
        if self.refused is not None:
            self.hints[self.lines - 1] = self.refused.reply_hint
        self.refused = None

    @property
    def lines_of_chunk(self) -> bool:
        """True if the exchange of the message is that of its last BDAT."""
        return self.end.unanswered + self.answered == self.lines

    def _give_hints(self) -> None:
        over = self.end.phase in (Phase.MUST_CLOSE, Phase.CLOSED)  # the caller has said 421
        while not over and self.end.exchanges and self.answered in self.hints and not self._arrives():
            hint = self.hints[self.answered]
            self._reply(hint, last=self.broken and self.end.unanswered == 1)
            over = self.end.phase is Phase.MUST_CLOSE

    def _arrives(self) -> bool:
        return self.end.exchanges[0] is self.end.arriving

    def give(self, reply: Reply) -> None:
        """Gives the caller's own reply, which the end may refuse."""
        if self.answered in self.hints:
            return
        try:
            self._reply(reply, last=False)
        except LocalProtocolError:
            return
        self.take()
        self._give_hints()

    def _reply(self, reply: Reply, *, last: bool) -> None:
        greeting = self.end.phase is Phase.GREETING
        owed = self.end.unanswered
        chunk = bool(self.end.exchanges) and self.end.exchanges[0].command.kind is Kind.CHUNK
        assert self.end.pass_reply(reply, last=last) == reply.raw
        if greeting:
            return
        self.codes.append(reply.code)
        self.answered += owed - self.end.unanswered
        over = (chunk and reply.code >= 400) or self.end.phase is Phase.CONTENT
        if over and self.end.in_chunks:
            self.end.drop_chunk()  # the message is over; a caller has to say so
            self.content.clear()


def _play_server_end(tape: Tape, cut: Chunker) -> _Caller:
    config = attrs.evolve(tape.settings.config, client_dialect=Dialect.SMTP)
    caller = _Caller(ServerConnection(config))
    for record in tape.records:
        if record.letter == "c" and not caller.end.eof:
            for piece in cut(record.text):
                caller.end.receive_data(piece)
                caller.take()
        elif record.letter == "s":
            for found in _REPLY.finditer(record.text):
                caller.give(Reply.of(int(found[1]), "x"))
        elif record.letter == "C":
            caller.end.receive_eof()
            caller.take()
        elif record.letter == "h" and caller.end.phase is Phase.TLS:
            caller.end.tls_started()
            caller.take()
    return caller


def _try_server_end(data: bytes) -> bool:
    tape = Tape.read(data)
    if not any(record.letter == "c" for record in tape.records):
        return False
    one, other = _play_server_end(tape, whole), _play_server_end(tape, _cuts(tape))
    assert one.codes == other.codes, "P1: the cuts change the replies"
    assert one.seen == other.seen, f"P1: the cuts change what is read: {one.seen} {other.seen}"
    assert one.content == other.content or one.refused or other.refused
    _compare(one, tape)
    one.end.close()
    assert one.end.buffered == 0
    return True


def _compare(caller: _Caller, tape: Tape) -> None:
    """Checks P4: an independent receiver finds the same, up to the first input that the end refuses; after
    that the two may differ. Only a proxy, not its end, knows which chunks belong to a message."""
    said = b"".join(record.text for record in tape.records if record.letter == "c")
    if b"BDAT" in said.upper():
        return
    found: list[Item] = []
    codes = deque(caller.codes)
    reader = StrictReceiver(lambda _: codes.popleft() if codes else 0, Bdat.CHUNK, as_proxy=True)
    reader.feed(said)
    found = [item for item in reader.items if item.kind != "chunk"]
    for (kind, read), item in zip(caller.seen, found, strict=False):
        if kind.startswith("refused"):
            return
        expected = item.data
        if item.kind == "message":
            expected = canonical(item.data)
        assert (kind, read) == (item.kind, expected), f"read {kind} {read!r}, and it is {item}"


SERVER_END: Final = Target(
    "server-end",
    "the end that faces a client: any octets, any replies",
    _try_server_end,
    _seeds,
)


# The client's end


@attrs.define(eq=False)
class _Asking:
    """Drives a client's end: sends the commands of the tape as soon as they may be sent."""

    end: ClientConnection
    left: deque[Command] = attrs.field(factory=deque[Command])
    sent: bytearray = attrs.field(factory=bytearray)
    seen: list[Any] = attrs.field(factory=list[Any])
    number: int = 0

    def take(self) -> None:
        """Takes the replies that have come. After each, sends the commands that it allows before it takes the
        next one, so that it makes no difference if they came in one segment."""
        while not isinstance(event := self.end.next_event(), Pause):
            if isinstance(event, ReplyReceived):
                answered = None if event.command is None else event.command.raw
                assert event.unsolicited or event.handle == (None if answered is None else self._next(event))
                self.seen.append((event.reply.raw, answered, event.unsolicited))
            else:
                self.seen.append(("broken", event.reply_hint.raw))
            self.send()

    @property
    def broken(self) -> bool:
        """True if the server has broken the protocol."""
        return any(each[0] == "broken" for each in self.seen)

    def _next(self, event: ReplyReceived) -> int:
        """Checks P3: replies come in the order of the commands."""
        before = [each[1] for each in self.seen if each[1] is not None and not isinstance(each[0], str)]
        assert isinstance(event.handle, int)
        assert event.handle == len(before), "a reply for another command than the oldest"
        return event.handle

    def send(self) -> None:
        end = self.end
        while self.left:
            if end.phase is Phase.CONTENT:
                self.sent += end.send_end_of_data(handle=self.number)
            elif end.may_send() or end.phase is Phase.AUTH_LINE:
                command = self.left.popleft()
                if end.phase is Phase.AUTH_LINE:
                    command = auth_line(command.raw)
                try:
                    self.sent += end.send_command(command, handle=self.number)
                except LocalProtocolError:
                    continue  # a line that must not be sent
            else:
                return
            self.number += 1


def _play_client_end(tape: Tape, cut: Chunker) -> _Asking:
    config = attrs.evolve(tape.settings.config, upstream_dialect=Dialect.SMTP)
    asking = _Asking(ClientConnection(config))
    for record in tape.records:
        if record.letter == "c":
            lines = record.text.replace(b"\r\n", b"\n").split(b"\n")
            asking.left.extend(Command.parse(line) for line in lines if line and b"BDAT" not in line.upper())
            asking.send()
        elif record.letter == "s" and not asking.end.eof:
            for piece in cut(record.text):
                asking.end.receive_data(piece)
                asking.take()
        elif record.letter == "S":
            asking.end.receive_eof()
            asking.take()
        elif record.letter == "j" and asking.end.phase is Phase.TLS:
            asking.end.tls_started()
            asking.take()
    return asking


def _try_client_end(data: bytes) -> bool:
    tape = Tape.read(data)
    if not any(record.letter == "s" for record in tape.records):
        return False
    one, other = _play_client_end(tape, whole), _play_client_end(tape, _cuts(tape))
    if not (one.broken or other.broken):  # a reply in advance is one only if it comes before the command
        assert one.seen == other.seen, f"P1: the cuts change what is read: {one.seen} {other.seen}"
        assert one.sent == other.sent
    said = b"".join(record.text for record in tape.records if record.letter == "s")
    read = b"".join(each[0] for each in one.seen if not isinstance(each[0], str))
    assert _plain(said).startswith(_plain(read)), "what is read is not what was said"
    for raw, _, _ in (each for each in one.seen if not isinstance(each[0], str)):
        assert raw.endswith(b"\r\n") and b"\0" not in raw
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw), "a reply that holds a stray CR or LF"
    one.end.close()
    assert one.end.buffered == 0
    return True


def _plain(octets: bytes) -> bytes:
    """The octets without differences that a reader may correct."""
    return octets.replace(b"\r", b"").replace(b"\n", b"").replace(b" ", b"")


CLIENT_END: Final = Target(
    "client-end",
    "the end that faces a server: any octets, any commands",
    _try_client_end,
    _seeds,
)
