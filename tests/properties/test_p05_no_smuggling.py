"""P5 no smuggling: what we send to the server means the same to every receiver, and is what we announced."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import DEEP

from sansio_smtp import BareNewline, Config, Replace
from sansio_smtp.questions import BODY_CHUNK
from sansio_smtp.testing.strategies import contents

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import Schedule, World, cuts, schedules
from .peers import Style, Unit
from .promises import assert_not_smuggled
from .verdicts import ASKS, DrawnJudge, FirstVerdict, salts

BEFORE_CONTENT = (1 << 20,) * 9
"""The steps: greeting, EHLO, its reply, MAIL, …, DATA, its reply; the content is the tenth."""
CONTENT_IN_OCTETS = Schedule(BEFORE_CONTENT, rest=1)
SMUGGLED = b"MAIL FROM:<evil@x>\r\nRCPT TO:<v@x>\r\nDATA\r\nbad\r\n.\r\n"


@given(dialogues(), schedules)
def test_p5_no_smuggling(dialogue: Dialogue, schedule: Schedule) -> None:
    assert_not_smuggled(World(dialogue, schedule).run())


@FEW
@given(dialogues(), schedules, ASKS, salts)
def test_p5_no_smuggling_by_a_rule(
    dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int
) -> None:
    """Whatever a rule puts in, it is a piece of one message."""
    assert_not_smuggled(World(dialogue, schedule, ask, DrawnJudge(salt, ask)).run())


@given(contents(hostile=True), st.sampled_from([5, 6, 7, 8]), st.booleans(), cuts)
def test_p5_no_smuggling_behind_refused_data(
    content: bytes, refusal: int, pipelining: bool, schedule: Schedule
) -> None:
    """What came together with a DATA that was then refused may be a message. It is never read as
    commands, whatever it holds."""
    units = [Unit(line + b"\r\n") for line in (b"EHLO c", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>")]
    units.append(Unit(b"DATA\r\n", content=content + SMUGGLED + b".\r\n"))
    world = World(Dialogue(units, Style.EAGER, [0, 0, 0, refusal], pipelining), schedule).run()
    assert [item.data for item in world.server.receiver.items] == [unit.line[:-2] for unit in units]
    assert_not_smuggled(world)


def short_strings(length: int) -> list[bytes]:
    return [bytes(octets) for octets in itertools.product(b"\r\n.x", repeat=length)]


def lengths(usual: int, deep: int) -> list[tuple[int, BareNewline]]:
    """Of strings, up to these; usually one less where the first bare newline is the end of the message."""
    most = {BareNewline.NORMALIZE: usual, BareNewline.REJECT: usual - 1}
    return [
        (length, bare_newline)
        for bare_newline in BareNewline
        for length in range(1 + (deep if DEEP else most[bare_newline]))
    ]


@pytest.mark.parametrize(("length", "bare_newline"), lengths(4, deep=7))
def test_p5_no_smuggling_exhaustive(length: int, bare_newline: BareNewline) -> None:
    """Every string of CR, LF, dot and a letter, first in the content and later, before a false message."""
    config = Config(bare_newline=bare_newline)
    for string in short_strings(length):
        for before in (b"", b"a"):
            assert_not_smuggled(World(_dialogue(before + string, config)).run())


@pytest.mark.parametrize(("length", "bare_newline"), lengths(3, deep=5))
def test_p5_no_smuggling_cut(length: int, bare_newline: BareNewline) -> None:
    """The same with a cut at every position of the string, and at all of them."""
    config = Config(bare_newline=bare_newline)
    for string in short_strings(length):
        dialogue = _dialogue(string, config)
        for position in range(1, length + 2):
            assert_not_smuggled(World(dialogue, Schedule((*BEFORE_CONTENT, position))).run())
        assert_not_smuggled(World(dialogue, CONTENT_IN_OCTETS).run())
        assert_not_smuggled(World(dialogue, CONTENT_IN_OCTETS, frozenset({BODY_CHUNK})).run())


@pytest.mark.parametrize("place", [None, "HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE"])
@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(Schedule(), id="whole"),
        pytest.param(CONTENT_IN_OCTETS, id="octets", marks=pytest.mark.slow),
    ],
)
def test_p5_no_smuggling_nul(place: str | None, schedule: Schedule) -> None:
    """Every line of NULs and dots: stuffed, decoded and stuffed again it is no end for who drops NUL."""
    ask = frozenset({place} if place else ())
    for length in range(1, 6 if DEEP else 4):
        for octets in itertools.product(b"\0.x", repeat=length):
            dialogue = _dialogue(bytes(octets) + b"\r\n", Config())
            assert_not_smuggled(World(dialogue, schedule, ask).run())
            judge = FirstVerdict(Replace(bytes(octets) + b"\r\n" + SMUGGLED))
            assert_not_smuggled(World(_dialogue(b"x\r\n", Config()), schedule, ask, judge).run())
            unended = FirstVerdict(Replace(bytes(octets)))
            assert_not_smuggled(World(_dialogue_of(b"x\r\n.\r\n"), schedule, ask, unended).run())


def _dialogue(content: bytes, config: Config) -> Dialogue:
    return _dialogue_of(content + SMUGGLED + b".\r\n", config)


def _dialogue_of(wire: bytes, config: Config | None = None) -> Dialogue:
    units = [Unit(line + b"\r\n") for line in (b"EHLO c", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>")]
    units.append(Unit(b"DATA\r\n", content=wire))
    return Dialogue(units, Style.LOCKSTEP, [], config=config or Config())
