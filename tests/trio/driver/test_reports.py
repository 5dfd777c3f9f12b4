"""What the operator is told: changes of state, at -vv, in the log and in the transcript."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import attrs
import structlog
from streams import running
from trio.testing import MockClock

from sansio_smtp import SERVER, Command, Envelope, MessageAnswered, Proxy, Reply
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


def partly_refused() -> MessageAnswered:
    recipients = [Command.of("RCPT TO:<b@mx.example>"), Command.of("RCPT TO:<c@mx.example>")]
    full = Reply.of(552, "full", enhanced="5.2.2")
    results = ((recipients[0], Reply.of(250, "ok")), (recipients[1], full))
    envelope = Envelope(Command.of("MAIL FROM:<a@me.example>"), recipients)
    return MessageAnswered(full, envelope, results=results)


def test_the_log_says_what_became_of_each_recipient(logs: Logs) -> None:
    reports = Reports(structlog.stdlib.get_logger(), None, Outbox(NOWHERE), tells_each=True)
    reports.event(partly_refused())
    assert [(entry["log_level"], entry["event"], entry.get("rcpt"), entry["reply"]) for entry in logs] == [
        ("info", "message answered", None, "552 5.2.2 full"),
        ("info", "recipient answered", "RCPT TO:<b@mx.example>", "250 ok"),
        ("info", "recipient answered", "RCPT TO:<c@mx.example>", "552 5.2.2 full"),
    ]


def test_a_client_that_gets_one_reply_for_some_that_were_refused_is_a_warning(logs: Logs) -> None:
    reports = Reports(structlog.stdlib.get_logger(), None, Outbox(NOWHERE))
    event = partly_refused()
    reports.event(event)
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["refused"] for entry in warnings] == [["RCPT TO:<c@mx.example> -> 552 5.2.2 full"]]
    all_refused = attrs.evolve(event, results=event.results[1:])
    logs.clear()
    reports.event(all_refused)
    assert [entry["event"] for entry in logs] == ["message answered", "recipient answered"]
