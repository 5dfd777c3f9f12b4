"""P9 with rules: whatever peers say and rules do, each verdict is one that the core takes; nothing raises."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twins import DRAWN

from sansio_smtp import CLIENT, SERVER, Close, Config, Connect, Event
from sansio_smtp.events import Ask
from sansio_smtp.rules import Connection, RuleSession, RuleSet

from .dialogues import configs
from .seeded import SEEDS, Seeded
from .test_p09_totality import STEPS


@given(st.lists(STEPS, max_size=40), configs(), SEEDS)
def test_p9_totality(steps: list[tuple[str, Any]], config: Config, seeded: Seeded) -> None:
    """Even a driver that does not look at `may_read` gets no exception."""
    rules = RuleSet([drawn.rule() for drawn in seeded.rules()])
    proxy = DRAWN(config, rules.ask)
    session = RuleSession(rules, proxy, Connection("192.0.2.1:4000", "c1"))
    judging: Any = None
    question: Any = None
    seen: list[Event] = []

    def go_on() -> list[Event]:
        nonlocal judging, question
        judging = judging or session.judge(question)
        try:
            judging.send(None)
        except StopIteration as done:
            asked, judging, question = question, None, None
            return proxy.answer(asked, done.value)
        return []

    def take(events: list[Event]) -> None:
        nonlocal question
        seen.extend(events)
        question = next((event.question for event in events if isinstance(event, Ask)), question)

    for step, value in steps:
        match step:
            case "client":
                take(proxy.receive_from(CLIENT, value))
            case "server":
                take(proxy.receive_from(SERVER, value))
            case "answer":
                take(go_on() if question is not None else [])
            case "client eof":
                take(proxy.eof_from(CLIENT))
            case "server eof":
                take(proxy.eof_from(SERVER))
            case "timeout":
                take(proxy.timed_out())
            case "unreachable":
                take(proxy.server_unreachable())
            case _:
                take(proxy.shutdown(now=step == "now"))
    while question is not None:
        take(go_on())
    take(proxy.eof_from(SERVER) + proxy.eof_from(CLIENT))
    while question is not None:
        take(go_on())
    if not proxy.closed:
        take(proxy.timed_out())
    assert proxy.closed
    closes = [event.side for event in seen if isinstance(event, Close)]
    assert closes.count(CLIENT) == 1
    assert closes.count(SERVER) == 1 + sum(isinstance(event, Connect) for event in seen)
