"""The exhaustive check: a shallow search finds nothing, and a search finds what is planted."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest

from sansio_smtp import (
    CLIENT,
    MESSAGE,
    SERVER,
    AwaitReply,
    Event,
    Phase,
    Proxy,
    SendToClient,
    SendToServer,
    Side,
)
from sansio_smtp.joint_states import TOGETHER
from sansio_smtp.states import (
    FRAMING,
    GATE,
    UPSTREAM,
    Gate,
    GateStep,
    Message,
    MessageStep,
    Step,
    UpstreamState,
    UpstreamStep,
)
from sansio_smtp.states import MESSAGE as MESSAGES
from sansio_smtp.testing import play

from . import explore as program
from .configurations import CONFIGURATIONS
from .dialogue import script
from .document import listed, names, render, rules
from .search import Found, Result, explore
from .world import Configuration

_SHALLOW = 2
"""Inputs of the dialogues that each run of the tests goes through; CI runs the program to its full depth."""


_RENEW: Final = "run python tests/exhaustive/explore.py --write"


_NAMES: Final = [
    pytest.param(name, marks=[pytest.mark.slow] if number % 4 else [])
    for number, name in enumerate(CONFIGURATIONS)
]


@functools.cache
def shallow(name: str) -> Result:
    return explore(CONFIGURATIONS[name], depth=_SHALLOW)


@pytest.mark.parametrize("name", _NAMES)
def test_no_promise_is_broken_in_short_dialogues(name: str) -> None:
    result = shallow(name)
    assert result.transitions
    assert not result.found, "\n\n".join(map(program.report, result.found))


@pytest.mark.parametrize("name", _NAMES)
def test_joint_states_are_on_the_page(name: str) -> None:
    documented = listed(program.PAGE.read_text(encoding="utf-8"))
    reached = {names(snapshot) for snapshot in shallow(name).joint}
    assert reached <= documented, _RENEW


def test_rules_are_on_the_page() -> None:
    assert rules() in program.PAGE.read_text(encoding="utf-8"), _RENEW


def test_a_page_lists_what_it_was_written_from() -> None:
    joint = shallow("commands").joint
    assert listed(render(joint)) == {names(snapshot) for snapshot in joint}


SMALL: Final = Configuration(
    "small", lines=("MAIL FROM:<m>", "RCPT TO:<r>", "DATA"), recipients=1, signals=False
)
TWO: Final = attrs.evolve(SMALL, in_flight=2, lines=("MAIL FROM:<m>", "RSET", "STARTTLS"))
LINES: Final = Configuration("lines", recipients=1)
HELD: Final = attrs.evolve(SMALL, ask=frozenset({MESSAGE}), verdicts=("continue", "answer"))


def search(configuration: Configuration, make: Callable[..., Proxy] = Proxy) -> Found:
    """The first fault that is found, which there must be; its dialogue shows it by itself too."""
    (found, *_) = explore(configuration, make=make, depth=14).found
    _, broken = script(configuration, found.path, make)
    assert broken == found.what
    return found


@pytest.mark.parametrize(
    ("phase", "step", "following", "sort"),
    [
        (Phase.BLOCKED, Step.RELEASE, Phase.BLOCKED, "P2"),
        (Phase.BLOCKED, Step.GO_AHEAD, Phase.COMMAND, "P"),
        (Phase.CONTENT, Step.END_OF_DATA, Phase.BLOCKED, "P"),
        (Phase.COMMAND, Step.BLOCKING_LINE, Phase.COMMAND, "P"),
        (Phase.COMMAND, Step.LINE, Phase.BLOCKED, "P"),
    ],
)
def test_a_wrong_transition_is_found(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, step: Step, following: Phase, sort: str
) -> None:
    monkeypatch.setitem(FRAMING[phase], step, following)
    assert search(SMALL).what.startswith(sort)


@pytest.mark.parametrize(
    ("table", "state", "step", "following"),
    [
        (GATE, Gate.ASKED, GateStep.ANSWER, Gate.ENDING),
        (GATE, Gate.OPEN, GateStep.ASK, Gate.OPEN),
        (MESSAGES, Message.JUDGING, MessageStep.CONTINUE, Message.JUDGING),
        (MESSAGES, Message.AWAITING_DATA, MessageStep.ENDED, Message.JUDGING),
        (UPSTREAM, UpstreamState.SETUP, UpstreamStep.SET_UP, UpstreamState.SETUP),
    ],
)
def test_a_wrong_step_of_the_proxy_is_found(
    monkeypatch: pytest.MonkeyPatch, table: Any, state: Any, step: Any, following: Any
) -> None:
    monkeypatch.setitem(table[state], step, following)
    assert search(HELD).what


def test_a_rule_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOGETHER[Message.AWAITING_DATA], "client", frozenset())
    assert "AWAITING_DATA does not go with client" in search(HELD).what


def test_a_missing_transition_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not delitem: that would put the step back at the end of the table, and docs are made of its order.
    left = {step: to for step, to in FRAMING[Phase.BLOCKED].items() if step is not Step.CHALLENGE}
    monkeypatch.setitem(FRAMING, Phase.BLOCKED, left)
    assert search(LINES).what


class Spoilt(Proxy):
    """What leaves in answer to what arrives goes through `spoil`."""

    def spoil(self, events: list[Event]) -> list[Event]:
        return events

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return self.spoil(super().receive_from(side, data))

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        return self.spoil(super().answer(question, verdict))


class LosesAReply(Spoilt):
    def spoil(self, events: list[Event]) -> list[Event]:
        return [
            event for event in events if not (isinstance(event, SendToClient) and b"250 s RCPT" in event.data)
        ]


class RepliesTwice(Spoilt):
    def spoil(self, events: list[Event]) -> list[Event]:
        twice = [event for event in events if isinstance(event, SendToClient) and b" s RSET" in event.data]
        return events + twice


class RepliesInTheWrongOrder(Spoilt):
    def spoil(self, events: list[Event]) -> list[Event]:
        replies = [event for event in events if isinstance(event, SendToClient)]
        return [replies.pop() if isinstance(event, SendToClient) else event for event in events]


class LosesRset(Proxy):
    """The RSET after a refused message never arrives, and the core takes it for answered."""

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        events = super().answer(question, verdict)
        kept = [event for event in events if not _is_rset(event)]
        return kept + self.receive_from(SERVER, b"250 2.0.0 ok\r\n") if len(kept) < len(events) else events


def _is_rset(event: Event) -> bool:
    if isinstance(event, SendToServer):
        return event.data == b"RSET\r\n"
    return isinstance(event, AwaitReply) and event.command.verb == b"RSET"


class SaysYesByItself(Spoilt):
    def spoil(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, SendToClient) and event.data.startswith(b"550 s ."):
                event.data = b"250 ok\r\n"
        return events


class ClosesInSilence(Spoilt):
    def spoil(self, events: list[Event]) -> list[Event]:
        return [event for event in events if not (self.closed and isinstance(event, SendToClient))]


class IsNeverDone(Spoilt):
    def shutdown(self, *, now: bool = False) -> list[Event]:
        return super().shutdown(now=True) if now else []


class NeverReadsContent(Spoilt):
    @property
    def may_read(self) -> frozenset[Side]:
        read = super().may_read
        return read - {CLIENT} if self.states[0] is Phase.CONTENT else read


@pytest.mark.parametrize(
    ("make", "configuration", "sort"),
    [
        (LosesAReply, SMALL, "P2"),
        (RepliesTwice, TWO, "P2"),
        (RepliesInTheWrongOrder, TWO, "P3"),
        (LosesRset, HELD, "order"),
        (SaysYesByItself, SMALL, "P8"),
        (ClosesInSilence, LINES, "P9"),
        (IsNeverDone, LINES, "P11"),
        (NeverReadsContent, SMALL, "P11"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_planted_fault_is_found(make: type[Spoilt], configuration: Configuration, sort: str) -> None:
    found = search(configuration, make)
    assert found.what.startswith(f"{sort}:"), found.what


def test_a_fault_is_printed_with_its_dialogue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FRAMING[Phase.BLOCKED], Step.RELEASE, Phase.BLOCKED)
    (found, *_) = explore(CONFIGURATIONS["lines"], depth=4).found
    printed = program.report(found)
    what, *_, command = printed.split("\n")
    assert what == f"# {found.what}"
    assert "S: 220 s greeting\n    -> C: 220 s greeting\nC: " in printed
    _, _, option, *arguments = shlex.split(command.removeprefix("$ "))
    assert program.main([option, *arguments]) == 1
    assert found.what in capsys.readouterr().out


def test_the_dialogue_is_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    path = (
        "S: 220 s greeting", "C: MAIL FROM:<m>", "! continue", "S: 250 s MAIL FROM:<m>", "C: RCPT TO:<r1>",
        "! route b", "S: 220 s greeting", "S: 250 s MAIL FROM:<m>", "S: 250 s RCPT TO:<r1>", "C: <eof>",
    )  # fmt: skip
    assert program.main(["--play", "routes", *path]) == 0
    lines, _ = script(CONFIGURATIONS["routes"], path)
    play("\n".join(lines))


def test_the_program_says_how_much_it_has_visited(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--only", "data", "--depth", "3", "--jobs", "1"]) == 0
    *_, last = capsys.readouterr().out.strip().split("\n")
    assert re.fullmatch(
        r"[0-9]+ joint states, [0-9]+ states, [0-9]+ transitions, depth 3, [0-9]+ seconds", last
    )
