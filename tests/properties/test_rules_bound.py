"""P10 with rules: what the engine keeps is bounded too, whatever peers do and however slow rules are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import CLIENT, SERVER, Proxy
from sansio_smtp.rules import Discard, Reject, Rule, RuleSession, RuleSet
from sansio_smtp.rules.phases import CONTENT_PHASES, PHASES

from .budget import FEW
from .memory import constants, kept_octets
from .rules_drawn import Pause, look
from .test_p10_bound import FLOODS, IN_CONTENT, SEGMENT, SMALL, START, Flood, reachable_bound

_KEPT_BY_A_STAGE = SMALL.max_body_line + 4 * (SMALL.read_ahead + SEGMENT)
"""The beginning of a line, and a piece of the body: as it came, in lines, and what is left of these."""


def looks(*arguments: Any) -> None:
    look(*arguments)


async def looks_slowly(*arguments: Any) -> None:
    await Pause()
    look(*arguments)


def rules_in(phases: frozenset[str], *, slow: bool) -> RuleSet:
    function = looks_slowly if slow else looks
    return RuleSet([Rule(phase, function, phase, is_async=slow) for phase in PHASES if phase in phases])


@attrs.define
class RulesFlood(Flood):
    """Beside the flood, rules that look and say nothing."""

    rules: RuleSet = attrs.field(factory=RuleSet)
    session: RuleSession = attrs.field(init=False)
    judging: Any = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.session = RuleSession(self.rules, self.proxy)
        self.constant = constants(self.proxy, self.session)

    @property
    def roots(self) -> tuple[object, ...]:
        return self.proxy, self.session, self.judging

    def answer(self) -> None:
        question = self.question
        if question is None:
            return
        self.judging = self.judging or self.session.judge(question)
        try:
            self.judging.send(None)
        except StopIteration as done:
            self.question = self.judging = None
            self.take(self.proxy.answer(question, done.value))


def flood_of(rules: RuleSet) -> RulesFlood:
    """A client that is never sent away, however often it is refused."""
    config = attrs.evolve(SMALL, max_refusals=1 << 60, max_junk=1 << 60)
    stages = sum(len(rules.by_phase[phase]) for phase in ("body", "body_line"))
    copies = 3 * SMALL.max_held if rules.by_phase["message"] else 0
    # As many recipients as may be accepted are remembered, and their commands parsed.
    recipients = 2 * SMALL.max_recipients * SMALL.max_line
    limit = reachable_bound(SMALL) + 3 * SMALL.max_header_section + copies + stages * _KEPT_BY_A_STAGE
    limit += recipients
    return RulesFlood(Proxy(config, rules.ask), limit, rules=rules)


@FEW
@given(
    st.sampled_from([START, IN_CONTENT]),
    st.frozensets(st.sampled_from([*CONTENT_PHASES, "rcpt", "reply", "command"]), max_size=4),
    st.booleans(),
    FLOODS,
)
def test_p10_without_end(start: Any, phases: frozenset[str], slow: bool, data: bytes) -> None:
    """One sort of line or content without end, in every mode; the server says nothing any more."""
    flood = flood_of(rules_in(phases, slow=slow))
    flood.start(start)
    for _ in range(150):
        if CLIENT in flood.proxy.may_read:
            flood.take(flood.proxy.receive_from(CLIENT, data[:SEGMENT]))
        else:
            flood.answer()


@pytest.mark.parametrize(
    "phases", [(), ("rcpt",), ("data",), ("rcpt", "data", "message"), ("reply", "command")]
)
@pytest.mark.parametrize("reply", [b"550 no\r\n", b"250 ok\r\n"])
def test_p10_recipients_without_end(phases: tuple[str, ...], reply: bytes) -> None:
    """Recipients are counted, taken or not: none of them is kept for ever."""
    _flood_with_recipients(flood_of(rules_in(frozenset(phases), slow=False)), reply)


@pytest.mark.parametrize("verdict", [Reject(), Discard()])
def test_p10_recipients_that_rules_refuse(verdict: Any) -> None:
    refuse: Callable[..., Any] = lambda tx, to: verdict  # noqa: E731
    _flood_with_recipients(flood_of(RuleSet([Rule("rcpt", refuse, "refuse")])), b"550 no\r\n")


def _flood_with_recipients(flood: RulesFlood, reply: bytes) -> None:
    flood.start(START[:-2])
    for number in range(300):
        flood.take(flood.proxy.receive_from(CLIENT, b"RCPT TO:<%050d@x>\r\n" % number))
        while flood.question is not None:
            flood.answer()
        if flood.proxy.awaiting is not None:
            flood.take(flood.proxy.receive_from(SERVER, reply))
        while flood.question is not None:
            flood.answer()
    assert not flood.proxy.closed
    assert kept_octets(*flood.roots, apart_from=flood.constant) <= flood.limit
