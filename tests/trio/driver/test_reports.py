"""What the operator is told: changes of state, at -vv, in the log and in the transcript."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import attrs
from streams import running
from trio.testing import MockClock

from sansio_smtp import SERVER, ClientInfo, Command, Envelope, MessageAnswered, Proxy, Reply
from trio_proxy.account.account import Account
from trio_proxy.driver.outbox import Outbox
from trio_proxy.driver.reports import Reports, joint_state
from trio_proxy.driver.servers import Servers
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import NOWHERE, Stream
from trio_proxy.text.session_log import SessionLog

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


def reports(**choices: Any) -> Reports:
    log = SessionLog("c1", ClientInfo(address="192.0.2.1"))
    account = Account(log, Servers(Settings(connect=nowhere), log))
    return Reports(log, account, None, Outbox(NOWHERE), **choices)


async def nowhere() -> Stream:
    raise OSError


def test_a_state_that_stays_is_logged_once(logs: Logs) -> None:
    proxy = Proxy()
    told = reports(show_states=True)
    assert told.shows_states
    proxy.receive_from(SERVER, b"220 mx.")
    told.state(proxy)
    proxy.receive_from(SERVER, b"example")
    told.state(proxy)
    assert states(logs) == [str(joint_state(proxy))]
    proxy.receive_from(SERVER, b"\r\n")
    told.state(proxy)
    assert len(states(logs)) == 2


def test_nothing_is_looked_at_without_the_option() -> None:
    assert not reports().shows_states


def test_a_state_that_cannot_be_told_is_said_to_be_unknown() -> None:
    broken: Any = None
    assert str(joint_state(broken)).startswith("unknown: AttributeError")


def partly_refused() -> MessageAnswered:
    recipients = [Command.of("RCPT TO:<b@mx.example>"), Command.of("RCPT TO:<c@mx.example>")]
    full = Reply(552, b"552 5.2.2 full\r\n")
    results = ((recipients[0], Reply(250, b"250 ok\r\n")), (recipients[1], full))
    envelope = Envelope(Command.of("MAIL FROM:<a@me.example>"), recipients)
    return MessageAnswered(full, envelope, results=results)


def test_the_log_says_what_became_of_each_recipient(logs: Logs) -> None:
    reports(tells_each=True).event(partly_refused())
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("info", "message split")
    assert line["to"] == [
        {"address": "b@mx.example", "fate": "relayed", "reply": "250 ok"},
        {"address": "c@mx.example", "fate": "refused"},
    ]


def test_a_client_that_gets_one_reply_for_some_that_were_refused_is_a_warning(logs: Logs) -> None:
    event = partly_refused()
    reports().event(event)
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["refused"] for entry in warnings] == [["RCPT TO:<c@mx.example> -> 552 5.2.2 full"]]
    all_refused = attrs.evolve(event, results=event.results[1:])
    logs.clear()
    reports().event(all_refused)
    assert [entry["event"] for entry in logs] == ["message refused"]
