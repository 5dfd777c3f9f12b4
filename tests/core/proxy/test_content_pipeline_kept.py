"""A transfer that asks about lines in groups, and one whose message is too large for memory."""

from __future__ import annotations

import pytest

from core.scene import few_cuts
from core.spools import MemoryRoom, MemorySpool
from core.transfers import END, LETTER, Run, decoded, replacing, transfer
from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import BodyComplete
from sansio_smtp.proxy.content_pipeline import ContentPipeline
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    HEADERS,
    MESSAGE,
    BodyQuestion,
    HeadersQuestion,
    Replace,
)
from sansio_smtp.wire.commands import Command

# Lines in groups


def test_as_many_whole_lines_as_there_are() -> None:
    run = Run(transfer(BODY_LINES), [b"one\r\ntwo\r\nthr", b"ee", b"\r\n..", b"four\r\n", END])
    assert run.data == [b"one\r\ntwo\r\n", b"three\r\n", b".four\r\n", b""]
    assert [question.last for question in run.asked] == [False] * 3 + [True]
    assert run.sent == b"one\r\ntwo\r\nthree\r\n..four\r\n"


def test_however_they_are_cut_they_are_whole() -> None:
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(HEADERS, BODY_LINES), pieces)
        assert isinstance(run.asked[0], HeadersQuestion)
        assert all(isinstance(question, BodyQuestion) for question in run.asked[1:])
        assert all(data.endswith(b"\r\n") for data in run.data[:-1])
        assert b"".join(run.data) == decoded(LETTER)
        assert run.data[-1] == b""


def test_lines_in_groups_are_replaced_in_groups() -> None:
    edits = {b"Hello\r\n.dots\r\nend\r\n": b".\nbye", b"": b"-- \r\n"}
    run = Run(transfer(HEADERS, BODY_LINES), [LETTER + END], replacing(edits))
    assert run.sent == b"A: b\r\nC: d\r\n\r\n..\r\nbye-- \r\n"
    assert run.transfer.completed() == BodyComplete(len(decoded(run.sent)), edited=True)


def test_a_line_that_is_too_long_comes_in_pieces() -> None:
    """Of the length that is the limit, except the last."""
    for length in (1, 3):
        wire = b"123456789\r\nab\r\n" + END
        pieces = [wire[at : at + length] for at in range(0, len(wire), length)]
        run = Run(transfer(BODY_LINES, max_body_line=4), pieces)
        assert run.data[:2] == [b"1234", b"5678"]
        assert b"".join(run.data) == b"123456789\r\nab\r\n"
        assert run.most <= 4 + length


def test_nothing_is_kept_but_the_line_that_has_no_end_yet() -> None:
    many = [b"x" * 100 + b"\r\n" + b"y" * 50 + b"\r\n" + b"z" * 10] * 100
    assert Run(transfer(BODY_LINES), [*many, b"\r\n" + END]).most <= 10


@pytest.mark.parametrize("other", [BODY_CHUNK, BODY_LINE])
def test_the_finer_places_go_first(other: str) -> None:
    run = Run(transfer(BODY_LINES, other), [b"one\r\ntwo\r\nth", b"ree\r\n" + END])
    pieces = {
        BODY_CHUNK: [b"one\r\ntwo\r\nth", b"ree\r\n"],
        BODY_LINE: [b"one\r\n", b"two\r\n", b"three\r\n"],
    }
    assert run.data == [*pieces[other], b""]


# Too large for memory


def test_a_message_in_a_spool() -> None:
    for pieces in few_cuts(LETTER + END):
        spool = MemorySpool()
        run = Run(transfer(MESSAGE, spool=spool, max_held=10), pieces)
        assert run.refusal is None
        assert bytes(run.asked[0].data) == decoded(LETTER)
        assert (run.transfer.spooled, run.transfer.ended) == (True, True)
        assert run.transfer.completed() == BodyComplete(len(decoded(LETTER)))
        assert b"".join(run.transfer.held_wire()) == LETTER
        assert spool.closed


def test_a_message_that_fits_into_memory_needs_none() -> None:
    spool = MemorySpool()
    run = Run(transfer(MESSAGE, spool=spool, max_held=1000), [LETTER + END])
    assert not run.transfer.spooled
    assert spool.octets == b""
    assert isinstance(run.asked[0].data, bytes)


@pytest.mark.parametrize("max_held", [10, 1000])
def test_the_section_before_a_message_that_is_kept(max_held: int) -> None:
    """What follows it is not touched, wherever it is."""
    rest = len(b"A: b\r\nC: d\r\n\r\n")
    edited = transfer(MESSAGE, spool=MemorySpool(), max_held=max_held)
    run = Run(edited, [LETTER + END], lambda _: Replace(b"X: \xff\n\n", rest=rest))
    wire = b"".join(run.transfer.held_wire())
    assert wire == b"X: \xff\r\n\r\n" + LETTER[rest:]
    assert run.transfer.edited


@pytest.mark.parametrize("max_held", [10, 1000])
@pytest.mark.parametrize(("limit", "code"), [(24, 552), (25, 0)])
def test_the_limit_of_the_server_holds_for_it(limit: int, code: int, max_held: int) -> None:
    kept = transfer(MESSAGE, spool=MemorySpool(), max_held=max_held, limit=limit)
    run = Run(kept, [b"A: b\r\n\r\nHello\r\nyou\r\n" + END], lambda _: Replace(b"A: bcdefg\r\n\r\n", rest=8))
    assert (run.refusal.code if run.refusal else 0) == code


def test_a_spool_that_takes_no_more() -> None:
    spool = MemorySpool(room=12)
    run = Run(transfer(MESSAGE, spool=spool, max_held=10), [b"123456789\r\n", b"abcdefghi\r\n", END])
    assert run.refusal is not None
    assert (run.refusal.code, run.asked, run.transfer.buffered) == (451, [], 0)
    assert spool.closed


def test_a_spool_that_cannot_be_read() -> None:
    spool = MemorySpool(readable=False)
    run = Run(transfer(MESSAGE, spool=spool, max_held=10), [b"123456789\r\nabc\r\n", END])
    assert run.refusal is not None
    assert (run.refusal.code, run.asked) == (451, [])


def test_a_spool_that_can_be_read_no_more_behind_the_verdict() -> None:
    spool = MemorySpool()

    def judge(_: object) -> Replace:
        spool.readable = False
        return Replace(b"A: b\r\n\r\n", rest=2)

    run = Run(transfer(MESSAGE, spool=spool, max_held=10), [b"123456789\r\nabc\r\n", END], judge)
    assert run.refusal is not None
    assert run.refusal.code == 451
    assert spool.closed


def test_a_message_that_is_wanted_no_more() -> None:
    spool = MemorySpool()
    kept = transfer(MESSAGE, spool=spool, max_held=10)
    Run(kept, [LETTER])
    kept.close()
    assert (spool.closed, kept.buffered) == (True, 0)


def test_a_line_that_cannot_be_sent_safely() -> None:
    """A dot after NULs, in a spool or an edit of it."""
    spool = MemorySpool()
    run = Run(
        transfer(MESSAGE, spool=spool, max_held=10),
        [b"A: b\r\n\r\n123456789\r\n" + END],
        lambda _: Replace(b"A: b\r\n\r\n\0.\r\n", rest=8),
    )
    assert run.refusal is not None
    assert run.refusal.severity == 5


def test_a_message_for_which_there_is_no_room() -> None:
    made = ContentPipeline(
        Config(), frozenset({MESSAGE}), Envelope(Command.of("MAIL FROM:<a>")), room=MemoryRoom(10)
    )
    run = Run(made, [b"x" * 20, b"\r\n", END])
    assert str(run.refusal) == "452 4.3.1 no memory for this message now, try again later"
    assert made.limit_hit == "max_held_total"
