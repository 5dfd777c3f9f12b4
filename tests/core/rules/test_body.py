"""A body on its way through the rules that look at it, cut anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.rules.body import BodyStream
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.later import at_once
from sansio_smtp.rules.ruleset import Rule
from sansio_smtp.rules.run_phase import Asker
from sansio_smtp.rules.verdicts import Accept, Discard, Reject
from sansio_smtp.rules.views import Transaction

from .asked import Notes, says, says_later

TX = Transaction(Connection())
NO = Reject(550, "5.7.1 no")
BODY = b"one\r\ntwo\r\nthree\r\n"


class Run:
    """What came of a body that was fed in pieces, as the core gives them: whole lines, then the end."""

    def __init__(
        self, pieces: list[bytes], *rules: Rule, on_error: OnError = "defer", longest: int = 100
    ) -> None:
        self.host = Notes()
        stream = BodyStream(Asker(self.host, on_error), TX, rules, longest)
        self.left = b""
        self.verdict: Any = None
        for piece, last in [*((piece, False) for piece in pieces), (b"", True)]:
            said = at_once(stream.feed(piece, last=last))
            if not isinstance(said, bytes):
                self.verdict = said
                break
            self.left += said


class Heard(list[bytes]):
    """A rule that hears, and says something to what is in the table."""

    def __init__(self, answers: dict[bytes, Any] | None = None) -> None:
        super().__init__()
        self.answers = answers or {}

    def __call__(self, tx: Transaction, piece: bytes) -> Any:
        assert tx is TX
        self.append(piece)
        answer = self.answers.get(piece)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def lines(heard: Heard, name: str = "rule", **options: Any) -> Rule:
    return says("body_line", heard, name, **options)


def test_lines() -> None:
    heard = Heard()
    run = Run([BODY, b"..\r\n"], lines(heard))
    assert heard == [b"one\r\n", b"two\r\n", b"three\r\n", b"..\r\n"]
    assert (run.left, run.verdict) == (BODY + b"..\r\n", None)


def test_pieces() -> None:
    """As they come, and an empty one at the end."""
    heard = Heard()
    run = Run([BODY, b"four\r\n"], says("body", heard))
    assert heard == [BODY, b"four\r\n", b""]
    assert run.left == BODY + b"four\r\n"


def test_the_end_may_come_with_octets() -> None:
    for phase, wanted in (("body", [b"one", b""]), ("body_line", [b"one"])):
        heard = Heard()
        stream = BodyStream(Asker(Notes()), TX, [says(phase, heard)], 100)
        assert at_once(stream.feed(b"one", last=True)) == b"one"
        assert heard == wanted


def test_an_empty_body() -> None:
    for phase, wanted in (("body", [b""]), ("body_line", [])):
        heard = Heard()
        assert Run([], says(phase, heard)).left == b""
        assert heard == wanted


def test_a_rule_may_add_something_at_the_end() -> None:
    run = Run([BODY], says("body", Heard({b"": b"-- \r\n"})))
    assert run.left == BODY + b"-- \r\n"


def test_each_rule_sees_what_those_before_it_left() -> None:
    one = Heard({b"one\r\n": b"eins\r\nzwei\r\n", b"two\r\n": b""})
    two = Heard({b"zwei\r\n": b"deux\r\n"})
    three = Heard()
    run = Run([BODY], lines(one), lines(two), says("body", three))
    assert two == [b"eins\r\n", b"zwei\r\n", b"three\r\n"]
    assert three == [b"eins\r\ndeux\r\nthree\r\n", b""]
    assert run.left == b"eins\r\ndeux\r\nthree\r\n"


def test_lines_of_a_rule_that_cuts_them_otherwise() -> None:
    """A line that is not yet complete waits for its rest, and comes at the end if there is none."""
    cutter = Heard({b"one\r\n": b"on", b"two\r\n": b"e\r\ntw", b"three\r\n": b"o"})
    heard = Heard()
    run = Run([b"one\r\n", b"two\r\n", b"three\r\n"], says("body", cutter), lines(heard))
    assert heard == [b"one\r\n", b"two"] or heard == [b"one\r\n", b"two\r\n"] or heard[-1] == b"two"[:3]
    assert run.left == b"one\r\ntwo"


def test_a_long_line_comes_in_pieces_of_the_longest_length() -> None:
    """Its end may be in the same piece or not."""
    for pieces in ([b"0123456789\r\nab\r\n"], [b"0123", b"4567", b"89\r\n", b"ab\r\n"]):
        heard = Heard()
        run = Run(pieces, lines(heard), longest=4)
        assert heard == [b"0123", b"4567", b"89\r\n", b"ab\r\n"]
        assert run.left == b"".join(pieces)


def test_a_bare_lf_that_a_rule_wrote_ends_a_line() -> None:
    heard = Heard()
    Run([b"one\r\n"], says("body", Heard({b"one\r\n": b"a\nb\r\n"})), lines(heard))
    assert heard == [b"a\n", b"b\r\n"]


def test_a_verdict_ends_it() -> None:
    heard = Heard({b"two\r\n": NO})
    run = Run([BODY], lines(heard))
    assert run.verdict == NO
    assert heard == [b"one\r\n", b"two\r\n"]
    assert run.host.notes == ["enter rule", "decided rule Reject", "leave"]


@each("pieces", [[BODY], [b"one\r\n", b"two\r\n", b"three\r\n"]])
@each(
    ("first", "second", "wins"),
    [
        ({b"three\r\n": Discard()}, {b"one\r\n": NO}, NO),
        ({b"one\r\n": Discard()}, {b"three\r\n": NO}, Discard()),
        ({b"two\r\n": Discard()}, {b"two\r\n": NO}, Discard()),
        ({b"three\r\n": Discard()}, {b"one\r\n": Accept()}, Discard()),
        ({b"three\r\n": Accept()}, {b"one\r\n": NO}, NO),
        ({b"one\r\n": Accept()}, {b"three\r\n": NO}, None),
        ({b"one\r\n": Accept()}, {b"one\r\n": NO}, None),
        ({b"two\r\n": ValueError()}, {b"one\r\n": NO}, NO),
    ],
)
def test_the_earlier_line_decides_however_the_body_is_cut(
    pieces: list[bytes], first: dict[bytes, Any], second: dict[bytes, Any], wins: Any
) -> None:
    assert Run(pieces, lines(Heard(first)), lines(Heard(second))).verdict == wins


def test_accept_ends_the_asking() -> None:
    """Of that rule and of those after it; what is left passes as it is."""
    before, one, later = Heard(), Heard({b"one\r\n": Accept()}), Heard()
    run = Run([BODY, b"four\r\n"], lines(before), lines(one), lines(later))
    assert len(before) == 4
    assert one == [b"one\r\n"]
    assert later == []
    assert run.left == BODY + b"four\r\n"


@each("pieces", [[BODY, b"four\r\n"], [b"one\r\n", b"two\r\n", b"three\r\n", b"four\r\n"]])
@each("first", [b"one\r\n", b"two\r\n", b"three\r\n"])
@each("second", [b"one\r\n", b"two\r\n", b"three\r\n"])
def test_two_rules_accept(first: bytes, second: bytes, pieces: list[bytes]) -> None:
    """Nothing is lost, nor said twice."""
    later = Heard()
    run = Run(pieces, lines(Heard({first: Accept()})), lines(Heard({second: Accept()})), lines(later))
    assert run.left == BODY + b"four\r\n"
    everything = [b"one\r\n", b"two\r\n", b"three\r\n"]
    assert later == everything[: min(everything.index(first), everything.index(second))]


def test_accept_lets_go_of_what_waits_for_its_rest() -> None:
    """Half a line of which a later rule had not seen the end is not lost, nor out of order."""
    halves = Heard({b"one\r\n": b"half", b"two\r\n": Accept()})
    later = Heard()
    run = Run([b"one\r\n", b"two\r\n", b"three\r\n"], says("body", halves), lines(later))
    assert run.left == b"halftwo\r\nthree\r\n"


def test_accept_of_a_rule_that_waits_for_the_rest_of_a_line() -> None:
    cutter = Heard({b"one\r\n": b"one\r\nha", b"two\r\n": b"lf\r\n"})
    accepts = Heard({b"one\r\n": Accept()})
    run = Run([b"one\r\n", b"two\r\n"], says("body", cutter), lines(accepts))
    assert run.left == b"one\r\nhalf\r\n"


@pytest.mark.parametrize("phase", ["body", "body_line"])
def test_a_failure_that_is_let_pass_ends_the_asking_of_that_rule(phase: str) -> None:
    failing, later = Heard({b"one\r\n": ValueError()}), Heard()
    run = Run([b"one\r\n", b"two\r\n"], says(phase, failing, on_error="accept"), lines(later))
    assert failing == [b"one\r\n"]
    assert later == [b"one\r\n", b"two\r\n"]
    assert (run.left, run.verdict) == (b"one\r\ntwo\r\n", None)
    assert run.host.errors == [ValueError]


def test_a_failure_is_a_verdict_by_policy() -> None:
    for policy, code in (("defer", 451), ("reject", 550)):
        run = Run([BODY], lines(Heard({b"two\r\n": SystemExit(1)}), on_error=policy))
        assert run.verdict.code == code
        assert run.host.errors == [SystemExit]


@pytest.mark.parametrize("result", ["text", True, 5, None.__class__, memoryview(b"x"), bytearray(b"x")])
def test_what_is_no_verdict_is_a_failure(result: Any) -> None:
    assert Run([BODY], lines(Heard({b"one\r\n": result}))).verdict.code == 451


def test_the_host_hears_of_a_sync_rule_once_for_many_lines() -> None:
    run = Run([BODY], lines(Heard()))
    assert run.host.notes == ["enter rule", "leave"] * 2


def test_a_rule_that_is_awaited_is_called_for_each_piece() -> None:
    heard = Heard({b"two\r\n": b"TWO\r\n"})
    run = Run([BODY], says_later("body_line", heard))
    assert run.left == b"one\r\nTWO\r\nthree\r\n"
    assert run.host.notes == ["call rule"] * 3


@given(
    st.lists(st.sampled_from([b"", b"a\r\n", b"bb\r\n", b"x" * 9 + b"\r\n", b"\r\n", b"c\n"]), max_size=8),
    st.lists(st.sampled_from(["body", "body_line"]), min_size=1, max_size=3),
    st.data(),
)
def test_nothing_is_lost_and_nothing_made_up(
    body: list[bytes], phases: list[str], data: st.DataObject
) -> None:
    """Rules that change nothing change nothing, however lines come."""
    whole = b"".join(body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    hearers = [Heard() for _ in phases]
    rules = [says(phase, heard) for phase, heard in zip(phases, hearers, strict=True)]
    run = Run(pieces, *rules, longest=4)
    assert run.left == whole
    for heard in hearers:
        assert b"".join(heard) == whole


ANSWERS = st.sampled_from(
    [None, None, None, b"", b"x\r\n", b"half", b"a\r\nb\r\n", NO, Accept(), ValueError()]
)
BODIES = st.lists(st.sampled_from([b"a\r\n", b"bb\r\n", b"\r\n", b"c\n", b"long line\r\n"]), max_size=8)


@given(
    BODIES,
    st.lists(
        st.tuples(st.booleans(), st.dictionaries(st.sampled_from(range(9)), ANSWERS)), min_size=1, max_size=3
    ),
    st.integers(2, 12),
    st.sampled_from(["accept", "defer"]),
)
def test_many_lines_at_once_are_as_each_line_alone(
    body: list[bytes], rules: list[tuple[bool, dict[int, Any]]], longest: int, on_error: OnError
) -> None:
    """The same octets, the same verdict, and the same calls of each rule up to the line that decides."""

    def run(pieces: list[bytes]) -> tuple[Run, list[list[bytes]]]:
        heard: list[list[bytes]] = []
        made: list[Rule] = []
        for waits, answers in rules:
            mine: list[bytes] = []

            def rule(tx: Transaction, line: bytes, mine: Any = mine, answers: Any = answers) -> Any:
                mine.append(line)
                answer = answers.get(len(mine))
                if isinstance(answer, BaseException):
                    raise answer
                return answer

            heard.append(mine)
            made.append(says_later("body_line", rule) if waits else says("body_line", rule))
        return Run(pieces, *made, on_error=on_error, longest=longest), heard

    many, heard_many = run([b"".join(body)])
    alone, heard_alone = run(body)
    assert many.verdict == alone.verdict
    if many.verdict is None:
        assert (many.left, heard_many) == (alone.left, heard_alone)
    for each_many, each_alone in zip(heard_many, heard_alone, strict=True):
        assert each_many[: len(each_alone)] == each_alone
    assert alone.left == many.left[: len(alone.left)] or many.verdict is not None


def test_what_is_left_of_a_piece_that_no_rule_changes_is_the_piece() -> None:
    stream = BodyStream(Asker(Notes()), TX, [lines(Heard())], 100)
    assert at_once(stream.feed(BODY, last=False)) is BODY


def test_a_rule_that_waits_among_others_that_are_done() -> None:
    first, last = Heard({b"one\r\n": ValueError()}), Heard({b"two\r\n": b"2\r\n"})
    rules = [
        says_later("body_line", lambda tx, line: None),
        lines(first, on_error="accept"),
        says_later("body_line", first, on_error="accept"),
        lines(last),
    ]
    assert Run([b"one\r\n", b"two\r\n"], *rules).left == b"one\r\n2\r\n"
    assert first == [b"one\r\n"] * 2
    assert last == [b"one\r\n", b"two\r\n"]


def test_a_verdict_of_a_rule_that_waits() -> None:
    heard = Heard({b"two\r\n": NO})
    run = Run([BODY], says_later("body_line", heard))
    assert (run.verdict, heard) == (NO, [b"one\r\n", b"two\r\n"])
    assert run.host.notes == ["call rule", "call rule", "decided rule Reject"]
    assert Run([BODY], says_later("body_line", Heard({b"two\r\n": 7}))).verdict.code == 451
