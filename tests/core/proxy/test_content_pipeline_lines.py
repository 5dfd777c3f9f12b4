"""Lines that are asked about wait in wire form; what becomes of them is the same as if they were decoded."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.transfers import END, Run, replacing, transfer
from sansio_smtp.questions import Continue, Replace

LINES = [b"a\r\n", b"..b\r\n", b"..\r\n", b"\r\n", b"a longer line\r\n", b"...\r\n", b"\xc3\xbc\r\n"]
EDITS = [b"", b"x", b".x\r\n", b".", b"one\r\n.two\r\n", b"a very long text in its place\r\n"]


@given(
    st.lists(st.sampled_from(LINES), max_size=7),
    st.booleans(),
    st.dictionaries(st.integers(0, 5), st.sampled_from(EDITS)),
    st.sampled_from([None, 20, 60]),
    st.sampled_from([3, 8, 100]),
    st.data(),
)
def test_in_wire_form_and_decoded(
    body: list[bytes],
    headers: bool,
    edits: dict[int, bytes],
    limit: int | None,
    longest: int,
    data: st.DataObject,
) -> None:
    """The same questions, octets, refusal and account, whatever is edited, and however it is cut."""
    wire = (b"A: b\r\n\r\n" if headers else b"") + b"".join(body) + END
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=4)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]

    def run(*, wired: bool) -> Run:
        number = -1

        def judge(_: Any) -> Continue | Replace:
            nonlocal number
            number += 1
            return Replace(edits[number]) if number in edits else Continue()

        pipeline = transfer(
            *(["HEADERS"] if headers else []), "BODY_LINES", limit=limit, max_body_line=longest
        )
        assert pipeline._pending.wired
        if not wired:
            pipeline._pending.decode()
        return Run(pipeline, pieces, judge)

    one, other = run(wired=True), run(wired=False)
    assert (one.data, one.sent, one.refusal) == (other.data, other.sent, other.refusal)
    if one.refusal is None:
        assert one.transfer.completed() == other.transfer.completed()


def test_lines_after_one_that_an_edit_has_left_without_its_end() -> None:
    run = Run(
        transfer("BODY_LINES"), [b"one\r\n", b"..two\r\n..three\r\n" + END], replacing({b"one\r\n": b"half"})
    )
    assert run.sent == b"half.two\r\n..three\r\n"


def test_lines_that_do_not_fit_after_an_edit() -> None:
    edit = replacing({b"one\r\n": b"a longer one\r\n"})
    run = Run(transfer("BODY_LINES", limit=20), [b"one\r\n", b"..2\r\n", b"..three\r\n", END], edit)
    assert run.refusal is not None
    assert run.refusal.code == 552
    assert run.sent == b"a longer one\r\n..2\r\n..t", "20 octets of it, decoded"


def test_pieces_without_an_end_wait() -> None:
    run = Run(transfer("BODY_LINES"), [b"o", b"n", b"e", b"\r\n", END])
    assert (run.data, run.sent) == ([b"one\r\n", b""], b"one\r\n")
    assert run.most == 0


def test_what_no_rule_edits_is_the_very_octets_that_came() -> None:
    wire = b"..one\r\ntwo\r\n"
    run = Run(transfer("HEADERS", "BODY_LINES"), [b"A: b\r\n\r\n" + wire + END])
    assert run.sent == b"A: b\r\n\r\n" + wire
    assert run.data == [b"A: b\r\n\r\n", b".one\r\ntwo\r\n", b""]
