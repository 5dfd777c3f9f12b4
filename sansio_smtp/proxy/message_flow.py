"""Moves the message in flight from the client's 354 to end-of-data at the server, or to a refusal.
`ContentPipeline` decides what to do with the content. This module moves the message through its states
(`states.MESSAGE`) and acts on both connections::

             content                  question
    NONE ─────────────> STREAMING <────────────> JUDGING
                         │  │  │      verdict       │
                         │  │  └──────┬─────────────┘
                         │  │         └ refused ──> DROPPING ── end-of-data ──> NONE: the proxy has answered
                         │  │
                         │  └ end-of-data ──> NONE: the server owes the reply
                         │
                         └ end-of-data of a message that was held: DATA is sent
                             └─> AWAITING_DATA ── 354 ──> it is sent; from a spool in pieces: SENDING
                                      │                     └─> NONE: the server owes the reply
                                      └ refused ──> NONE: the proxy has answered

What must never happen is that the server accepts a refused message, or keeps its envelope. So if the server
has got no content, it gets RSET; if it has, its connection is reset before end-of-data. Only
`MessageFlow._end_at_server` sends end-of-data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sansio_smtp.config import Config, Dialect, Tap
from sansio_smtp.ends.exchanges import Content, Exchange
from sansio_smtp.ends.fan_out import FanOut
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import AwaitReply, BodyChunk, BodyComplete, Event, SendToServer
from sansio_smtp.members import (
    DIALECT_LMTP,
    FORM_DOTTED,
    MESSAGE_DROPPING,
    MESSAGE_NONE,
    MESSAGE_SENDING,
    PHASE_CONTENT,
)
from sansio_smtp.questions import MESSAGE, Answer, AnyVerdict, Continue, Disconnect, Replace
from sansio_smtp.states import MESSAGE as TABLE
from sansio_smtp.states import Message, MessageStep, unforeseen
from sansio_smtp.wire.commands import END_OF_DATA
from sansio_smtp.wire.content import Form
from sansio_smtp.wire.message_id import MessageIdReader
from sansio_smtp.wire.replies import Reply

from . import own_replies
from .chunks import Chunks, taken
from .content_pipeline import ContentPipeline
from .downstream import Downstream
from .forwarding import Forwarding
from .message_store import Room, Spool
from .upstream import Upstream

__all__ = ["MessageFlow"]

# As in `members`: saves 0.3 µs for each step of a usual message.
_CONTENT, _ENDED = MessageStep.CONTENT, MessageStep.ENDED
_ASK, _CONTINUE = MessageStep.ASK, MessageStep.CONTINUE
_NOWHERE: Final[frozenset[str]] = frozenset()


def _is_binary(envelope: Envelope) -> bool:
    """Returns True if the message is declared as binary: it need not have lines (RFC 3030 §3)."""
    return (envelope.declared("BODY") or "").upper() == "BINARYMIME"


class MessageFlow:
    """The message in flight. ``make_spool`` and ``room``: see `Proxy`."""

    __slots__ = (
        "_accounts",
        "_by_recipient",
        "_chunks",
        "_config",
        "_downstream",
        "_end",
        "_forwarding",
        "_id",
        "_make_spool",
        "_out",
        "_pieces",
        "_pipeline",
        "_places",
        "_refusal",
        "_room",
        "_swallowed",
        "_untapped",
        "state",
    )

    def __init__(
        self,
        config: Config,
        downstream: Downstream,
        forwarding: Forwarding,
        out: list[Event],
        make_spool: Callable[[], Spool] | None,
        room: Room | None = None,
    ) -> None:
        self.state = Message.NONE
        self._config = config
        self._downstream = downstream
        self._forwarding = forwarding
        self._out = out
        self._make_spool = make_spool
        self._room = room
        self._untapped = config.tap is Tap.OFF
        self._accounts = config.account
        self._by_recipient = config.client_dialect is Dialect.LMTP
        self._places = _NOWHERE
        self._pipeline: ContentPipeline | None = None
        self._chunks: Chunks | None = None  # a message that comes with BDAT, until its end was sent
        self._end: Exchange | None = None  # the exchange of end-of-data; None before the client has sent it
        self._refusal: Reply | None = None  # the reply to the message, while the rest of it is dropped
        self._swallowed: Reply | None = None  # a refusal of the next message, before its first content
        self._pieces: Iterator[bytes] | None = None  # the rest of a message in a spool, in SENDING
        self._id: MessageIdReader | None = None  # for the message whose content is coming

    @property
    def buffered(self) -> int:
        """Number of octets of content that are kept in memory."""
        kept = self._pipeline.buffered if self._pipeline else 0
        chunks = self._chunks.buffered if self._chunks else 0
        return kept + chunks + self._forwarding.held_octets

    @property
    def has_more(self) -> bool:
        """True if `more` must be called after all octets for the server have been written."""
        return self.state is MESSAGE_SENDING

    @property
    def in_chunks(self) -> bool:
        """True if the client has begun a message with BDAT whose last chunk has not ended."""
        return self._chunks is not None and self._end is None

    @property
    def holds(self) -> bool:
        """True if the next message is kept whole before the server is sent DATA."""
        return MESSAGE in self._places

    @property
    def relays(self) -> bool:
        """True if no message is in flight, and the next one passes unchanged if there is no question."""
        return self.state is MESSAGE_NONE and self._untapped and self._swallowed is None

    def passed(self, data: bytes) -> None:
        """A piece of content has passed unchanged, while `relays`."""
        if self._accounts:
            self._look_for_id(data)
        if self.state is MESSAGE_NONE:
            self._step(_CONTENT)

    def passed_end(self) -> None:
        """The last piece of content and end-of-data have passed unchanged, while `relays`."""
        if self.state is MESSAGE_NONE:
            self._step(_CONTENT)
        self._step(_ENDED)

    def account_of(self, received: int, size: int = 0, *, bare_lf: bool = False) -> Content:
        """The facts about the message whose content has come. The arguments: see `Content`."""
        found, self._id = self._id, None
        return Content(received, size, b"" if found is None else found.value, bare_lf)

    @property
    def message_id(self) -> bytes:
        """The Message-ID of the message whose content is coming, if it has come and is looked for."""
        return b"" if self._id is None else self._id.value

    def _look_for_id(self, data: bytes) -> None:
        if self._id is None:
            self._id = MessageIdReader()
        self._id.feed(data)

    def ask_at(self, places: frozenset[str]) -> None:
        """Sets the hook places for questions about the next message."""
        self._places = places

    def _step(self, step: MessageStep) -> None:
        """Moves the state; it changes nowhere else. This does not call `following`, to save a call for each
        message."""
        after = TABLE[self.state].get(step)
        if after is None:
            raise unforeseen(self.state, step)
        self.state = after

    # Input of the client

    def content(self, data: bytes, at_line_start: bool, form: Form = FORM_DOTTED) -> None:
        """Takes a piece of content: see `ContentReceived`."""
        if self._accounts:
            self._look_for_id(data)
        if self.state is MESSAGE_NONE:
            if self._swallowed is None:
                self._step(_CONTENT)
            else:
                self._begin()
        if self.state is MESSAGE_DROPPING:
            return
        if self._chunks is not None:
            if self._untapped and not self._places and self._chunks.native:
                self._chunks.add(data)
            else:
                pipeline = self._open_pipeline()
                pipeline.receive(data, at_line_start, form)
                self._advance(pipeline)
            return
        if self._untapped and not self._places and form is FORM_DOTTED:
            self._out.append(SendToServer(self._forwarding.leg.end.pass_content(data)))  # as `_send`
            return
        pipeline = self._open_pipeline()
        if pipeline.plain and form is FORM_DOTTED:
            self._send(data)
        else:
            pipeline.receive(data, at_line_start, form)
            self._advance(pipeline)

    def end_of_data(self, size: int, bare_lf: bool = False) -> None:
        """Takes the client's end-of-data; ``size`` counts the decoded octets. ``bare_lf``: see `Content`."""
        self._end = self._downstream.end.exchanges[-1]
        if self.state is MESSAGE_NONE:
            self._begin()
        if self._accounts:
            self._end.came_with(self.account_of(size, bare_lf=bare_lf))
        if self._refusal is not None:
            self._answer(self._refusal)
            return
        untouched = self._untapped and not self._places and self._pipeline is None
        if untouched and (self._chunks is None or self._chunks.native):
            self._out.append(BodyComplete(size, received=size))
            if self._end.content is not None:
                self._end.content.leaves(size)
            self._end_at_server(b"")
            return
        pipeline = self._open_pipeline()
        pipeline.receive_end(size)
        self._advance(pipeline)

    # Chunks

    def begin_chunks(self, exchange: Exchange) -> None:
        """Takes the first BDAT of a message, when the replies to all commands before it are known."""
        client, end = self._downstream.end, self._forwarding.leg.end
        binary = _is_binary(client.envelope)
        native = self._forwarding.leg.may_take_chunks and (not binary or _is_binary(end.transaction.envelope))
        if not client.in_transaction:
            self._refuse_stray(exchange, own_replies.NO_TRANSACTION)
        elif not client.envelope.recipients:
            self._refuse_stray(exchange, own_replies.NO_RECIPIENT)
        elif binary and self._swallowed is None and not native:
            self._chunks = Chunks(self._forwarding, 1, native=False)
            self._step(_CONTENT)
            self._chunks.next_chunk(exchange)
            self.refuse(own_replies.NOT_BINARY)
        else:
            native = native and not self.holds
            self._chunks = Chunks(self._forwarding, self._config.max_chunk, native, binary)
            self._chunks.next_chunk(exchange)
            self._begin()

    def next_chunk(self, exchange: Exchange) -> None:
        """Takes a BDAT of the message that is `in_chunks`."""
        assert self._chunks is not None  # the message is in chunks
        self._chunks.next_chunk(exchange)

    def chunk_ended(self, exchange: Exchange) -> None:
        """All octets of this chunk have come. More chunks follow, unless it was refused."""
        chunks = self._chunks
        if chunks is not None and exchange is chunks.chunk and not chunks.end_chunk():
            self._downstream.fill(exchange, taken(exchange))

    def abandon(self) -> None:
        """The client abandons the message that is `in_chunks`."""
        self._downstream.end.drop_chunk()
        if self._refusal is None:
            self._forwarding.reset_server()
        self._forget()
        self._step(MessageStep.ABANDONED)

    def chunk_answered(self, exchange: Exchange, reply: Reply) -> None:
        """The server has replied to the rest of this chunk of the client, or has refused a part of it. After
        a refusal the message is over."""
        chunks, fill = self._chunks, self._downstream.fill
        if reply.code < 300:
            if chunks is not None:
                chunks.answered(exchange)
            fill(exchange, reply)
        elif self.state is MESSAGE_DROPPING:
            pass  # a verdict has accepted the message, so all its chunks are answered
        elif chunks is None or not chunks.owns(exchange):
            self._drop_unsent((exchange, reply))  # if its last chunk was not sent yet
        elif exchange is chunks.chunk and (self._end is None or self._end is exchange):
            self._refuse_chunks(chunks, reply)
        else:
            self._refuse_chunks(chunks, own_replies.MESSAGE_OVER, (exchange, reply))

    def addition_refused(self) -> None:
        """The server has refused a recipient that a verdict added to this message."""
        if self._chunks is not None:
            self.refuse(own_replies.NO_COPY)
        else:
            self._drop_unsent(None, own_replies.NO_COPY)

    def _drop_unsent(
        self, cause: tuple[Exchange, Reply] | None, reply: Reply = own_replies.MESSAGE_OVER
    ) -> None:
        """If the last chunk of a message is waiting to be sent, removes it: the server must not get it.
        ``cause`` is the refused chunk with its reply."""
        left_out = self._forwarding.drop_chunks()
        if left_out:
            self._forwarding.reset_server()
        if cause is not None:
            self._downstream.fill(*cause)
        for chunk in left_out:
            if cause is None or chunk is not cause[0]:
                self._downstream.fill(chunk, reply)

    def _refuse_stray(self, exchange: Exchange, reply: Reply) -> None:
        self._downstream.end.drop_chunk(stray=True)
        self._swallowed = None
        self._downstream.fill(exchange, reply)

    def _accept_chunks(self, chunks: Chunks, reply: Reply) -> None:
        """A verdict has accepted the message in place of the server: the rest of it is dropped, and its last
        chunk gets this reply."""
        chunks.drop()
        self._drop_pipeline()
        self._forwarding.drop_chunks()
        self._forwarding.reset_server()
        self._refusal = reply
        self._step(MessageStep.REFUSE)
        for chunk in chunks.take_awaited():
            self._downstream.fill(chunk, taken(chunk))

    def _refuse_chunks(
        self, chunks: Chunks, reply: Reply, cause: tuple[Exchange, Reply] | None = None
    ) -> None:
        """Refuses the message in chunks, with this reply to the arriving chunk. ``cause``: see
        `_drop_unsent`. First makes sure that nothing more is sent, because a reply may let the queue go
        on."""
        client, forwarding = self._downstream, self._forwarding
        client.end.drop_chunk()
        left_out = forwarding.drop_chunks()
        if self._refusal is None and reply.code != 421:
            forwarding.reset_server()
        exchange = self._end or chunks.chunk
        assert exchange is not None  # a message begins with a chunk
        self._forget()
        self._step(MessageStep.ANSWERED)
        if cause is not None:
            client.fill(*cause)
        accepted = reply.code < 300  # a verdict has accepted it at its end
        for chunk in chunks.take_awaited() if accepted else left_out:
            if chunk is not exchange:
                client.fill(chunk, taken(chunk) if accepted else own_replies.MESSAGE_OVER)
        client.fill(exchange, reply)

    def _begin(self) -> None:
        """Begins a message: its first content has come, or its end-of-data."""
        if self._swallowed is None:
            self._step(_CONTENT)
        else:
            self._refusal, self._swallowed = self._swallowed, None
            self._step(MessageStep.REFUSE)

    # Refusals

    def swallow(self, reply: Reply) -> None:
        """Drops the client's next message, and answers it with this reply. The message before it may still be
        in progress."""
        self._swallowed = reply
        self._forwarding.reset_server()

    def refuse(self, reply: Reply, *, first: bool = False) -> None:
        """Refuses the message with this reply, or with the reply of an earlier refusal; the server must not
        accept it. ``first``: see `Forwarding.reset_server`."""
        if self.state is MESSAGE_NONE:
            self._begin()
        if self._chunks is not None:
            if reply.code < 300 and self._end is None:
                self._accept_chunks(self._chunks, reply)
            else:
                self._refuse_chunks(self._chunks, reply)
            return
        self._drop_pipeline()
        earlier = self._refusal
        if earlier is None or earlier.severity == 2:  # swallowed with 2xx, now refused
            self._refusal = reply
        if earlier is None:
            if self._forwarding.leg.end.phase is PHASE_CONTENT:
                self._forwarding.detach()
            elif reply.code != 421:  # 421 ends both sides anyway
                self._forwarding.reset_server(first=first)
        if self._end is None:
            self._step(MessageStep.REFUSE)
        else:
            self._answer(self._refusal or reply)

    def data_answered(self, reply: Reply) -> None:
        """Takes the server's reply to the DATA of a held message."""
        forwarding, pipeline = self._forwarding, self._pipeline
        assert pipeline is not None  # it is held
        if forwarding.leg.end.phase is PHASE_CONTENT:
            self._send_held(pipeline)
        else:
            # The transaction ends for the client, so it must end at the server. 2xx to DATA does not accept a
            # message (RFC 5321 §4.1.1.4).
            forwarding.reset_server(first=True)
            self._answer(reply if reply.code >= 400 else own_replies.NOT_TAKEN)

    def more(self) -> None:
        """Sends the next piece of a message in a spool, or end-of-data after the last one."""
        assert self._pieces is not None  # a message is being sent
        try:
            wire = next(self._pieces, None)
        except OSError:
            self.refuse(own_replies.NOT_KEPT)  # in the middle of a message: resets the server
            return
        if wire is None:
            self._end_at_server(b"")
        else:
            self._send(wire)

    def close(self) -> None:
        """The dialogue is over."""
        self._swallowed = None
        found = self._id
        self._forget()
        self._id = found  # for the account of a message whose end has not come
        self._step(MessageStep.CLOSE)

    # The pipeline

    def _open_pipeline(self) -> ContentPipeline:
        if self._pipeline is None:
            client, chunks = self._downstream.end, self._chunks
            self._pipeline = ContentPipeline(
                self._config,
                self._places,
                client.envelope,
                self._downstream.largest,
                form=Form.PLAIN if chunks is not None and chunks.native else Form.DOTTED,
                binary=chunks is not None and chunks.binary,
                keep=chunks is not None and not chunks.native,
                make_spool=self._make_spool,
                room=self._room,
            )
        return self._pipeline

    def _advance(self, pipeline: ContentPipeline) -> None:
        """Does the pipeline's actions, until it asks a question or needs more content."""
        while (action := pipeline.next_action()) is not None:
            if isinstance(action, bytes):
                self._send(action)
            elif isinstance(action, BodyChunk):
                self._out.append(action)
            elif isinstance(action, Reply):
                self._downstream.tally.hit(pipeline.limit_hit)
                self.refuse(action)
                return
            else:
                self._step(_ASK)
                self._downstream.ask(action, self._judged)
                return
        if pipeline.ended:
            self._finish(pipeline)

    def _judged(self, verdict: AnyVerdict) -> None:
        if self.state is not Message.JUDGING:
            return  # the server has refused a chunk of the message meanwhile
        if isinstance(verdict, Answer):
            self.refuse(verdict.reply)
        elif isinstance(verdict, Disconnect):
            end = self._end
            if end is None and self._chunks is not None:
                end = self._chunks.chunk
            self._forget()
            self._step(MessageStep.ANSWERED)
            self._downstream.end_session(end, verdict.reply)
        else:
            assert isinstance(verdict, Continue | Replace)
            assert self._pipeline is not None  # it asked
            if verdict.recipients and self._forwarding.leg.end.phase is PHASE_CONTENT:
                self.refuse(own_replies.NO_COPY)  # no RCPT can be sent in mail data
                return
            self._forwarding.add_recipients(verdict.recipients)
            self._step(_CONTINUE)
            self._pipeline.resume(verdict)
            self._advance(self._pipeline)

    def _finish(self, pipeline: ContentPipeline) -> None:
        completed = pipeline.completed()
        self._out.append(completed)
        if self._end is not None and self._end.content is not None:
            self._end.content.leaves(completed.size)
        if not pipeline.held:
            self._end_at_server(b"")
            return
        if self._chunks is not None and not self._forwarding.leg.has_recipients:
            self.refuse(own_replies.NOBODY_THERE)  # only verdicts have accepted recipients
            return
        if self._chunks is not None and self._chunks.binary:
            self._send_binary(pipeline, self._chunks)
            return
        self._chunks = None  # from now on the message is held
        self._step(MessageStep.KEPT)
        if self._forwarding.leg.end.phase is PHASE_CONTENT:
            self._send_held(pipeline)
        else:
            self._forwarding.send_held_data()

    def _drop_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    def _forget(self) -> None:
        if self._pipeline is not None:
            self._drop_pipeline()
        self._end = self._refusal = self._pieces = self._chunks = self._id = None

    # The server's side

    def _send(self, wire: bytes) -> None:
        if self._chunks is not None:
            self._chunks.add(wire)
            return
        self._out.append(SendToServer(self._forwarding.leg.end.pass_content(wire)))

    def _send_held(self, pipeline: ContentPipeline) -> None:
        if pipeline.spooled:
            self._step(MessageStep.GO_AHEAD)
            self._pieces = pipeline.held_wire()
            self.more()
        else:
            self._end_at_server(b"".join(pipeline.held_wire()))

    def _send_binary(self, pipeline: ContentPipeline, chunks: Chunks) -> None:
        """Sends a held binary message in chunks, as parts of the client's last chunk."""
        assert self._end is not None  # the message is held until its end
        chunks.next_chunk(self._end)
        self._pieces = pipeline.held_wire()
        self._forwarding.expect_chunk()  # the client's next command comes after the last one
        self._send_pieces(chunks, self._pieces)

    def part_taken(self, chunk: Exchange) -> None:
        """The server has accepted a part of this chunk of the client, and more parts follow."""
        chunks = self._chunks
        if chunks is not None and chunks.owns(chunk):
            chunks.part_taken()
            if self._pieces is not None:
                self._send_pieces(chunks, self._pieces)

    def _send_pieces(self, chunks: Chunks, pieces: Iterator[bytes]) -> None:
        """Sends the next or last part of a held binary message. Each part waits for the reply to the part
        before it, so that only one piece of a spooled message is in memory."""
        try:
            while not chunks.parts and (piece := next(pieces, None)) is not None:
                chunks.add(piece)
        except OSError:
            self.refuse(own_replies.NOT_KEPT)
            return
        if not chunks.parts:
            self._forwarding.expected_chunk_came()
            self._end_at_server(b"")

    def _end_at_server(self, wire: bytes) -> None:
        """Ends the message at the server; this happens nowhere else (promise P7). ``wire`` is its last
        content."""
        end = self._end
        assert end is not None  # the client has sent end-of-data
        if wire:
            self._send(wire)
        leg = self._forwarding.leg
        if self._by_recipient or leg.end.dialect is DIALECT_LMTP:
            self._share_out(end, leg)
        if self._chunks is not None:
            self._chunks.end(end)
        else:
            self._out.append(SendToServer(leg.end.pass_end_of_data(end)))
            self._out.append(AwaitReply(END_OF_DATA))
        self._forget()
        self._step(_ENDED)

    def _share_out(self, end: Exchange, leg: Upstream) -> None:
        """Prepares replies by recipient, if one side or both use them."""
        fan_out = FanOut(self._downstream.end.envelope, self._by_recipient)
        fan_out.sent_to(leg.end.transaction.envelope.recipients, by_recipient=leg.speaks_lmtp)
        end.share(fan_out)

    def _answer(self, reply: Reply) -> None:
        end = self._end
        assert end is not None  # the client has sent end-of-data
        self._forget()
        self._step(MessageStep.ANSWERED)
        self._downstream.fill_all(end, reply)
