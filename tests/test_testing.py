"""Tests `sansio_smtp.testing` itself: if the player accepted wrong scripts, all scripts would be useless."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Command,
    Config,
    Continue,
    Event,
    LocalProtocolError,
    MessageQuestion,
    Proxy,
    Replace,
    Reply,
    SendToClient,
    Side,
)
from sansio_smtp.testing import (
    Accepted,
    Chunker,
    FakeClient,
    FakeServer,
    Message,
    ScriptError,
    at,
    bytewise,
    converse,
    drawn,
    fixed,
    parse,
    play,
    whole,
)
from sansio_smtp.testing.copied import HEADING
from sansio_smtp.testing.notation import NotationError, octets, written

GREETED = "S: 220 mx\n    -> C: 220 mx\n"
RIGHT = GREETED + "C: NOOP\n    -> S: NOOP\nS: 250 ok\n    -> C: 250 ok\nC: <eof>\n    -> close S, C\n"
ASKED = "# ask: RCPT\n" + GREETED + "C: RCPT TO:<a@b>\n"


def failure(text: str, *, late: bool = False, make: Any = Proxy) -> str:
    with pytest.raises(AssertionError) as caught:
        play(parse(text, "x.txt"), late=late, proxy=make)
    return str(caught.value)


# Notation


@each(
    ("text", "data"),
    [
        ("NOOP", b"NOOP\r\n"),
        ("", b"\r\n"),
        ("\\", b""),
        ("half\\", b"half"),
        ("back\\\\", b"back\\\r\n"),
        (r"\r\n\0\xff\x0A", b"\r\n\0\xff\n\r\n"),
        ("é", "é\r\n".encode()),
        ("a<3 * xy>b", b"axyxyxyb\r\n"),
        (r"<2 * \r\n>\ "[:-1], b"\r\n\r\n"),
        ("<0 * x>", b"\r\n"),
        ("<3 \u00d7 x>", b"xxx\r\n"),
        ("<b@mx.example> SIZE=1", b"<b@mx.example> SIZE=1\r\n"),
    ],
)
def test_notation(text: str, data: bytes) -> None:
    assert octets(text) == data


@pytest.mark.parametrize("text", [r"\q", r"\x1", "<999999999 * x>"])
def test_no_notation(text: str) -> None:
    with pytest.raises(NotationError):
        octets(text)


@given(st.lists(st.sampled_from([*b"\r\n\0 .<>5*x\\\xc3\xa9\x85\xff", *[b"<eof>", b"<5 * x>", b"x" * 70]])))
def test_written_octets_can_be_read(parts: list[int | bytes]) -> None:
    data = b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)
    lines = written(data)
    assert b"".join(octets(line) for line in lines) == data
    assert all(line.isprintable() and not line.endswith(" ") and line != "<eof>" for line in lines)


def test_octets_that_look_like_notation() -> None:
    assert written(b"<eof>\r\n<5 * x>\r\nend ") == ["\\x3ceof>", "\\x3c5 * x>", "end\\x20\\"]


def test_long_runs_are_folded() -> None:
    assert written(b"a" + b"x" * 5000 + b"\r\n") == ["a<5000 * x>"]


# Chunkers

CHUNKERS: list[Chunker] = [whole, bytewise, fixed(3), drawn(Random(1)), at(lambda n: [-1, 2, 2, n, 99])]


@each("chunker", CHUNKERS)
@each("data", [b"", b"a", b"0123456789"])
def test_chunkers(chunker: Chunker, data: bytes) -> None:
    pieces = list(chunker(data))
    assert b"".join(pieces) == data
    assert all(pieces)


def test_the_same_seed_cuts_in_the_same_places() -> None:
    assert list(drawn(Random(7))(b"x" * 100)) == list(drawn(Random(7))(b"x" * 100))


def test_chunk_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        fixed(0)


# Parsing


@each(
    ("text", "line", "what"),
    [
        ("", 1, "nothing happens"),
        ("# only a comment", 1, "nothing happens"),
        ("    -> C: 220 mx", 1, "something must happen first"),
        ("X: NOOP", 1, "a line begins with"),
        ("C:NOOP", 1, "write 'C: NOOP'; after the colon stands one blank"),
        ("s: 220 mx", 1, "write 'S: 220 mx'"),
        ("C: x\n-> S: x", 2, "is indented; put blanks before this line"),
        ("C: x\n! answer 550 no", 2, "is indented; put blanks before this line"),
        ("C: NOOP ", 1, r"write \\x20"),
        ("\n\nC: \\q", 3, "unknown escape"),
        ("<timout>", 1, "did you mean 'timeout'"),
        ("C: x\n    => S: x", 2, "an indented line begins with"),
        ("C: x\n    -> close X", 2, "an indented line begins with"),
        ("C: x\n    ! refuse", 2, "unknown verdict 'refuse'; the verdicts are continue, answer, "),
        ("C: x\n    ! reject 550 5.1.6 Moved", 2, "of the core; write '! answer 550 5.1.6 Moved'"),
        ("C: x\n    ! Discard", 2, "write '! swallow 250 ok'"),
        ("C: x\n    ! replase x", 2, "did you mean 'replace'"),
        ("C: x\n    ! answer no", 2, "not a reply"),
        ("C: x\n    ! answer 354 go", 2, "final reply"),
        ("C: x\n    ! disconnect 250 ok", 2, "4xx or 5xx"),
        ("C: x\n    -> complete 10", 2, "# show: complete"),
        ("# ask: rcpt\nC: x", 1, 'did you mean "RCPT"'),
        ("# ask: RCTP\nC: x", 1, 'did you mean "RCPT"'),
        ("# ask: MESAGE\nC: x", 1, 'did you mean "MESSAGE"'),
        ("# ask:\nC: x", 1, "names no hook place"),
        ("# ask RCPT, DATA\nC: x", 1, "'# ask: RCPT, DATA'"),
        ("# Ask: RCPT\nC: x", 1, "written '# ask: …'"),
        ("# aks: RCPT\nC: x", 1, "did you mean 'ask'"),
        ("# show: violations\nC: x", 1, "did you mean 'violation'"),
        ("# play: backwards\nC: x", 1, "'backwards'"),
        ("# config: max_lines=1\nC: x", 1, "did you mean 'max_line'"),
        ("# config: max_line\nC: x", 1, "needs a value"),
        ("# config: max_line=many\nC: x", 1, "not a number"),
        ("# config: max_line=0\nC: x", 1, "must be positive"),
        ("# config: trace=maybe\nC: x", 1, "neither true nor false"),
        ("# config: bare_newline=normalise\nC: x", 1, "did you mean 'normalize'"),
        ("C: x\n# ask: RCPT", 2, "before the first event"),
    ],
)
def test_script_errors_say_where_and_what(text: str, line: int, what: str) -> None:
    with pytest.raises(ScriptError, match=what) as caught:
        parse(text, "some/file.txt")
    assert str(caught.value).startswith(f"some/file.txt:{line}: ")


SCRIPT = """# ask: RCPT
S: 220 mx
    -> C: 220 mx

C: RCPT TO:<b@mx>
    ? RCPT b@mx
    ! answer 550 no
    -> C: 550 no
C:
    -> S:"""


@each("before", ["    ", "E   ", "E           "])
def test_a_script_may_be_copied_out_of_a_test_or_of_what_pytest_prints(before: str) -> None:
    lines = [before + line for line in SCRIPT.split("\n")]
    assert parse("\n".join(lines)) == parse(SCRIPT)
    assert parse("\n".join(line.rstrip() for line in lines)) == parse(SCRIPT)
    with pytest.raises(ScriptError, match=":11: a line begins with"):
        parse("\n".join([*lines, f"{before}X: NOOP"]))


@each("mark", ["E   ", "E           ", "    ", ""])
@each("script", [SCRIPT.replace("\n\n", "\n")])
def test_a_script_is_found_in_the_whole_report_of_a_test(mark: str, script: str) -> None:
    report = [
        "AssertionError: assert not ['bob@old.example']",
        HEADING,
        "",
        *script.split("\n"),
        "",
        "Failing test case: test_it(",
        "    cut=Sizes(()),",
        ")",
    ]
    lines = [(mark + line).rstrip() for line in report]
    assert parse("\n".join(lines)).items == parse("\n\n\n" + script).items
    assert parse("\n".join(["    def test():", *lines, "test_it.py:3: AssertionError"])).ask == {"RCPT"}
    without_end = "\n".join([*lines[: lines.index(mark.rstrip(), 3)], "test_it.py:3: AssertionError"])
    if mark.startswith("E"):
        assert parse(without_end).items == parse("\n\n\n" + script).items
    with pytest.raises(ScriptError, match=r":1: an? (indented )?line begins with"):
        parse("\n".join(lines[:3]))


def test_only_the_indentation_of_all_lines_is_removed() -> None:
    assert parse("  S: 220 mx\n    -> C: 220 mx") == parse("S: 220 mx\n  -> C: 220 mx")
    with pytest.raises(ScriptError, match=":2: an indented line begins with"):
        parse("S: 220 mx\n  C: NOOP")


def test_settings() -> None:
    script = parse(
        "# a comment: with a colon\n"
        "# ask: RCPT, MESSAGE\n"
        "# config: bare_newline=reject, max_message_size=1000, trace=true\n"
        "# config: relay_keywords=X-FOO X-BAR, max_line=99\n"
        "# play: whole\n"
        "# show: complete, violation\n"
        "C: x\n"
    )
    assert script.ask == {"RCPT", "MESSAGE"}
    assert script.show == {"complete", "violation"}
    assert script.whole_only
    config = script.config
    assert (config.bare_newline.value, config.max_message_size, config.trace) == ("reject", 1000, True)
    assert config.relay_keywords == {"X-FOO", "X-BAR"}
    assert config.max_line == 99
    assert parse("# config: max_message_size=none\nC: x").config == Config()


def test_comments_may_stand_anywhere() -> None:
    play("# one\n" + RIGHT.replace("    -> C: 250 ok\n", "    # two\n    -> C: 250 ok\n# three: four\n\n"))


# Playing


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("cut", [whole, bytewise, drawn(Random(3))])
def test_a_right_script_passes(cut: Chunker, late: bool) -> None:
    played = play(RIGHT, cut=cut, late=late)
    assert played.to_client == b"220 mx\r\n250 ok\r\n"
    assert played.to_server == b"NOOP\r\n"
    assert played.events[-1] == Close(CLIENT)


def test_missing_output() -> None:
    told = failure(RIGHT.replace("    -> C: 250 ok\n", "    -> C: 250 ok\n    -> C: 250 more\n"))
    assert told.startswith("x.txt:7: ")
    assert "- -> C: 250 more" in told


def test_extra_output() -> None:
    told = failure(RIGHT.replace("    -> C: 250 ok\n", ""))
    assert told.startswith("x.txt:5: ")
    assert "+ -> C: 250 ok" in told


def test_wrong_output() -> None:
    told = failure(RIGHT.replace("-> S: NOOP", "-> S: noop"))
    assert told.startswith("x.txt:4: ")
    assert "- -> S: noop" in told
    assert "+ -> S: NOOP" in told


def test_output_to_the_wrong_side() -> None:
    assert "- -> C: NOOP" in failure(RIGHT.replace("-> S: NOOP", "-> C: NOOP"))


def test_output_at_the_wrong_time() -> None:
    early = RIGHT.replace("C: NOOP\n    -> S: NOOP\n", "C: NOOP\n").replace(
        "-> C: 250 ok", "-> C: 250 ok\n    -> S: NOOP"
    )
    assert "+ -> S: NOOP" in failure(early)


def test_unfinished_script() -> None:
    assert "- -> S: NOOP" in failure(GREETED + "C: NO\\\n    -> S: NOOP\n")


@pytest.mark.parametrize(
    ("closes", "difference"),
    [
        ("-> close S", "+ -> close C"),
        ("-> close C", "+ -> close S"),
        ("-> close C\n    -> abort S", "- -> abort S"),
        ("-> C: bye\n    -> close S, C", "- -> C: bye"),
    ],
)
def test_wrong_close(closes: str, difference: str) -> None:
    assert difference in failure(RIGHT.replace("-> close S, C", closes))


def test_missing_question() -> None:
    assert "- ? RCPT a@b" in failure(GREETED + "C: RCPT TO:<a@b>\n    ? RCPT a@b\n    -> S: RCPT TO:<a@b>\n")


def test_unexpected_question() -> None:
    assert "+ ? RCPT a@b" in failure(ASKED + "<timeout>\n    -> close S, C\n")


def test_wrong_question() -> None:
    told = failure(ASKED + "    ? RCPT other@b\n    ! continue\n")
    assert "- ? RCPT other@b" in told
    assert "+ ? RCPT a@b" in told


@pytest.mark.parametrize("detail", ["", " a@b", " TO:<a@b>"])
def test_a_question_may_be_named_in_many_ways(detail: str) -> None:
    play(ASKED + f"    ? RCPT{detail}\n    ! answer 550 no\n    -> C: 550 no\n")


def test_question_left_open() -> None:
    assert failure(ASKED + "    ? RCPT\n").startswith(
        "x.txt:4: no verdict ('! …') follows the question of line 5"
    )
    assert "x.txt:4: - is in" in failure(ASKED)
    held = "C: RSET\n    -> S: RSET\n"
    assert "a second question" not in failure(ASKED + "    ? RCPT\n" + held)


def test_a_question_without_a_verdict() -> None:
    hint = (
        "\nno verdict ('! …') follows the question of line {}: ? RCPT a@b; "
        "this question needs a line with a verdict, such as '! continue'"
    )
    refused = "    -> C: 550 no\n"
    assert failure(ASKED + refused + "    ? RCPT a@b\n").endswith(hint.format(6))
    assert failure(ASKED + "    ? RCPT a@b\n" + refused).endswith(hint.format(5))
    again = "C: RCPT TO:<a@b>\n    ? RCPT a@b\n    ! answer 550 no\n" + refused
    assert failure(ASKED + "    ? RCPT a@b\n" + refused + again).endswith(hint.format(5))
    for others in (
        "    ? RCPT c@d\n" + refused,
        refused,
        "    ? RCPT a@b\n" + refused + "    ! answer 550 no\n",
    ):
        assert "no verdict" not in failure(ASKED + others)


def test_a_question_without_a_verdict_in_a_dialogue_that_has_ended() -> None:
    told = failure(ASKED + "    ? RCPT a@b\nS: 250 ok\n    -> C: 250 ok\n")
    assert "+ -> C: 421 4.3.0 upstream server broke the protocol" in told
    assert "\nno verdict ('! …') follows the question of line 5: " in told


@pytest.mark.parametrize("instead", ["", "    -> S: RCPT TO:<a@b>\n"])
def test_a_question_that_the_script_does_not_have(instead: str) -> None:
    hint = "the proxy asks: this question needs the line '? RCPT a@b', and below it a line with a verdict"
    assert f"\n{hint}, such as '! continue'" in failure(ASKED + instead)
    assert "the proxy asks" not in failure(ASKED + "    ? RCPT c@d\n")
    assert "the proxy asks" not in failure(ASKED + "    ? RCPT a@b\n    ! answer 550 no\n")


@pytest.mark.parametrize("late", [False, True])
def test_verdict_without_question(late: bool) -> None:
    said = "x.txt:5: a verdict, but no question is open; add '# ask: {}' at the top of the script"
    script = GREETED + "C: NOOP\n    -> S: NOOP\n    ! continue\n"
    assert said.format("NOOP") in failure(script, late=late)
    assert said.format("MESSAGE") in failure(script.replace("NOOP", "hello"), late=late)
    assert said.format("HELO, NOOP") in failure("# ask: HELO\n" + script, late=late).replace(":6:", ":5:")
    replied = GREETED + "C: NOOP\n    -> S: NOOP\nS: 250 ok\n    ! answer 550 no\n    -> C: 250 ok\n"
    assert said.format("REPLY").replace("5:", "6:") in failure(replied, late=late)


def test_a_second_verdict_for_one_question() -> None:
    said = failure(ASKED + "    ? RCPT\n    ! answer 550 no\n    -> C: 550 no\n    ! answer 550 no\n")
    assert "no question is open: none about RCPT is left to answer" in said


@pytest.mark.parametrize("verdict", ["replace DATA", "replace \\r\\n", "replace"])
def test_impossible_verdict(verdict: str) -> None:
    told = failure(ASKED + f"    ? RCPT\n    ! {verdict}\n")
    assert told.startswith("x.txt:6: the verdict is not possible")


@pytest.mark.parametrize("replacement", ["no reply", "550 mx"])
def test_impossible_replacement_of_a_reply(replacement: str) -> None:
    told = failure(f"# ask: REPLY\nS: 220 mx\n    ? REPLY\n    ! replace {replacement}\n")
    assert told.startswith("x.txt:4: the verdict is not possible")


def test_question_at_another_place() -> None:
    told = failure("# ask: REPLY\nS: 220 mx\n    ? HEADERS 220 mx\n    ! continue\n")
    assert "- ? HEADERS 220 mx" in told
    assert "+ ? REPLY 220 mx" in told


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        ("complete", "complete 3"),
        ("answered", "answered 250"),
        ("chunk", "chunk: x"),
    ],
)
def test_what_can_be_shown(shown: str, line: str) -> None:
    text = f"# show: {shown}\n# config: tap=lines\n" + GREETED
    assert f"- -> {line}" in failure(text + f"C: NOOP\n    -> S: NOOP\n    -> {line}\n")


def test_events_are_compared_if_they_are_shown() -> None:
    text = "# show: violation\nS: nonsense\n    -> C: 421 4.3.0 upstream server broke the protocol, closing\n"
    assert "+ -> violation S" in failure(text + "    -> close S, C\n")
    play(text + "    -> violation S\n    -> close S, C\n")


def test_input_that_is_never_read() -> None:
    text = "# config: max_pipelined=1\n" + GREETED + "C: NOOP\n    -> S: NOOP\nC: NOOP\nC: <eof>\n"
    assert "the client may not be read" in failure(text)


def test_input_behind_a_close_is_nothing() -> None:
    play(RIGHT + "S: 250 ok\nC: NOOP\n")


# Proxies with faults that no script describes


class Wrong(Proxy):
    """Answers the client's first input with ``events``."""

    events: list[Event] = []

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        events = super().receive_from(side, data)
        return list(self.events) if side is CLIENT else events


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([Close(CLIENT), SendToClient(b"late\r\n")], "after it was closed"),
        ([Close(CLIENT), Close(CLIENT)], "closed twice"),
        ([SendToClient(b"")], "empty send"),
    ],
)
def test_what_no_proxy_may_do(events: list[Event], what: str) -> None:
    wrong = type("Wrong", (Wrong,), {"events": events})
    assert what in failure(GREETED + "C: NOOP\n", make=wrong)


class HalfClosed(Proxy):
    """Claims to be closed, but has closed nothing."""

    @property
    def closed(self) -> bool:
        return True


def test_half_closed() -> None:
    assert "has not closed both sides" in failure(GREETED, make=HalfClosed)


class Impatient(Proxy):
    """Asks every question twice."""

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        events = super().receive_from(side, data)
        return events + [event for event in events if isinstance(event, Ask)]


def test_two_questions_at_once() -> None:
    assert "a second question" in failure(ASKED + "    ? RCPT\n    ! continue\n", make=Impatient)


class Deaf(Proxy):
    """Reads neither side after the greeting."""

    @property
    def may_read(self) -> frozenset[Side]:
        return frozenset() if self.progress else super().may_read


def test_stall() -> None:
    assert "stalled" in failure(GREETED, make=Deaf)


class Hasty(Proxy):
    """Refuses the recipient itself if the answer comes before the server's reply to MAIL (against P6)."""

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        late = self.awaiting is None
        events = super().answer(question, verdict)
        return [*events, SendToClient(b"250 too late\r\n")] if late else events


LATE = (
    "# ask: RCPT\n"
    + GREETED
    + "C: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\n    -> S: MAIL FROM:<a@b>\n    ? RCPT c@d\n"
    "    ! answer 550 no\nS: 250 ok\n    -> C: 250 ok\n    -> C: 550 no\nC: <eof>\n    -> close S, C\n"
)


def test_late_answers_come_later() -> None:
    play(LATE, proxy=Hasty)
    play(LATE, late=True)
    assert "+ -> C: 250 too late" in failure(LATE, late=True, make=Hasty)


# Peers

PLACES = [(), ("RCPT", "MESSAGE"), ("HEADERS", "BODY_LINE"), ("COMMAND", "REPLY"), ("BODY_CHUNK",)]

MESSAGES = (
    Message(
        "a@me.example", ("b@mx.example", "bad@mx.example"), b"Subject: x\r\n\r\n.dot\r\n.\r\n..\r\nend\r\n"
    ),
    Message("", ("c@mx.example",), b""),
    Message("a@me.example", ("bad@mx.example",), b"for nobody\r\n"),
    Message("a@me.example", ("b@mx.example",), b"x" * 1200),
)


def no_bad_recipient(command: Command) -> Reply | None:
    return Reply.of(550, "no such user", enhanced="5.1.1") if b"<bad@" in command.raw else None


@pytest.mark.parametrize("ask", PLACES)
@pytest.mark.parametrize("cut", [whole, bytewise, drawn(Random(5))])
@pytest.mark.parametrize("keywords", [(), ("PIPELINING",), ("SIZE 9000", "PIPELINING", "8BITMIME")])
@pytest.mark.parametrize("pipelined", [False, True])
def test_end_against_end(
    pipelined: bool, keywords: Collection[str], cut: Chunker, ask: Collection[str]
) -> None:
    client = FakeClient(MESSAGES, pipelined=pipelined)
    server = FakeServer(keywords=keywords, judge=no_bad_recipient)
    proxy = Proxy(ask=ask)
    converse(client, server, proxy, cut=cut)
    assert client.finished
    assert proxy.closed
    assert not server.aborted
    assert server.accepted == [
        Accepted("a@me.example", ("b@mx.example",), MESSAGES[0].content),
        Accepted("", ("c@mx.example",), b""),
        Accepted("a@me.example", ("b@mx.example",), MESSAGES[3].content + b"\r\n"),
    ]
    assert [outcome.final and outcome.final.code for outcome in client.outcomes] == [250, 250, None, 250]
    assert [reply.code for reply in client.outcomes[0].recipients] == [250, 550]
    assert client.outcomes[2].data is not None
    assert client.outcomes[2].data.code == 554


def test_rules_between_the_ends() -> None:
    def judge(question: Any) -> Any:
        assert isinstance(question, MessageQuestion)
        return Replace(b"X-Rule: yes\n" + question.data) if b"end" in question.data else Continue()

    client, server = FakeClient(MESSAGES[:2]), FakeServer(judge=no_bad_recipient)
    converse(client, server, Proxy(ask={"MESSAGE"}), judge=judge)
    assert [message.content for message in server.accepted] == [b"X-Rule: yes\r\n" + MESSAGES[0].content, b""]


def test_a_message_that_cannot_be_sent() -> None:
    """The fake client waited for a reply to half a message."""
    client = FakeClient([Message("a@me.example", ("b@mx.example",), b"x\n\0.\n")])
    with pytest.raises(LocalProtocolError, match="this message cannot be sent: NUL in mail data"):
        converse(client, FakeServer(), Proxy())


def test_server_that_refuses() -> None:
    client = FakeClient(MESSAGES[:1])
    converse(client, FakeServer(greeting=Reply.of(554, "no")), Proxy())
    assert client.gone
    assert not client.finished
    assert [reply.code for reply in client.replies] == [554]


def test_server_that_refuses_data() -> None:
    def judge(command: Command) -> Reply | None:
        return Reply.of(451, "not now") if command.verb == b"DATA" else None

    client, server = FakeClient(MESSAGES[:2], pipelined=True), FakeServer(judge=judge)
    converse(client, server, Proxy())
    assert client.finished
    assert [outcome.data and outcome.data.code for outcome in client.outcomes] == [451, 451]
    assert not server.accepted


def test_server_that_refuses_quit() -> None:
    def judge(command: Command) -> Reply | None:
        return Reply.of(500, "stay") if command.verb == b"QUIT" else None

    client, server, proxy = FakeClient(()), FakeServer(judge=judge), Proxy()
    converse(client, server, proxy)
    assert client.finished
    assert server.commands == [b"EHLO me.example", b"QUIT"]
    assert not proxy.closed


def test_server_that_leaves() -> None:
    client, proxy = FakeClient(MESSAGES[:1], hello="HELO me.example"), Proxy()
    for data in (b"220 mx\r\n", b"421 going\r\n"):
        for event in proxy.receive_from(SERVER, data):
            if isinstance(event, SendToClient):
                client.receive(event.data)
    assert [reply.code for reply in client.replies] == [220, 421]
    assert client.take() == b"HELO me.example\r\n"


def test_server_that_refuses_messages() -> None:
    client = FakeClient(MESSAGES[:2])
    server = FakeServer(judge_message=lambda message: Reply.of(550 if message.content else 250, "as said"))
    converse(client, server, Proxy())
    assert [outcome.final and outcome.final.code for outcome in client.outcomes] == [550, 250]
    assert [message.sender for message in server.accepted] == [""]


def test_server_that_replies_before_the_dot() -> None:
    def early(received: int) -> Reply | None:
        return Reply.of(552, "enough") if received > 20 else None

    client, server = FakeClient(MESSAGES[3:]), FakeServer(early=early)
    converse(client, server, Proxy(), cut=fixed(100), prompt=True)
    assert client.replies[-1].code == 552
    assert client.gone
    assert not server.accepted


def test_server_knows_no_other_verbs() -> None:
    server = FakeServer()
    server.take()
    for line, code in ((b"XFOO", b"502"), (b"RCPT TO:<a@b>", b"503"), (b"DATA", b"554"), (b"HELO x", b"250")):
        server.receive(line + b"\r\n")
        assert server.take()[:3] == code


@pytest.mark.parametrize(
    "octets_sent",
    [
        b"NOOP\r\nNOOP\r\n",
        b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<a@b>\r\nRCPT",
    ],
)
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_server_without_pipelining_complains_of_haste(octets_sent: bytes, cut: Chunker) -> None:
    server = FakeServer(keywords=())
    server.take()

    def receive_all() -> None:
        for piece in cut(octets_sent):
            server.receive(piece)

    with pytest.raises(AssertionError, match="before the reply to"):
        receive_all()


@pytest.mark.parametrize("following", [b"NOOP\r\n", b"DATA\r\n"])
def test_server_with_pipelining_complains_of_what_ends_a_group(following: bytes) -> None:
    server = FakeServer()
    server.receive(b"EHLO x\r\n")
    server.take()
    server.receive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n" + following)
    with pytest.raises(AssertionError, match="before the reply to"):
        server.receive(b".\r\n")


@pytest.mark.parametrize("garbage", [b"\0\r\n", b"BDAT x\r\n"])
def test_server_complains_of_garbage(garbage: bytes) -> None:
    with pytest.raises(AssertionError, match="cannot read this"):
        FakeServer().receive(garbage)


def test_client_complains_of_garbage() -> None:
    with pytest.raises(AssertionError, match="cannot read this"):
        FakeClient(()).receive(b"what?\r\n")


def test_server_sees_an_aborted_message() -> None:
    class Dying(FakeClient):
        def take(self) -> bytes:
            return super().take().removesuffix(b".\r\n")

    client, server, proxy = Dying(MESSAGES[3:]), FakeServer(), Proxy()
    events = converse(client, server, proxy)
    events += proxy.eof_from(CLIENT)
    assert events[-2:] == [Close(SERVER, abort=True), Close(CLIENT)]
    server.closed_by_peer()
    assert server.aborted
    assert not server.accepted


def test_a_stall_is_found() -> None:
    with pytest.raises(AssertionError, match="stalled"):
        converse(FakeClient(()), FakeServer(), Deaf())
