from __future__ import annotations

import pytest
from each import each

from core.scene import few_cuts
from core.transfers import END, LETTER, MODES, Run, decoded, replacing, transfer
from sansio_smtp.config import Config, Tap
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import BodyChunk, BodyComplete
from sansio_smtp.proxy.content_pipeline import ContentPipeline
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    HEADERS,
    MESSAGE,
    BodyQuestion,
    HeadersQuestion,
    MessageQuestion,
    Replace,
)
from sansio_smtp.wire.content import Form


@each("tap", Tap)
@each("ask", [*MODES, (HEADERS, BODY_CHUNK, MESSAGE)])
@each("message", [LETTER, b"", b"\r\n", b"A: b\r\n", b"\r\n\r\nx\r\n", b"..\r\n..\r\n"])
def test_every_mode_is_transparent(ask: tuple[str, ...], tap: Tap, message: bytes) -> None:
    """A message that is looked at and not changed is unchanged on the other side, wherever it was cut."""
    for pieces in few_cuts(message + END):
        run = Run(transfer(*ask, tap=tap), pieces)
        sent = b"".join(run.transfer.held_wire()) if run.transfer.held else run.sent
        assert (sent, run.refusal, run.transfer.ended) == (message, None, True)
        assert run.transfer.completed() == BodyComplete(len(decoded(message)))
        assert run.transfer.buffered == 0
        if tap is not Tap.OFF:
            assert b"".join(run.shown) == decoded(message)


def test_only_a_transfer_that_nobody_looks_at_is_plain() -> None:
    assert transfer().plain
    assert not transfer(tap=Tap.CHUNKS).plain
    assert not any(transfer(*ask).plain for ask in MODES if ask)
    assert [transfer(*ask).held for ask in MODES] == [MESSAGE in ask for ask in MODES]


def test_behind_the_header_section_it_is_plain_again() -> None:
    run = Run(transfer(HEADERS), [b"A: b\r\n\r\nHel"])
    assert (run.sent, run.transfer.plain) == (b"A: b\r\n\r\nHel", True)
    # These were decoded: the end of the line goes the way of its beginning.
    dots = b"..: b\r\n" * 4
    run = Run(transfer(HEADERS, max_header_section=26), [dots + b"\r\nHel"])
    assert (run.sent, run.transfer.plain) == (dots + b"\r\nHel", False)
    run = Run(transfer(HEADERS, max_header_section=26), [dots + b"\r\nHel", b"lo\r\nyo"])
    assert (run.sent, run.transfer.plain) == (dots + b"\r\nHello\r\nyo", True)
    edited = Run(transfer(HEADERS, limit=100), [b"A: b\r\n\r\nHel"], lambda _: Replace(b"X: y\r\n"))
    assert not edited.transfer.plain  # what is added must be counted


def test_nothing_is_kept_without_need() -> None:
    many = [b"x" * 100 + b"\r\n"] * 100
    for ask, tap in (((), Tap.LINES), ((BODY_LINE,), Tap.OFF), ((BODY_CHUNK,), Tap.CHUNKS)):
        assert Run(transfer(*ask, tap=tap), [*many, END]).most <= 102
    assert Run(transfer(MESSAGE), [*many, END]).most == 10_200


@each(
    ("message", "section"),
    [
        (LETTER, b"A: b\r\nC: d\r\n\r\n"),
        (b"\r\nHello\r\n", b"\r\n"),
        (b"\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"A: b\r\n\r\n", b"A: b\r\n\r\n"),
        (b"", b""),
        (b"..: b\r\n\r\n", b".: b\r\n\r\n"),
    ],
)
def test_the_header_section_is_asked_once(message: bytes, section: bytes) -> None:
    """RFC 5322 §2.1: up to the first empty line, or all of it if there is none."""
    for pieces in few_cuts(message + END):
        run = Run(transfer(HEADERS), pieces)
        assert [(type(question), question.data) for question in run.asked] == [(HeadersQuestion, section)]


@each(
    ("edit", "sent"),
    [
        (b"X: y\r\n\r\n", b"X: y\r\n\r\n"),
        (b"X: y\r\n", b"X: y\r\n\r\n"),
        (b"X: y", b"X: y\r\n\r\n"),
        (b"X: y\n\n", b"X: y\r\n\r\n"),
        (b"X: y\r", b"X: y \r\n\r\n"),
        (b"\r\n", b"\r\n"),
        (b"", b"\r\n"),
        (b".: y\r\n", b"..: y\r\n\r\n"),
    ],
)
def test_an_edited_header_section_cannot_run_into_the_body(edit: bytes, sent: bytes) -> None:
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(HEADERS), pieces, lambda _: Replace(edit))
        assert run.sent == sent + b"Hello\r\n..dots\r\nend\r\n"
        assert run.transfer.completed() == BodyComplete(len(decoded(run.sent)), edited=True)


def test_a_header_section_without_an_empty_line_gets_none() -> None:
    for edit, sent in ((b"X: y", b"X: y\r\n"), (b"", b"")):
        run = Run(transfer(HEADERS), [b"A: b\r\n" + END], lambda _, edit=edit: Replace(edit))
        assert run.sent == sent


@pytest.mark.parametrize("message", [b"A: 34567890\r\n\r\n", b"A: 34567890\r\nB: c\r\n", b"A" * 30 + b"\r\n"])
def test_a_header_section_beyond_its_limit_is_refused(message: bytes) -> None:
    for pieces in few_cuts(message + END):
        run = Run(transfer(HEADERS, max_header_section=14), pieces)
        assert run.refusal is not None
        assert (run.refusal.code, run.asked, run.sent) == (552, [], b"")
        assert run.transfer.buffered == 0


def test_the_longest_header_section() -> None:
    for pieces in few_cuts(b"A: 34567890\r\n\r\nbody\r\n" + END):
        assert Run(transfer(HEADERS, max_header_section=15), pieces).data == [b"A: 34567890\r\n\r\n"]


def test_dots_that_were_stuffed_do_not_count_as_header_section() -> None:
    section = b"..: 4567890\r\n..: 4567890\r\n\r\n"
    for pieces in few_cuts(section + b"..\r\n" + END):
        run = Run(transfer(HEADERS, max_header_section=26), pieces)
        assert (run.data, run.sent) == ([decoded(section)], section + b"..\r\n")
        assert Run(transfer(HEADERS, max_header_section=25), pieces).refusal is not None


@each("limit", range(27, 36))
def test_dots_that_were_stuffed_do_not_count_after_an_edit(limit: int) -> None:
    body = b"..\r\n..x\r\ny\r\n"
    edits = {b"A: b\r\n\r\n": b"A: b\r\nX: y890\r\n\r\n"}
    sent = set()
    for pieces in few_cuts(b"A: b\r\n\r\n" + body + END):
        run = Run(transfer(HEADERS, limit=limit), pieces, replacing(edits))
        assert (run.refusal is None) is (limit >= 17 + len(decoded(body)))
        sent.add(run.sent)
    assert len(sent) == 1


def test_body_lines() -> None:
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(BODY_LINE), pieces)
        assert run.data == [*decoded(LETTER).splitlines(keepends=True), b""]
        assert [question.last for question in run.asked] == [False] * 6 + [True]


def test_body_lines_behind_the_header_section() -> None:
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(HEADERS, BODY_LINE), pieces)
        assert [type(question) for question in run.asked] == [HeadersQuestion] + [BodyQuestion] * 4
        assert run.data[1:] == [b"Hello\r\n", b".dots\r\n", b"end\r\n", b""]


def test_a_long_body_line_is_asked_in_pieces() -> None:
    for pieces in few_cuts(b"12345678\r\n123\r\n" + END):
        run = Run(transfer(BODY_LINE, max_body_line=4), pieces)
        assert run.data == [b"1234", b"5678", b"\r\n", b"123\r", b"\n", b""]
        assert run.sent == b"12345678\r\n123\r\n"


def test_body_chunks() -> None:
    run = Run(transfer(BODY_CHUNK), [b"Hel", b"lo\r\n", b"..", b"x\r\n.\r\n"])
    assert run.data == [b"Hel", b"lo\r\n", b".", b"x\r\n", b""]
    assert [question.last for question in run.asked] == [False] * 4 + [True]


def test_lines_are_edited_one_by_one() -> None:
    edits = {b"Hello\r\n": b".Bye\n", b".dots\r\n": b"", b"": b"-- \nme"}
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(BODY_LINE), pieces, replacing(edits))
        assert run.sent == b"A: b\r\nC: d\r\n\r\n..Bye\r\nend\r\n-- \r\nme\r\n"
        assert run.transfer.completed() == BodyComplete(len(decoded(run.sent)), edited=True)


def test_the_whole_message() -> None:
    for pieces in few_cuts(LETTER + END):
        run = Run(transfer(MESSAGE), pieces)
        assert [(type(question), question.data) for question in run.asked] == [
            (MessageQuestion, decoded(LETTER))
        ]
        assert run.sent == b""


@pytest.mark.parametrize(
    ("edit", "sent"),
    [
        (b".", b"..\r\n"),
        (b"", b""),
        (b"a\nb\r", b"a\r\nb \r\n"),
        (b"x\r\n.\r\nQUIT\r\n", b"x\r\n..\r\nQUIT\r\n"),
    ],
)
def test_an_edited_message(edit: bytes, sent: bytes) -> None:
    run = Run(transfer(MESSAGE), [LETTER + END], lambda _: Replace(edit))
    assert run.transfer.completed() == BodyComplete(len(decoded(sent)), edited=True)
    assert b"".join(run.transfer.held_wire()) == sent


def test_all_places_at_once() -> None:
    """Each sees what the one before left."""
    edits = {HeadersQuestion: b"X: y\r\n", BodyQuestion: b"z\r\n", MessageQuestion: b"Q: r\r\n\r\nend\r\n"}
    ask = (HEADERS, BODY_LINE, MESSAGE)
    run = Run(transfer(*ask), [b"A: b\r\n\r\nHi\r\n" + END], lambda asked: Replace(edits[type(asked)]))
    assert run.data == [b"A: b\r\n\r\n", b"Hi\r\n", b"", b"X: y\r\n\r\nz\r\nz\r\n"]
    assert run.transfer.completed().size == 13
    assert b"".join(run.transfer.held_wire()) == b"Q: r\r\n\r\nend\r\n"


def test_a_message_that_is_too_large_to_be_held() -> None:
    for pieces in few_cuts(b"12345678\r\n" + END):
        assert Run(transfer(MESSAGE, max_held=10), pieces).refusal is None
        run = Run(transfer(MESSAGE, max_held=9), pieces)
        assert run.refusal is not None
        assert (run.refusal.code, run.asked, run.transfer.buffered) == (552, [], 0)


@pytest.mark.parametrize("ask", [HEADERS, BODY_LINE, MESSAGE])
def test_the_limit_of_the_server_holds_for_what_an_edit_made(ask: str) -> None:
    """What fits leaves, wherever it was cut, and no octet more."""
    message = b"A: b\r\n\r\nHello\r\n"
    new = b"A: b\r\nX: yyyyyy\r\n\r\n"
    edits = {b"A: b\r\n\r\n": new, b"A: b\r\n": new, message: new}
    for limit in range(len(message), 30):
        seen = set()
        for pieces in few_cuts(message + END):
            run = Run(
                transfer(ask, limit=limit),
                pieces,
                replacing(edits),
            )
            seen.add((run.sent, run.refusal.code if run.refusal else 0))
        ((sent, code),) = seen
        size = {HEADERS: 26, BODY_LINE: 28, MESSAGE: 19}[ask]
        assert code == (552 if size > limit else 0)
        assert limit - 1 <= len(decoded(sent + b"\r\n")) - 2 <= limit if code and ask != MESSAGE else True


def test_a_line_end_that_an_edit_lacks_counts() -> None:
    for limit, code in ((14, 552), (15, 0)):
        run = Run(transfer(BODY_LINE, limit=limit), [b"a\r\n" + END], replacing({b"": b"1234567890"}))
        assert (run.refusal.code if run.refusal else 0) == code
        assert run.sent.startswith(b"a\r\n1234567890")


def test_the_limit_is_not_looked_at_without_an_edit() -> None:
    """The client's end has checked it."""
    for ask in MODES:
        assert Run(transfer(*ask, limit=1), [LETTER + END]).refusal is None


def test_a_line_that_is_shortened_makes_room() -> None:
    edits = {b"Hello\r\n": b"\r\n", b"end\r\n": b"the end\r\n"}
    limit = len(decoded(LETTER))
    run = Run(transfer(BODY_LINE, limit=limit), [LETTER + END], replacing(edits))
    assert run.refusal is None
    assert run.transfer.completed().size == limit - 1


BROKEN = [
    ("MAIL FROM:<a> SIZE=21", b"X: yyyyyyyyyyyyy\r\n\r\n", ("SIZE",)),
    ("MAIL FROM:<a> SIZE=27", b"X: yyyyyyyyyyyyy\r\n\r\n", ()),
    ("MAIL FROM:<a> SIZE=0", b"X: yyyyyyyyyyyyy\r\n\r\n", ()),
    ("MAIL FROM:<a>", b"X: y\r\n\r\n", ()),
    ("MAIL FROM:<a>", b"X: \xff\r\n\r\n", ("8BITMIME", "SMTPUTF8")),
    ("MAIL FROM:<a> BODY=7BIT SMTPUTF8", b"X: \xff\r\n\r\n", ("8BITMIME",)),
    ("MAIL FROM:<a> BODY=8bitmime", b"X: \xff\r\n\r\n", ("SMTPUTF8",)),
    ("MAIL FROM:<a> BODY=8BITMIME SMTPUTF8", b"X: \xff\r\n\r\n", ()),
]


@each(("mail", "edit", "broken"), BROKEN)
@each("place", [HEADERS, MESSAGE])
def test_what_was_declared_and_is_true_no_more(
    place: str, mail: str, edit: bytes, broken: tuple[str, ...]
) -> None:
    """RFC 1870 §6, RFC 6152 §2, RFC 6531 §3.4: the message goes on, and the rule is told."""
    edit += b"Hello\r\n" if place == MESSAGE else b""
    for pieces in few_cuts(b"A: b\r\n\r\nHello\r\n" + END):
        run = Run(transfer(place, mail=mail), pieces, lambda _: Replace(edit))
        assert run.transfer.completed().broken == broken


def test_an_edited_body_breaks_8bitmime_only() -> None:
    whole = decoded(LETTER)
    for place, edits in ((BODY_LINE, {b"Hello\r\n": b"\xfc\r\n"}), (MESSAGE, {whole: whole + b"\xfc\r\n"})):
        run = Run(transfer(place), [LETTER + END], replacing(edits))
        assert run.transfer.completed().broken == ("8BITMIME",)


def test_what_came_broken_is_nobodys_promise() -> None:
    """Only an edit breaks what MAIL declared; the client's own lies are the server's to judge."""
    run = Run(transfer(HEADERS, mail="MAIL FROM:<a> SIZE=1"), [b"A: \xff\r\n\r\n\xff\r\n" + END])
    assert run.transfer.completed().broken == ()


def test_no_mail_command_no_promise() -> None:
    bare = ContentPipeline(Config(), frozenset({MESSAGE}), Envelope())
    run = Run(bare, [LETTER + END], lambda _: Replace(b"long " * 50))
    assert run.transfer.completed().broken == ()


def test_tapped_lines() -> None:
    for pieces in few_cuts(b"12345678\r\n..a\r\n" + END):
        assert Run(transfer(tap=Tap.LINES), pieces).shown == [b"12345678\r\n", b".a\r\n"]
        run = Run(transfer(tap=Tap.LINES, max_body_line=4), pieces)
        assert run.shown == [b"1234", b"5678", b"\r\n", b".a\r\n"]


def test_a_tapped_line_without_an_end_is_shown_at_the_end() -> None:
    tapped = transfer(tap=Tap.LINES)
    tapped.receive(b"a\r\nb", at_line_start=True)
    tapped.receive_end(4)
    assert [tapped.next_action() for _ in range(4)] == [
        b"a\r\nb",
        BodyChunk(b"a\r\n"),
        BodyChunk(b"b"),
        None,
    ]
    assert (tapped.ended, tapped.buffered) == (True, 0)


def test_tapped_chunks_hold_what_was_decoded() -> None:
    run = Run(transfer(tap=Tap.CHUNKS), [b"Hel", b"lo\r\n.", b".", b"x\r\n.\r\n"])
    assert run.shown == [b"Hel", b"lo\r\n", b".", b"x\r\n"]
    stuffing = transfer(tap=Tap.CHUNKS)
    stuffing.receive(b".", at_line_start=True)
    assert [stuffing.next_action(), stuffing.next_action()] == [b".", None]


# Content that is not dotted, as after BDAT (RFC 3030 §2)


@each("ask", MODES)
def test_plain_content_leaves_dotted(ask: tuple[str, ...]) -> None:
    """Whatever is asked, it is one message: what a receiver decodes is what came."""
    message = b"A: b\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n"
    for pieces in few_cuts(message):
        pipeline = transfer(*ask)
        run = Run(pipeline, [])
        for piece in pieces:
            pipeline.receive(piece, at_line_start=False, form=Form.PLAIN)
            run.advance()
        pipeline.receive_end(len(message))
        run.advance()
        sent = b"".join(pipeline.held_wire()) if pipeline.held else run.sent
        assert decoded(sent) == message
        assert pipeline.completed() == BodyComplete(len(message))


def test_plain_content_is_shown_as_it_is() -> None:
    pipeline = transfer(tap=Tap.LINES)
    pipeline.receive(b".a\r\n", at_line_start=True, form=Form.PLAIN)
    assert [pipeline.next_action() for _ in range(3)] == [b"..a\r\n", BodyChunk(b".a\r\n"), None]


def test_plain_content_without_a_last_line_end_gets_one() -> None:
    """End-of-data needs it (RFC 5321 §4.1.1.4)."""
    pipeline = transfer()
    pipeline.receive(b"a", at_line_start=True, form=Form.PLAIN)
    pipeline.receive_end(1)
    run = Run(pipeline, [])
    run.advance()
    assert run.sent == b"a\r\n"
