"""The pipeline of a message that comes or leaves in chunks (RFC 3030): no form but its octets."""

from __future__ import annotations

import pytest
from each import each

from core.scene import few_cuts
from core.spools import MemorySpool
from core.transfers import MODES, Judge, Run, accept, replacing
from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import BodyComplete
from sansio_smtp.proxy.content_pipeline import ContentPipeline
from sansio_smtp.questions import BODY_CHUNK, BODY_LINE, BODY_LINES, HEADERS, MESSAGE
from sansio_smtp.wire.content import Form

MESSAGE_OCTETS = b"A: b\r\n\r\n.dot\r\n.\r\nend"
BINARY = b"A: b\r\n\r\n\0.\0\n\r\r\n\n"


def pipeline(*ask: str, binary: bool = False, keep: bool = False, longest: int = 4096) -> ContentPipeline:
    config = Config(max_body_line=longest)
    form = Form.DOTTED if keep else Form.PLAIN
    return ContentPipeline(config, frozenset(ask), Envelope(), form=form, binary=binary, keep=keep)


def sent(made: ContentPipeline, *pieces: bytes, judge: Judge = accept) -> Run:
    run = Run(made, [], judge)
    for piece in pieces:
        made.receive(piece, at_line_start=False, form=Form.PLAIN)
        run.advance()
    made.receive_end(sum(map(len, pieces)))
    run.advance()
    return run


@each("ask", [each for each in MODES if MESSAGE not in each])
@each(("octets", "binary"), [(MESSAGE_OCTETS, False), (BINARY, True)])
def test_content_leaves_as_it_came(ask: tuple[str, ...], octets: bytes, binary: bool) -> None:
    """No dot is doubled, and no line end is added."""
    for pieces in few_cuts(octets):
        made = pipeline(*ask, binary=binary)
        assert sent(made, *pieces).sent == octets
        assert made.completed() == BodyComplete(len(octets))


@pytest.mark.parametrize(("binary", "left"), [(False, b"A: c\r\n\r\nx\r\n y"), (True, b"A: c\r\n\r\nx\n\ry")])
def test_an_edit_is_put_right_unless_the_message_is_binary(binary: bool, left: bytes) -> None:
    """A header section is lines in a binary message too (RFC 3030 §3)."""
    judge = replacing({b"A: b\r\n\r\n": b"A: c\n", b"body": b"x\n\ry"})
    assert sent(pipeline(HEADERS, BODY_CHUNK, binary=binary), b"A: b\r\n\r\nbody", judge=judge).sent == left


def test_a_part_of_a_message_kept_for_no_question() -> None:
    made = pipeline(keep=True)
    run = sent(made, MESSAGE_OCTETS)
    assert (made.held, made.ended, run.asked) == (True, True, [])
    assert b"".join(made.held_wire()) == b"A: b\r\n\r\n..dot\r\n..\r\nend\r\n"


@pytest.mark.parametrize("spool", [None, MemorySpool()])
def test_a_message_kept_for_no_question_has_its_limit(spool: MemorySpool | None) -> None:
    make_spool = None if spool is None else lambda: spool
    made = ContentPipeline(Config(max_held=10), frozenset(), Envelope(), keep=True, make_spool=make_spool)
    run = sent(made, MESSAGE_OCTETS)
    assert (run.refusal is None) is (spool is not None)


@pytest.mark.parametrize("place", [BODY_LINE, BODY_LINES])
def test_the_last_line_is_asked_about_though_it_does_not_end(place: str) -> None:
    run = sent(pipeline(place, longest=5), b"one\r\ntw", b"o\r\n123456", b"78")
    assert run.data == [b"one\r\n", b"two\r\n", b"12345", b"678", b""]
    assert [question.last for question in run.asked] == [False] * 4 + [True]
