"""P7 truncation and P8 truth: what the two sides may believe of a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import Answer, Reply

from .dialogues import Dialogue, dialogues
from .harness import Schedule, World, schedules
from .peers import Style, Unit
from .promises import (
    assert_conservation,
    assert_not_smuggled,
    assert_same_envelopes,
    assert_truncated,
    assert_truth,
)
from .verdicts import ASKS, DrawnJudge, FirstVerdict, salts


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
    """Every position of one dialogue, for each way that content takes."""
    mail = [Unit(b"MAIL FROM:<a@x>\r\n", group=True), Unit(b"RCPT TO:<b@x>\r\n", group=True)]
    message = Unit(b"DATA\r\n", content=b"A: b\r\n\r\nx\n.\r\n.\n.\r\r\n..\r\n.\r\n")
    for style in Style:
        dialogue = Dialogue(
            [Unit(b"EHLO c\r\n"), *mail, message, *mail, message, Unit(b"QUIT\r\n")], style, []
        )
        for place in (None, "HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE"):
            ask = frozenset({place} if place else ())
            for limit in range(len(World(dialogue).run().client.sent)):
                assert_truncated(World(dialogue, ask=ask, client_limit=limit).run())


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
        assert_same_envelopes(world)


@given(dialogues(styles=(Style.LOCKSTEP, Style.GROUPS)), schedules, ASKS, salts)
def test_p8_truth_of_the_envelope(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int
) -> None:
    """A rule that says 250 for a command that the server never saw is believed; so those stay away."""
    ask -= {"COMMAND", "REPLY", "MAIL"}
    assert_same_envelopes(World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run())
