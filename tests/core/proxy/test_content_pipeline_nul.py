"""No line of one dot and NULs leaves: who drops NUL would read it as the end of mail data."""

from __future__ import annotations

import pytest
from each import each

from core.scene import few_cuts, strings
from core.transfers import END, MODES, Run, decoded, transfer
from sansio_smtp.questions import Continue, Replace
from sansio_smtp.wire.replies import Reply

NUL = Reply.of(550, "message holds a NUL octet, which is not accepted", enhanced="5.6.0")


def test_what_is_not_written_anew_leaves_as_it_came() -> None:
    """The wire form that came has two dots, for who drops NUL too."""
    wire = b"A: b\0\r\n\r\n.\0.\r\nx\r\n"
    for ask in ((), ("HEADERS",)):
        for pieces in few_cuts(wire + END):
            assert Run(transfer(*ask), pieces).sent == wire
    edit = Run(transfer("HEADERS"), [wire + END], lambda _: Replace(b"\0X: y\r\n\r\n"))
    assert edit.sent == b"\0X: y\r\n\r\n.\0.\r\nx\r\n"


@pytest.mark.parametrize("ask", ["HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE"])
def test_a_dot_behind_nuls_is_refused_where_content_is_written_anew(ask: str) -> None:
    """On the wire it came stuffed, or a rule has made it."""
    if ask != "HEADERS":
        assert Run(transfer(ask), [b".\0.\r\nMAIL FROM:<evil@x>\r\n" + END]).refusal == NUL
    edit = Run(transfer(ask), [b"x\r\n" + END], lambda _: Replace(b"\0.\r\n\r\nevil\r\n"))
    assert edit.refusal == NUL
    assert b"evil" not in edit.sent


@pytest.mark.parametrize("ask", ["BODY_LINE", "MESSAGE"])
def test_nuls_elsewhere_pass(ask: str) -> None:
    run = Run(transfer(ask), [b"a\0b\r\n\0x.\r\n" + END])
    assert run.refusal is None
    assert ask == "MESSAGE" or run.sent == b"a\0b\r\n\0x.\r\n"


@pytest.mark.parametrize("ask", MODES)
def test_no_cut_makes_an_end_for_who_drops_nul(ask: tuple[str, ...]) -> None:
    """Every short line of dots and NULs, after a header section and before what looks like commands:
    it leaves harmless, or the message does not end."""
    for line in strings(b".\0", 4):
        message = b"\r\n" + line + b"\r\nQUIT\r\n"
        if line == b".":
            continue
        for pieces in few_cuts(message + END):
            run = Run(transfer(*ask), pieces)
            sent = b"".join(run.transfer.held_wire()) if run.transfer.held else run.sent
            seen = (b"\r\n" + sent).replace(b"\0", b"")
            assert b"\r\n.\r\n" not in seen, pieces
            if run.refusal is None:
                assert decoded(sent) == decoded(message)


@each("ask", ["BODY_CHUNK", "BODY_LINE", "BODY_LINES"])
@each("tail", [b"\0.", b"\0\0.", b"\0.\0"])
def test_the_line_end_that_is_added_makes_no_such_line(ask: str, tail: bytes) -> None:
    """A rule leaves the last line without its end, and the proxy adds it."""
    run = Run(transfer(ask), [b"x\r\n" + END], lambda asked: Replace(tail) if asked.data else Continue())
    assert run.refusal == NUL
    assert not run.sent.endswith(b"\r\n")


def test_a_line_end_is_added_to_what_is_harmless() -> None:
    run = Run(
        transfer("BODY_LINE"), [b"x\r\n" + END], lambda asked: Replace(b"\0x") if asked.data else Continue()
    )
    assert (run.refusal, run.sent) == (None, b"\0x\r\n")
