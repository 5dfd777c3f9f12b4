"""What the operator is told: changes of state, at -vv, in the log and in the transcript."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import structlog
from streams import running
from trio.testing import MockClock

from sansio_smtp import SERVER, Proxy
from trio_proxy.driver.outbox import Outbox
from trio_proxy.driver.reports import Reports, joint_state
from trio_proxy.driver.streams import NOWHERE
from trio_proxy.text.transcript import Transcript

Logs = list[MutableMapping[str, Any]]


def states(logs: Logs) -> list[str]:
    return [entry["state"] for entry in logs if entry["event"] == "state"]


async def test_changes_of_state_are_logged_and_noted(autojump_clock: MockClock, logs: Logs) -> None:
    lines: list[str] = []
    async with running(write_transcript=lines.append, show_states=True) as run:
        await run.hello()
        run.client.close()
    seen = states(logs)
    assert len(seen) >= 3
    assert all(one != other for one, other in pairwise(seen))
    assert "CLOSED" in seen[-1]
    assert [line.split(" === state ")[1] for line in lines if " === state " in line] == seen


def test_a_state_that_stays_is_logged_once(logs: Logs) -> None:
    proxy = Proxy()
    reports = Reports(structlog.stdlib.get_logger(), None, Outbox(NOWHERE), show_states=True)
    assert reports.shows_states
    proxy.receive_from(SERVER, b"220 mx.")
    reports.state(proxy)
    proxy.receive_from(SERVER, b"example")
    reports.state(proxy)
    assert states(logs) == [str(joint_state(proxy))]
    proxy.receive_from(SERVER, b"\r\n")
    reports.state(proxy)
    assert len(states(logs)) == 2


def test_nothing_is_looked_at_without_the_option() -> None:
    transcript = Transcript(1, lambda line: None)
    assert not Reports(structlog.stdlib.get_logger(), transcript, Outbox(NOWHERE)).shows_states


def test_a_state_that_cannot_be_told_is_said_to_be_unknown() -> None:
    broken: Any = None
    assert str(joint_state(broken)).startswith("unknown: AttributeError")
