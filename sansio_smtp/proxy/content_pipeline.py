"""One message on its way: what the hook places and taps that are asked for make of its content.

A pipeline takes what the client's end framed and gives, one at a time, what is to be done: octets for
the server, a question, a piece to show, or a refusal. It knows no connection. Its mode follows from
what is asked: nothing (RELAY), `Config.tap` (TAP), HEADERS (HEADER, then RELAY), BODY_CHUNK,
BODY_LINE or BODY_LINES (EDIT), MESSAGE (HOLD). Only what must be decoded is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

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
from sansio_smtp.wire.content import ContentWriter, Form, canonical, unstuff, wire_prefix
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .message_store import Held, Spool

__all__ = ["CONTENT_PLACES", "ContentPipeline"]

_BODY_PLACES: Final = frozenset((BODY_CHUNK, BODY_LINE, BODY_LINES))
CONTENT_PLACES: Final = _BODY_PLACES | {HEADERS, MESSAGE}
"""The hook places that make a transfer do more than pass octets on."""

ContentQuestion = HeadersQuestion | BodyQuestion | MessageQuestion
Action = bytes | ContentQuestion | BodyChunk | Reply
"""Wire octets for the server; a question; a piece to show; or the refusal of the message."""


class _Stage(Enum):
    HEADERS = "collecting the header section"
    BODY = "asking for the body"
    RELAY = "wire form passes"
    ENDED = "nothing more to come"


@attrs.define(eq=False)
class ContentPipeline:
    """The content of one message. ``ask`` holds names of hook places; ``limit`` is the largest decoded
    message that the server takes, checked again after an edit."""

    config: Config
    ask: frozenset[str]
    envelope: Envelope
    limit: int | None = None
    make_spool: Callable[[], Spool] | None = None
    """For messages that are too large to be held in memory."""

    held: bool = attrs.field(init=False)
    """Whether the server must not see anything before the verdict (HOLD)."""
    edited: bool = attrs.field(default=False, init=False)
    _stage: _Stage = attrs.field(init=False)
    _input_ended: bool = attrs.field(default=False, init=False)
    _input_size: int = attrs.field(default=0, init=False)
    _pending: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _searched: int = attrs.field(default=0, init=False)
    _held: Held = attrs.field(init=False, repr=False)
    _tapped: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _ready: list[Action] = attrs.field(factory=list[Action], init=False, repr=False)
    _asked: ContentQuestion | None = attrs.field(default=None, init=False)
    _writer: ContentWriter = attrs.field(factory=ContentWriter, init=False)
    _growth: int = attrs.field(default=0, init=False)
    _eight_bit: bool = attrs.field(default=False, init=False)
    _came_eight_bit: bool = attrs.field(default=False, init=False)
    _eight_bit_headers: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.held = MESSAGE in self.ask
        self._held = Held(self.config.max_held, self.make_spool)
        self._stage = _Stage.HEADERS if HEADERS in self.ask else self._body_stage()

    @property
    def plain(self) -> bool:
        """Whether wire form passes untouched and unseen, without `receive`."""
        return (
            self._stage is _Stage.RELAY
            and self.config.tap is Tap.OFF
            and self._writer.at_line_start
            and self._room() is None
        )

    @property
    def ended(self) -> bool:
        """Whether all of it has left, or is held and judged."""
        return self._stage is _Stage.ENDED and self._asked is None and not self._ready

    @property
    def buffered(self) -> int:
        """Octets of content that are kept."""
        return len(self._pending) + self._held.buffered + len(self._tapped)

    def receive(self, wire: bytes, at_line_start: bool, form: Form = Form.DOTTED) -> None:
        """A piece from the client's end, in the form in which it travelled."""
        decoded = wire if form is Form.PLAIN else unstuff(wire, at_line_start)
        if self._stage is _Stage.RELAY and form is Form.PLAIN:
            self._put(decoded)
        elif self._stage is _Stage.RELAY:
            self._relay(wire, at_line_start)
        else:
            self._pending += decoded
        if self.config.tap is not Tap.OFF and self._stage is not _Stage.ENDED:
            self._tap(decoded)

    def receive_end(self, size: int) -> None:
        """End-of-data; ``size`` is what the client's end counted."""
        self._input_ended = True
        self._input_size = size
        if self._tapped:
            self._ready.append(BodyChunk(bytes(self._tapped)))
            self._tapped.clear()

    def next_action(self) -> Action | None:
        """What is to be done next; None if a verdict or more content is awaited, or all is done."""
        while not self._ready and self._asked is None and self._advance():
            pass
        if not self._ready:
            return None
        action = self._ready.pop(0)
        if isinstance(action, ContentQuestion):
            self._asked = action
        return action

    def resume(self, verdict: Continue | Replace) -> None:
        """The verdict on the question that `next_action` gave."""
        question, self._asked = self._asked, None
        assert question is not None
        if isinstance(question, MessageQuestion):
            if isinstance(verdict, Replace):
                self._came_eight_bit |= isinstance(question.data, bytes) and not question.data.isascii()
                self._note_edit(verdict.data, head=True)
                self._held.replace(verdict.data, verdict.rest)
            self._finish_held()
            return
        data = question.data
        self._came_eight_bit |= not data.isascii()
        if isinstance(verdict, Replace):
            data = canonical(verdict.data)
            if isinstance(question, HeadersQuestion):
                data = _close_header_section(data, question.data)
            self._note_edit(data, head=isinstance(question, HeadersQuestion))
            self._growth += len(data) - len(question.data)
        self._put(data)
        if isinstance(question, HeadersQuestion):
            self._stage = self._body_stage()
        elif question.last:
            self._finish_stream()

    def completed(self) -> BodyComplete:
        """The account of the message, once its last octet is out."""
        broken: list[str] = []
        if self.edited:
            mail = self.envelope.mail
            if mail is not None and 0 < mail.declared_size < self.size:
                broken.append("SIZE")
            if (
                self._eight_bit
                and not self._came_eight_bit
                and (self.envelope.declared("BODY") or "").upper() != "8BITMIME"
            ):
                broken.append("8BITMIME")
            if self._eight_bit_headers and self.envelope.declared("SMTPUTF8") is None:
                broken.append("SMTPUTF8")
        return BodyComplete(self.size, self.edited, tuple(broken), self._input_size)

    @property
    def size(self) -> int:
        """Decoded octets of the message as it leaves."""
        return self._held.size if self.held else self._input_size + self._growth

    @property
    def spooled(self) -> bool:
        """Whether the held message leaves in many pieces, for it is not in memory."""
        return self._held.spooled

    def held_wire(self) -> Iterator[bytes]:
        """The held message in wire form, without end-of-data. Once."""
        return self._held.wire()

    def close(self) -> None:
        """Nothing of it is wanted any more."""
        self._held.close()

    def _note_edit(self, data: bytes, *, head: bool) -> None:
        self.edited = True
        self._eight_bit |= not data.isascii()
        if head:
            self._eight_bit_headers |= not data.partition(b"\r\n\r\n")[0].isascii()

    def _body_stage(self) -> _Stage:
        return _Stage.BODY if self.held or self.ask & _BODY_PLACES else _Stage.RELAY

    def _advance(self) -> bool:
        """One step; False if nothing can be done without more content."""
        if self._stage is _Stage.HEADERS:
            return self._advance_headers()
        if self._stage is _Stage.BODY:
            return self._advance_body()
        if self._stage is _Stage.RELAY and self._pending:
            # What came with the end of the header section; later pieces pass as they are.
            self._put(self._take(len(self._pending)))
            return True
        if self._stage is _Stage.RELAY and self._input_ended:
            self._finish_stream()
        return False

    def _advance_headers(self) -> bool:
        end = self._header_section_end()
        limit = self.config.max_header_section
        if end > limit or (end < 0 and len(self._pending) > limit):
            return self._refuse_with(own_replies.header_section_too_large(limit))
        if end < 0:
            return False
        self._searched = 0
        self._ready.append(HeadersQuestion(self._take(end), self.envelope))
        return True

    def _header_section_end(self) -> int:
        """Octets of the header section with its empty line; -1 if it has not ended yet."""
        pending = self._pending
        if pending.startswith(b"\r\n"):
            return 2
        end = pending.find(b"\r\n\r\n", self._searched)
        self._searched = max(0, len(pending) - 3)
        if end >= 0:
            return end + 4
        return len(pending) if self._input_ended else -1

    def _advance_body(self) -> bool:
        if self._pending:
            if BODY_CHUNK in self.ask:
                return self._ask_body(len(self._pending))
            if BODY_LINE in self.ask:
                end = self._pending.find(b"\n", self._searched) + 1
            elif BODY_LINES in self.ask:
                end = self._pending.rfind(b"\n", self._searched) + 1
            else:
                self._put(self._take(len(self._pending)))
                return True
            if end:
                return self._ask_body(end if BODY_LINES in self.ask else min(end, self.config.max_body_line))
            self._searched = len(self._pending)
            if len(self._pending) >= self.config.max_body_line:
                return self._ask_body(self.config.max_body_line)
        if not self._input_ended:
            return False
        if self.ask & _BODY_PLACES:
            self._ready.append(BodyQuestion(b"", self.envelope, last=True))
        else:
            self._finish_stream()
        return True

    def _ask_body(self, count: int) -> bool:
        self._searched = 0
        self._ready.append(BodyQuestion(self._take(count), self.envelope))
        return True

    def _finish_stream(self) -> None:
        self._stage = _Stage.ENDED
        if self.held:
            try:
                self._ready.append(MessageQuestion(self._held.finish(), self.envelope))
            except OSError:
                self._refuse_with(own_replies.NOT_KEPT)
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
            error = self._held.unsendable()
        except OSError:
            self._refuse_with(own_replies.NOT_KEPT)
            return
        if error is not None:
            self._refuse_with(error.reply_hint)

    def _relay(self, wire: bytes, at_line_start: bool) -> None:
        if not self._writer.at_line_start:
            # The line in which the segment of the header section ended was written anew, and is finished
            # so: half of it as it came might make, of NULs and a dot, a line that no check has seen whole.
            end = wire.find(b"\r\n") + 2
            first, wire, at_line_start = (wire[:end], wire[end:], True) if end > 1 else (wire, b"", False)
            self._put(first)
            if not wire or self._stage is _Stage.ENDED:
                return
        room, size = self._room(), len(unstuff(wire, at_line_start))
        if room is not None and size > room:
            if fits := wire_prefix(wire, at_line_start, room):
                self._ready.append(fits)
            self._refuse_edited()
            return
        self._ready.append(wire)
        self._writer.count(size)

    def _put(self, decoded: bytes) -> None:
        """Decoded octets towards the server, or to be kept."""
        if not self.held:
            room = self._room()
            over = room is not None and len(decoded) > room
            if wire := self._writer.feed(_cut(decoded, room) if over else decoded):
                self._ready.append(wire)
            if self._writer.error is not None:
                self._refuse_with(self._writer.error.reply_hint)
            elif over:
                self._refuse_edited()
            return
        try:
            kept = self._held.add(decoded)
        except OSError:
            self._refuse_with(own_replies.NOT_KEPT)
            return
        if not kept:
            self._refuse(f"message is larger than {self.config.max_held} octets, which is all that is held")

    def _room(self) -> int | None:
        """How much more may pass, if an edit may have made the message larger than it was found to be."""
        return self.limit - self._writer.size if self.edited and self.limit is not None else None

    def _refuse_edited(self) -> bool:
        return self._refuse(f"message is larger than {self.limit} octets after an edit")

    def _refuse(self, why: str) -> bool:
        return self._refuse_with(Reply.of(552, why, enhanced="5.3.4"))

    def _refuse_with(self, reply: Reply) -> bool:
        """Behind what has been made ready already, which may leave: the message will not be ended."""
        self._stage = _Stage.ENDED
        self._pending.clear()
        self._held.close()
        self._ready.append(reply)
        return True

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    def _tap(self, decoded: bytes) -> None:
        if self.config.tap is Tap.CHUNKS:
            if decoded:
                self._ready.append(BodyChunk(decoded))
            return
        self._tapped += decoded
        for line in _lines(self._tapped, self.config.max_body_line):
            self._ready.append(BodyChunk(line))


def _cut(decoded: bytes, count: int | None) -> bytes:
    """The first octets, never with half a CRLF at the end."""
    assert count is not None
    return decoded[: count - 1] if decoded[count - 1 : count + 1] == b"\r\n" else decoded[:count]


def _lines(buffer: bytearray, longest: int) -> Iterator[bytes]:
    """Cuts whole lines off a buffer, and pieces of lines that are longer than ``longest``."""
    start = 0
    while (end := buffer.find(b"\n", start) + 1) or len(buffer) - start >= longest:
        end = min(end or len(buffer), start + longest)
        yield bytes(buffer[start:end])
        start = end
    del buffer[:start]


def _close_header_section(data: bytes, original: bytes) -> bytes:
    """An edited header section ends as the original does, so that it cannot run into the body."""
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    has_empty_line = _ends_with_empty_line(original)
    return data + b"\r\n" if has_empty_line and not _ends_with_empty_line(data) else data


def _ends_with_empty_line(data: bytes) -> bool:
    return data == b"\r\n" or data.endswith(b"\r\n\r\n")
