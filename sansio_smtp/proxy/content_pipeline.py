"""The content of one message, from incoming pieces through questions and edits to outgoing octets. A pipeline
takes content from the client's end, and returns one action at a time: send octets to the server, ask a
question, show a piece, refuse the message. It knows no connection. The wanted hook places choose its stages::

                                       no body place
    HEADERS ─┬─> [ HEADERS ] ── verdict ──┬──────> [ RELAY ] ─── end-of-data ──┐
    asked    │   the header section       │        pieces leave as they came   │
             │   is collected             v                                    v
    body ────┴──────────────────────> [ BODY ] ─── end-of-data ───────────> [ ENDED ] <── anything is refused
    place                             pieces or lines are asked about;
    asked                             MESSAGE: all is kept, asked about at its end

What must never happen: octets leave before their verdict, so the content of a question waits in the pipeline
or in the `MessageStore`; an edit makes a message too large for the server, or lets a receiver read it as two
messages, so edited content is counted again and written by `ContentWriter`; the result depends on how the
octets were cut into segments.

Content is decoded only if a question or `Config.tap` needs it. If only the header section is asked about, the
first pieces wait in wire form: an unedited message leaves as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final, cast

import attrs

from sansio_smtp.config import Config, Tap
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import BodyChunk, BodyComplete
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    HEADERS,
    MESSAGE,
    BodyQuestion,
    Continue,
    HeadersQuestion,
    MessageQuestion,
    Replace,
)
from sansio_smtp.wire.chunk_reader import ChunkWriter
from sansio_smtp.wire.content import ContentWriter, Form, canonical, decoded_size, unstuff, wire_prefix
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .content_cuts import Pending, close_header_section, fitting, take_lines
from .message_store import MessageStore, Room, Spool

__all__ = ["ContentPipeline"]

_BODY_PLACES: Final = frozenset((BODY_CHUNK, BODY_LINE, BODY_LINES))
_WIRED: Final = (frozenset((HEADERS,)), frozenset((BODY_LINES,)), frozenset((HEADERS, BODY_LINES)))
"""With only these hook places, questions are about whole lines."""

_EIGHT_BIT: Final = frozenset(("8BITMIME", "BINARYMIME"))

ContentQuestion = HeadersQuestion | BodyQuestion | MessageQuestion
Action = bytes | ContentQuestion | BodyChunk | Reply
"""An action: octets for the server, in the pipeline's form; a question; a piece to show; or the reply that
refuses the message."""


_no_actions: Final = cast("type[list[Action]]", list)  # see `sansio_smtp.ends.transaction`


class _Stage(Enum):
    HEADERS = "the header section is collected, to be asked about"
    BODY = "content is asked about piece by piece, or kept"
    RELAY = "content leaves as it came"
    ENDED = "all content has been handled, or the message is refused"


@attrs.define(eq=False)
class ContentPipeline:
    """The content of one message. ``ask`` holds the names of hook places. ``limit`` is the largest message
    that the server takes, in decoded octets; it is checked again after an edit. None is no limit."""

    config: Config
    ask: frozenset[str]
    envelope: Envelope
    limit: int | None = None
    make_spool: Callable[[], Spool] | None = None
    """Makes room for a message that is larger than `Config.max_held`; without it such a message is
    refused."""
    form: Form = Form.DOTTED
    """The form in which content is sent to the server."""
    binary: bool = False
    """True if the message is declared BINARYMIME: then line ends are not corrected."""
    keep: bool = False
    """True if the message is kept whole, although there is no question MESSAGE."""
    room: Room | None = None
    """The total memory of all messages that are kept whole."""

    held: bool = attrs.field(init=False)
    """True if the message is kept whole, until the verdict of a question MESSAGE if there is one, so that the
    server gets none of it before."""
    limit_hit: str = attrs.field(default="", init=False)
    """The limit that refused the message: a field of `Config`, or ``"max_held_total"``."""
    edited: bool = attrs.field(default=False, init=False)
    """True if a verdict has replaced content."""
    _stage: _Stage = attrs.field(init=False)
    _input_ended: bool = attrs.field(default=False, init=False)
    _input_size: int = attrs.field(default=0, init=False)
    _pending: Pending = attrs.field(init=False, repr=False)
    _store: MessageStore = attrs.field(init=False, repr=False)
    _tapped: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _ready: list[Action] = attrs.field(factory=_no_actions, init=False, repr=False)
    _asked: ContentQuestion | None = attrs.field(default=None, init=False)
    _writer: ContentWriter | ChunkWriter = attrs.field(init=False)
    _growth: int = attrs.field(default=0, init=False)
    _eight_bit: bool = attrs.field(default=False, init=False)
    _came_eight_bit: bool = attrs.field(default=False, init=False)
    _eight_bit_headers: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.held = self.keep or MESSAGE in self.ask
        dotted = self.form is Form.DOTTED
        self._writer = ContentWriter() if dotted else ChunkWriter(self.binary)
        if self.held:
            self._store = MessageStore(self.config.max_held, self.make_spool, self.binary, self.room)
        self._stage = _Stage.HEADERS if HEADERS in self.ask else self._body_stage()
        wired = dotted and self.config.tap is Tap.OFF and not self.held and self.ask in _WIRED
        self._pending = Pending(wired)

    @property
    def plain(self) -> bool:
        """True if the next piece may be sent to the server as it came, without a call of `receive`."""
        return (
            self._stage is _Stage.RELAY
            and self.config.tap is Tap.OFF
            and self._writer.at_line_start
            and self._room() is None
        )

    @property
    def ended(self) -> bool:
        """True if all content has been sent; for a held message, if it is complete and its verdict is
        known."""
        return self._stage is _Stage.ENDED and self._asked is None and not self._ready

    @property
    def buffered(self) -> int:
        """Number of octets of content that are kept in memory."""
        held = self._store.buffered if self.held else 0
        return len(self._pending.octets) + held + len(self._tapped)

    def receive(self, wire: bytes, at_line_start: bool, form: Form = Form.DOTTED) -> None:
        """Takes a piece from the client's end, in its original form."""
        if self._pending.wired and form is Form.PLAIN:
            self._pending.decode()
        if self._stage is _Stage.RELAY and form is Form.DOTTED:
            self._relay(wire, at_line_start)
        elif self._pending.wired:
            self._pending.add(wire)
        else:
            decoded = wire if form is Form.PLAIN else unstuff(wire, at_line_start)
            if self._stage is _Stage.RELAY or (self._stage is _Stage.BODY and not self.ask & _BODY_PLACES):
                self._put(decoded)
            else:
                self._pending.add(decoded)
        if self.config.tap is not Tap.OFF and self._stage is not _Stage.ENDED:
            self._tap(wire if form is Form.PLAIN else unstuff(wire, at_line_start))

    def receive_end(self, size: int) -> None:
        """Takes end-of-data; ``size`` is the number of decoded octets that came."""
        self._input_ended = True
        self._input_size = size
        if self._tapped:
            self._ready.append(BodyChunk(bytes(self._tapped)))
            self._tapped.clear()

    def next_action(self) -> Action | None:
        """The next action; None if a verdict or more content is needed first, or if everything is done."""
        while not self._ready and self._asked is None and self._advance():
            pass
        if not self._ready:
            return None
        action = self._ready.pop(0)
        if isinstance(action, ContentQuestion):
            self._asked = action
        return action

    def resume(self, verdict: Continue | Replace) -> None:
        """Takes the verdict on the question that `next_action` returned last."""
        question, self._asked = self._asked, None
        assert question is not None
        if isinstance(question, MessageQuestion):
            if isinstance(verdict, Replace):
                self._came_eight_bit |= isinstance(question.data, bytes) and not question.data.isascii()
                self._note_edit(verdict.data, head=True)
                self._store.replace(verdict.data, verdict.rest)
            self._finish_held()
            return
        data = question.data
        self._came_eight_bit |= not data.isascii()
        if isinstance(verdict, Replace):
            in_head = isinstance(question, HeadersQuestion)
            data = verdict.data if self.binary and not in_head else canonical(verdict.data)
            if in_head:
                data = close_header_section(data, question.data)
            self._note_edit(data, head=in_head)
            self._growth += len(data) - len(question.data)
        wire = self._pending.asked_wire if question.data else b""  # the last question takes nothing
        if not wire or isinstance(verdict, Replace) or not self._writer.at_line_start:
            self._put(data)  # also after an edit that removed the end of a line
        elif self._body_stage() is _Stage.RELAY:
            self._pending.put_back(wire)  # is sent in one piece with the next content
        else:
            self._pass(wire, len(data))
        if isinstance(question, HeadersQuestion):
            self._stage = self._body_stage()
        elif question.last:
            self._finish_stream()

    def completed(self) -> BodyComplete:
        """The event for the whole message, when its last octet has been handled."""
        broken: list[str] = []
        if self.edited:
            mail = self.envelope.mail
            if mail is not None and 0 < mail.declared_size < self.size - self.config.headroom:
                broken.append("SIZE")
            if (
                self._eight_bit
                and not self._came_eight_bit
                and (self.envelope.declared("BODY") or "").upper() not in _EIGHT_BIT
            ):
                broken.append("8BITMIME")
            if self._eight_bit_headers and self.envelope.declared("SMTPUTF8") is None:
                broken.append("SMTPUTF8")
        return BodyComplete(self.size, self.edited, tuple(broken), self._input_size)

    @property
    def size(self) -> int:
        """The number of decoded octets of the outgoing message."""
        return self._store.size if self.held else self._input_size + self._growth

    @property
    def spooled(self) -> bool:
        """True if the held message is in a spool, so that it is sent in many pieces."""
        return self._store.spooled

    def held_wire(self) -> Iterator[bytes]:
        """The held message in its outgoing form, in pieces, without end-of-data. Can be used once."""
        return self._store.wire()

    def close(self) -> None:
        """Releases what is kept."""
        if self.held:
            self._store.close()

    def _note_edit(self, data: bytes, *, head: bool) -> None:
        self.edited = True
        self._eight_bit |= not data.isascii()
        if head:
            self._eight_bit_headers |= not data.partition(b"\r\n\r\n")[0].isascii()

    def _body_stage(self) -> _Stage:
        return _Stage.BODY if self.held or self.ask & _BODY_PLACES else _Stage.RELAY

    def _advance(self) -> bool:
        """Does one step. Returns False if nothing can be done without more content."""
        if self._stage is _Stage.HEADERS:
            return self._advance_headers()
        if self._stage is _Stage.BODY:
            return self._advance_body()
        if self._stage is _Stage.RELAY and self._pending.octets:
            # Body octets that came in one piece with the end of the header section. Later pieces are sent
            # unchanged.
            pending = self._pending
            octets = pending.take(len(pending.octets))
            if pending.wired:
                self._relay(octets, True)
            else:
                self._put(octets)
            return True
        if self._stage is _Stage.RELAY and self._input_ended:
            self._finish_stream()
        return False

    def _advance_headers(self) -> bool:
        pending = self._pending
        end = pending.header_section_end(whole=self._input_ended)
        limit = self.config.max_header_section
        if end > limit or (end < 0 and len(pending.octets) > limit):
            if pending.wired:
                pending.decode()  # stuffed dots do not count
                return True
            self.limit_hit = "max_header_section"
            return self._refuse_with(own_replies.header_section_too_large(limit))
        if end < 0:
            return False
        self._ready.append(HeadersQuestion(pending.take_asked(end), self.envelope))
        return True

    def _pass(self, wire: bytes, size: int) -> None:
        """Sends whole lines unchanged; ``size`` is their decoded size."""
        room = self._room()
        if room is None or size <= room:
            self._ready.append(wire)
            self._count(size)
        else:
            self._relay(wire, True)

    def _advance_body(self) -> bool:
        pending, longest = self._pending, self.config.max_body_line
        size = len(pending.octets)
        if size:
            if BODY_CHUNK in self.ask:
                return self._ask_body(size)
            by_lines = BODY_LINE not in self.ask
            if by_lines and BODY_LINES not in self.ask:
                self._put(pending.take(size))
                return True
            end = pending.line_end(last=by_lines)
            if end:
                return self._ask_body(end if by_lines else min(end, longest))
            if size >= longest:
                if pending.wired:
                    pending.decode()  # the question is about a part of the line
                    return True
                return self._ask_body(longest)
            if self._input_ended:
                return self._ask_body(size)  # a message in chunks may end within a line
        if not self._input_ended:
            return False
        if self.ask & _BODY_PLACES:
            self._ready.append(BodyQuestion(b"", self.envelope, last=True))
        else:
            self._finish_stream()
        return True

    def _ask_body(self, count: int) -> bool:
        self._ready.append(BodyQuestion(self._pending.take_asked(count), self.envelope))
        return True

    def _finish_stream(self) -> None:
        self._stage = _Stage.ENDED
        if self.held:
            try:
                whole = self._store.finish()
            except OSError:
                self._refuse_with(own_replies.NOT_KEPT)
                return
            if MESSAGE in self.ask:
                self._ready.append(MessageQuestion(whole, self.envelope))
            else:
                self._finish_held()
            return
        room = self._room()
        tail = self._writer.finish()
        self._growth += len(tail)
        if self._writer.error is not None:
            self._refuse_with(self._writer.error.reply_hint)
        elif room is not None and len(tail) > room:
            self._refuse_edited()
        elif tail:
            self._ready.append(tail)

    def _finish_held(self) -> None:
        if self.edited and self.limit is not None and self.size > self.limit:
            self._refuse_edited()
            return
        try:
            error = self._store.unsendable()
        except OSError:
            self._refuse_with(own_replies.NOT_KEPT)
            return
        if error is not None:
            self._refuse_with(error.reply_hint)

    def _relay(self, wire: bytes, at_line_start: bool) -> None:
        if not self._writer.at_line_start:
            # The piece with the end of the header section ended within a line, whose beginning went through
            # `ContentWriter`. The end of the line must go there too, so that the check for NUL lines sees the
            # whole line.
            end = wire.find(b"\r\n") + 2
            first, wire, at_line_start = (wire[:end], wire[end:], True) if end > 1 else (wire, b"", False)
            self._put(first)
            if not wire or self._stage is _Stage.ENDED:
                return
        room = self._room()
        if room is None:
            self._ready.append(wire)
            return
        size = decoded_size(wire, at_line_start)
        if size > room:
            if fits := wire_prefix(wire, at_line_start, room):
                self._ready.append(fits)
            self._refuse_edited()
            return
        self._ready.append(wire)
        self._count(size)

    def _count(self, size: int) -> None:
        assert isinstance(self._writer, ContentWriter)  # content after BDAT has its own writer
        self._writer.count(size)

    def _put(self, decoded: bytes) -> None:
        """Sends decoded octets to the server, or keeps them if the message is held."""
        if not self.held:
            room = self._room()
            over = room is not None and len(decoded) > room
            if wire := self._writer.feed(fitting(decoded, room) if over else decoded):
                self._ready.append(wire)
            if self._writer.error is not None:
                self._refuse_with(self._writer.error.reply_hint)
            elif over:
                self._refuse_edited()
            return
        try:
            kept = self._store.add(decoded)
        except OSError:
            self._refuse_with(own_replies.NOT_KEPT)
            return
        if not kept and self._store.crowded:
            self.limit_hit = "max_held_total"
            self._refuse_with(own_replies.NO_ROOM)
        elif not kept:
            self.limit_hit = "max_held"
            self._refuse(f"message is larger than {self.config.max_held} octets, which is all that is held")

    def _room(self) -> int | None:
        """The number of decoded octets that may still be sent; None if there is no limit, or if nothing was
        edited: then the client's end has checked the size."""
        return self.limit - self._writer.size if self.edited and self.limit is not None else None

    def _refuse_edited(self) -> bool:
        return self._refuse(f"message is larger than {self.limit} octets after an edit")

    def _refuse(self, why: str) -> bool:
        return self._refuse_with(Reply.of(552, why, enhanced="5.3.4"))

    def _refuse_with(self, reply: Reply) -> bool:
        """Refuses the message after the actions that are ready. They may still be done, because the message
        will get no end-of-data."""
        self._stage = _Stage.ENDED
        self._pending.clear()
        self.close()
        self._ready.append(reply)
        return True

    def _tap(self, decoded: bytes) -> None:
        if self.config.tap is Tap.CHUNKS:
            if decoded:
                self._ready.append(BodyChunk(decoded))
            return
        self._tapped += decoded
        for line in take_lines(self._tapped, self.config.max_body_line):
            self._ready.append(BodyChunk(line))
