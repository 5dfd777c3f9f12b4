"""A transfer driven to its end, and what came out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sansio_smtp.config import Config, Tap
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import BodyChunk
from sansio_smtp.proxy.content_pipeline import ContentPipeline
from sansio_smtp.proxy.message_store import Spool
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    HEADERS,
    MESSAGE,
    Continue,
    Replace,
)
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import ContentReader
from sansio_smtp.wire.replies import Reply

from .readings import Read

Judge = Callable[[Any], Continue | Replace]

LETTER = b"A: b\r\nC: d\r\n\r\nHello\r\n..dots\r\nend\r\n"
"""In wire form."""
END = b".\r\n"


def accept(_: object) -> Continue:
    return Continue()


def replacing(edits: dict[bytes, bytes]) -> Judge:
    """Replaces what is in the table, and lets all else pass."""
    return lambda asked: Replace(edits[asked.data]) if asked.data in edits else Continue()


class Run:
    """What a transfer made of a message: what left, what was asked and shown, and how it ended."""

    def __init__(self, transfer: ContentPipeline, pieces: Iterable[bytes], judge: Judge = accept) -> None:
        self.transfer = transfer
        self.judge = judge
        self.sent = b""
        self.asked: list[Any] = []
        self.shown: list[bytes] = []
        self.refusal: Reply | None = None
        self.most = 0
        reader = ContentReader()
        for piece in pieces:
            wire = reader.feed(piece)
            if wire and self.refusal is None:
                transfer.receive(wire, reader.at_line_start)
                self.advance()
            if reader.error is not None and self.refusal is None:
                self.refusal = reader.error.reply_hint
        if reader.finished and self.refusal is None:
            transfer.receive_end(reader.size)
            self.advance()

    def advance(self) -> None:
        while self.refusal is None and (action := self.transfer.next_action()) is not None:
            self.most = max(self.most, self.transfer.buffered)
            match action:
                case bytes():
                    assert action
                    self.sent += action
                case BodyChunk():
                    self.shown.append(action.data)
                case Reply():
                    self.refusal = action
                case _:
                    assert not self.transfer.ended
                    assert self.transfer.next_action() is None
                    self.asked.append(action)
                    self.transfer.resume(self.judge(action))

    @property
    def data(self) -> list[bytes]:
        return [question.data for question in self.asked]


def transfer(
    *ask: str,
    mail: str = "MAIL FROM:<a>",
    limit: int | None = None,
    tap: Tap = Tap.OFF,
    spool: Spool | None = None,
    **sizes: int,
) -> ContentPipeline:
    config = Config(tap=tap, **sizes)  # type: ignore[arg-type]
    make_spool = (lambda: spool) if spool is not None else None
    return ContentPipeline(config, frozenset(ask), Envelope(Command.of(mail)), limit, make_spool)


def decoded(wire: bytes) -> bytes:
    """What a receiver makes of what was sent."""
    read = Read(ContentReader(), [wire + END])
    assert read.finished
    assert read.rest == b""
    return read.decoded


MODES = [
    (),
    (HEADERS,),
    (BODY_CHUNK,),
    (BODY_LINE,),
    (BODY_LINES,),
    (MESSAGE,),
    (HEADERS, BODY_LINE),
    (HEADERS, BODY_LINES),
    (HEADERS, MESSAGE),
]
