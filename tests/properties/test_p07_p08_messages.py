"""P7 truncation and P8 truth: what the two sides may believe of a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import DEEP

from sansio_smtp import Answer, BareNewline, CommandQuestion, Config, Continue, Reply, Route, Swallow
from sansio_smtp.questions import AnyQuestion, AnyVerdict

from .budget import FEW
from .dialogues import Dialogue, Later, dialogues
from .harness import OCTETS, Schedule, World, schedules
from .peers import Style, Unit
from .promises import (
    assert_conservation,
    assert_not_smuggled,
    assert_truncated,
    assert_truth,
)
from .transactions import assert_envelopes_as_told
from .verdicts import ASKS, DrawnJudge, FirstVerdict, salts


@FEW
@given(dialogues(), schedules, ASKS, st.data())
def test_p7_truncation(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], data: st.DataObject
) -> None:
    whole = len(World(dialogue, ask=ask).run().client.sent)
    for limit in data.draw(st.sets(st.integers(0, whole), max_size=6)):
        world = World(dialogue, schedule, ask, client_limit=limit).run()
        assert_truncated(world)
        assert_not_smuggled(world)


def test_p7_truncation_everywhere() -> None:
    """Every position of one dialogue, for each way that content takes; usually a part of them for each."""
    mail = [Unit(b"MAIL FROM:<a@x>\r\n", group=True), Unit(b"RCPT TO:<b@x>\r\n", group=True)]
    message = Unit(b"DATA\r\n", content=b"A: b\r\n\r\nx\n.\r\n.\n.\r\r\n..\r\n.\r\n")
    for style in Style:
        dialogue = Dialogue(
            [Unit(b"EHLO c\r\n"), *mail, message, *mail, message, Unit(b"QUIT\r\n")], style, []
        )
        places = (None, "HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE")
        for number, place in enumerate(places):
            ask = frozenset({place} if place else ())
            limits = range(len(World(dialogue).run().client.sent))
            for limit in limits if DEEP else limits[number :: len(places)]:
                assert_truncated(World(dialogue, ask=ask, client_limit=limit).run())


@FEW
@given(dialogues(), schedules, ASKS, salts)
def test_p8_truth(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    World(dialogue, schedule, ask, DrawnJudge(salt, ask), after_reply=assert_truth).run()


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("place", [None, "HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE"])
def test_p8_truth_when_the_server_goes(style: Style, place: str | None) -> None:
    """With a good-bye and without one, in place of each of its replies."""
    units = [Unit(b"EHLO c\r\n"), *_mail(1), *_mail(2)]
    for end in (9, 10):
        for number in range(9):
            dialogue = Dialogue(units, style, [0] * number + [end])
            world = World(dialogue, ask=frozenset({place} if place else ())).run()
            assert_truth(world)
            assert_conservation(world)


def _mail(number: int) -> list[Unit]:
    return [
        Unit(b"MAIL FROM:<a%d@x>\r\n" % number, group=True),
        Unit(b"RCPT TO:<b%d@x>\r\n" % number, group=True),
        Unit(b"DATA\r\n", content=b"x\r\n.\r\n"),
    ]


@pytest.mark.parametrize("style", [Style.LOCKSTEP, Style.GROUPS])
@pytest.mark.parametrize("place", ["HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE", "DATA"])
@pytest.mark.parametrize("code", [451, 550, 250])
def test_p8_truth_behind_a_message_that_a_rule_answered(style: Style, place: str, code: int) -> None:
    """Its recipients do not get the next message, whichever of the next ones the server takes."""
    if (place, code) == ("DATA", 250):
        return  # is no verdict

    for refused in range(4, 12):
        judge = FirstVerdict(Answer(Reply.of(code, "rule")))
        units = [Unit(b"EHLO c\r\n"), *_mail(1), *_mail(2), *_mail(3)]
        dialogue = Dialogue(units, style, [0] * refused + [6])
        world = World(dialogue, ask=frozenset({place}), judge=judge).run()
        assert_conservation(world)
        assert_envelopes_as_told(world)


@pytest.mark.parametrize("ask", [{"HEADERS"}, {"HEADERS", "MESSAGE"}, {"BODY_LINE", "MESSAGE"}, {"DATA"}])
@pytest.mark.parametrize("code", [421, 451, 550])
def test_p8_truth_behind_a_message_that_is_refused_twice(ask: set[str], code: int) -> None:
    """By a rule, and then by the proxy for what it holds: the server forgets its recipients, or is left."""
    for verdict in (Answer(Reply.of(code, "rule")), Swallow(Reply.of(code, "rule"))):
        if isinstance(verdict, Swallow) != (ask == {"DATA"}):
            continue
        first = _mail(1)
        first[-1] = Unit(b"DATA\r\n", content=b"A: b\r\n\r\nx\r\ny\nz\r\n.\r\n")
        units = [Unit(b"EHLO c\r\n"), *first, *_mail(2), *_mail(3)]
        config = Config(bare_newline=BareNewline.REJECT, reconnect=True)
        for schedule in (Schedule(), OCTETS):
            dialogue = Dialogue(units, Style.GROUPS, [], config=config)
            world = World(dialogue, schedule, frozenset(ask), FirstVerdict(verdict)).run()
            assert_conservation(world)
            assert_envelopes_as_told(world)
            assert 354 in world.client.codes


@pytest.mark.parametrize("style", [Style.LOCKSTEP, Style.GROUPS])
@pytest.mark.parametrize("refused", [6, 7])
@pytest.mark.parametrize("at_home", [0, 6])
def test_p8_truth_of_a_transaction_that_is_left(style: Style, refused: int, at_home: int) -> None:
    """Its DATA was refused by the server that a verdict had chosen; the next MAIL goes home. Nothing of the
    one before goes with it, whether it is taken there or not."""

    def judge(question: AnyQuestion) -> AnyVerdict:
        elsewhere = isinstance(question, CommandQuestion) and b"b1" in question.command.raw
        return Route("c") if elsewhere else Continue()

    units = [Unit(b"EHLO c\r\n"), *_mail(1), *_mail(2)]
    later = [Later([0, 0, 0, refused]), Later([0, at_home])]
    world = World(Dialogue(units, style, [], later=later), ask=frozenset({"RCPT"}), judge=judge).run()
    assert_conservation(world)
    assert_envelopes_as_told(world)
    assert [b"a1" in wire for wire in world.wires] == [True, True, False]
    assert world.client.codes[-1] == (250 if at_home == 0 else 503)


@FEW
@given(dialogues(styles=(Style.LOCKSTEP, Style.GROUPS)), schedules, ASKS, salts)
def test_p8_truth_of_the_envelope(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int
) -> None:
    """Each command was accepted by a server, or by a verdict that no server knows of."""
    assert_envelopes_as_told(World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run())
