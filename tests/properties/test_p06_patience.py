"""P6 patience: the moment at which a question is answered never changes an octet."""

from __future__ import annotations

import pytest
from hypothesis import given

from sansio_smtp import Answer, Disconnect, Reply
from sansio_smtp.questions import AnyVerdict

from .budget import FEW
from .dialogues import Dialogue, dialogues
from .harness import AT_ONCE, Schedule, World, schedules
from .peers import Style, Unit
from .promises import assert_same_octets
from .verdicts import ASKS, DrawnJudge, FirstVerdict, salts

WAITING = (Style.LOCKSTEP, Style.GROUPS)


@pytest.mark.parametrize("place", ["COMMAND", "RCPT", "DATA"])
@pytest.mark.parametrize("verdict", [Disconnect(Reply.of(550, "rule")), Answer(Reply.of(421, "rule"))])
def test_p6_patience_with_a_session_that_ends(place: str, verdict: AnyVerdict) -> None:
    """What the client has sent after it goes nowhere, however early the verdict."""
    lines = [b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"RSET", b"MAIL FROM:<c@x>", b"RCPT TO:<d@x>"]
    units = [Unit(b"EHLO c\r\n"), *(Unit(line + b"\r\n", group=True) for line in lines)]
    dialogue = Dialogue([*units, Unit(b"DATA\r\n", content=b".\r\n")], Style.GROUPS, [])
    ask = frozenset({place})
    late = World(dialogue, Schedule(), ask, FirstVerdict(verdict)).run()
    at_once = World(dialogue, AT_ONCE, ask, FirstVerdict(verdict)).run()
    assert late.client.received == at_once.client.received
    assert late.wires == at_once.wires


@FEW
@given(dialogues(styles=WAITING, plain_server=True), schedules, ASKS.filter(bool), salts)
def test_p6_patience(dialogue: Dialogue, schedule: Schedule, ask: frozenset[str], salt: int) -> None:
    """At once and late: in the drawn schedule a verdict waits for anything else that may have its turn."""
    judge = DrawnJudge(salt, ask)
    late, drawn = World(dialogue, ask=ask, judge=judge).run(), World(dialogue, schedule, ask, judge).run()
    at_once = World(dialogue, AT_ONCE, ask, judge).run()
    assert_same_octets(late, drawn)
    assert_same_octets(late, at_once)
