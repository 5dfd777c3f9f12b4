"""A property that fails shows its dialogue, as a script that can be played."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis.vendor.pretty import pretty

from sansio_smtp import (
    Answer,
    Command,
    Config,
    Continue,
    Disconnect,
    Inspect,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Reply,
    Route,
    Swallow,
)
from sansio_smtp.testing import play
from sansio_smtp.testing.recorded import verdict_lines
from sansio_smtp.testing.verdicts import said as read

from .budget import FEW
from .dialogues import Dialogue
from .harness import World
from .peers import Style, Unit
from .plans import Plan, plans
from .promises import assert_truth
from .scripts import tells_dialogue

REPLY = Reply.of(550, "5.7.1 no", "and no")
RCPT = Command.of("RCPT TO:<c@x>")


@FEW
@given(plans())
def test_every_drawn_dialogue_can_be_played(plan: Plan) -> None:
    world = World(plan.dialogue, ask=plan.ask, judge=plan.judge()).run()
    play(world.log.script())


def test_a_check_that_fails_shows_the_dialogue() -> None:
    @tells_dialogue
    def check(world: World) -> None:
        assert not world.events

    config = Config(max_line=100, relay_keywords=frozenset({"DSN"}))
    dialogue = Dialogue([Unit(b"EHLO c\r\n"), Unit(b"QUIT\r\n")], Style.LOCKSTEP, [7], config=config)
    world = World(dialogue, ask=frozenset({"QUIT"})).run()
    with pytest.raises(AssertionError) as caught:
        check(world)
    shown, alone = caught.value.__notes__
    script = shown.removeprefix("The dialogue:\n\n")
    assert script.startswith("# ask: QUIT\n# config: max_line=100, relay_keywords=DSN\nS: 220 mx.example")
    assert "\nC: EHLO c\n    -> S: EHLO c\nS: 550 srv0\n    -> C: 550 srv0\n" in script
    assert script.endswith("    -> C: 221 srv1\n    -> close S\n    -> close C\n")
    play(script)
    assert f"pytest '{__file__.rpartition('/')[2]}" in alone or "test_scripts.py::" in alone


def test_a_dialogue_that_fails_on_its_way_is_shown() -> None:
    def fail(_: World) -> None:
        raise ZeroDivisionError

    world = World(Dialogue([Unit(b"NOOP\r\n")], Style.LOCKSTEP, []), after_reply=fail)
    with pytest.raises(ZeroDivisionError) as caught:
        world.run()
    assert "S: 220 mx.example ESMTP\n    -> C: 220 mx.example ESMTP\n" in caught.value.__notes__[0]


def test_a_log_is_noted_as_a_script() -> None:
    world = World(Dialogue([Unit(b"QUIT\r\n")], Style.LOCKSTEP, [])).run()
    assert pretty(world.log) == f"The dialogue:\n\n{world.log.script()}"


def test_a_check_that_holds_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert_truth(World(Dialogue([Unit(b"QUIT\r\n")], Style.LOCKSTEP, [])).run())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "verdict",
    [
        Continue(),
        Continue((RCPT, RCPT)),
        Answer(REPLY),
        Disconnect(REPLY),
        Swallow(REPLY),
        Route(None),
        Route("b", RCPT),
        Inspect(frozenset({"HEADERS", "MESSAGE"}), (RCPT,)),
    ],
    ids=lambda verdict: type(verdict).__name__,
)
def test_a_verdict_is_written_as_scripts_read_it(verdict: Any) -> None:
    *added, line = verdict_lines(verdict)
    commands = tuple(Command.of(each.removeprefix("! add ")) for each in added)
    found = read(line.removeprefix("! "), commands)
    if isinstance(verdict, Inspect):  # a set has no order in its repr
        assert (type(found), found.places, repr(found.recipients)) == (
            Inspect,
            verdict.places,
            repr(verdict.recipients),
        )
    else:
        assert repr(found) == repr(verdict)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (ReplaceCommand(RCPT), "! replace RCPT TO:<c@x>"),
        (ReplaceReply(REPLY), r"! replace 550-5.7.1 no\r\n550 and no"),
        (Replace(b"A: b\r\n\r\n"), r"! replace A: b\r\n"),
        (Replace(b"A: b"), "! replace A: b\\"),
    ],
    ids=repr,
)
def test_what_a_verdict_puts_in_is_written_as_octets(verdict: Any, line: str) -> None:
    assert verdict_lines(verdict) == [line]
