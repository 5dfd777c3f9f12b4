"""How long rules may take, on a clock that no second passes on: the times are those that users get."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import attrs
import pytest
import trio
from streams import Running, TrioStream, running
from trio.testing import MockClock

from sansio_smtp.rules import Reject, Transaction, on
from sansio_smtp.rules.loading import rules_of
from trio_proxy.rulebook.host import RuleSettings
from trio_proxy.rulebook.tasks import RuleTasks

Logs = list[MutableMapping[str, Any]]

STEPS = {
    "greeting": b"",
    "EHLO": b"EHLO me.example\r\n",
    "AUTH": b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
    "MAIL": b"MAIL FROM:<a@me.example>\r\n",
    "RCPT": b"RCPT TO:<b@mx.example>\r\n",
    "RCPT again": b"RCPT TO:<c@mx.example>\r\n",
    "DATA": b"DATA\r\n",
    ".": b"Subject: hi\r\n\r\none\r\ntwo\r\n.\r\n",
    "NOOP": b"NOOP\r\n",
}
ASKED_AT = {
    "helo": "EHLO",
    "auth": "AUTH",
    "mail": "MAIL",
    "rcpt": "RCPT",
    "data": "DATA",
    "headers": ".",
    "body_line": ".",
    "body": ".",
    "message": ".",
    "command": "RCPT",
    "reply": "RCPT",
}
FAILED = re.compile(r"451 4\.3\.0 a rule of this proxy failed, try again later \(incident ([0-9a-f]{8})\)")
REFUSED = re.compile(r"550 5\.3\.0 a rule of this proxy failed \(incident ([0-9a-f]{8})\)")


@attrs.frozen
class Told:
    """What a client was told at a step, and after how many seconds."""

    reply: str
    seconds: float


@asynccontextmanager
async def ruled(
    *rules: object, write_transcript: Callable[[str], None] | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """A session under these rules, before a server that says yes."""
    ruleset = rules_of(*rules)
    rule_settings = RuleSettings(**settings)

    async def connect(server: TrioStream) -> TrioStream:
        return server

    async with (
        running(
            rules=lambda: nullcontext(ruleset),
            rule_settings=rule_settings,
            connect=connect,
            write_transcript=write_transcript,
        ) as run,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(say_yes, run)
        yield run
        run.client.close()
        await run.until_ended()
        nursery.cancel_scope.cancel()


async def say_yes(run: Running) -> None:
    server = run.server
    await server.send(b"220 mx.example ESMTP")
    with suppress(EOFError, trio.ClosedResourceError):
        while True:
            line = await server.line()
            if line == b"DATA":
                await server.send(b"354 go on")
                while await server.line() != b".":
                    pass
                await server.send(b"250 kept")
            else:
                await server.send(b"235 yes" if line.startswith(b"AUTH") else b"250 yes")


async def walk(run: Running, *, without: tuple[str, ...] = ()) -> dict[str, Told]:
    """A client goes on from step to step, whatever it is told."""
    told: dict[str, Told] = {}
    for step in STEPS:
        if step in without:
            continue
        if step == "." and not told["DATA"].reply.startswith("354"):
            continue
        started = trio.current_time()
        reply = await say(run, step)
        told[step] = Told(reply, trio.current_time() - started)
    return told


async def say(run: Running, *steps: str) -> str:
    """The last line of the last reply."""
    for step in steps:
        await run.client.raw(STEPS[step])
        reply = await run.client.line()
        while reply[3:4] == b"-":
            reply = await run.client.line()
    return reply.decode()


def late_rule(phase: str, seconds: float = 60.0, **options: Any) -> Callable[..., Any]:
    """Sleeps, the first time that it is asked; of commands and replies, about RCPT."""
    slept: list[object] = []

    async def sleeps(*arguments: Any) -> None:
        about = arguments[1].line if phase in ("command", "reply") else b"RCPT"
        if about.startswith(b"RCPT") and not slept:
            slept.append(about)
            await trio.sleep(seconds)

    return on(phase, **options)(sleeps)  # type: ignore[call-overload, no-any-return]


def failures(logs: Logs) -> Logs:
    return [entry for entry in logs if entry["event"] == "rule failed"]


@pytest.mark.parametrize("phase", [phase for phase in ASKED_AT if phase != "reply"])
async def test_thirty_seconds(autojump_clock: MockClock, logs: Logs, phase: str) -> None:
    """A rule that sleeps for a minute is given half of it. The client is told then, and goes on."""
    # A message that was refused while it streamed has cost the connection to the server.
    streams = phase in ("headers", "body_line", "body")
    async with ruled(late_rule(phase)) as run:
        told = await walk(run, without=("AUTH", "NOOP") if streams else ())
    asked = told.pop(ASKED_AT[phase])
    assert asked.seconds == pytest.approx(30)
    found = FAILED.fullmatch(asked.reply)
    assert found
    (entry,) = failures(logs)
    assert (entry["incident"], entry["phase"]) == (found[1], phase)
    assert entry["error"] == "TimeoutError: no verdict within 30 s"
    if phase == "mail":  # what follows is in no transaction
        assert [told.pop(step).reply[:3] for step in ("RCPT", "RCPT again", "DATA")] == ["503"] * 3
    for other in told.values():
        assert other.seconds == pytest.approx(0)
        assert other.reply[0] in "23"


async def test_thirty_seconds_before_the_greeting(autojump_clock: MockClock, logs: Logs) -> None:
    async def connect(conn: object) -> None:
        await trio.sleep(60)

    async with ruled(connect) as run:
        reply = await run.client.line()
        assert FAILED.fullmatch(reply.decode()), reply
        assert trio.current_time() == pytest.approx(30)
        assert await run.client.rest() == b""
    assert not run.server.buffer
    (entry,) = failures(logs)
    assert entry["phase"] == "connect"


async def test_a_late_reply_rule_hides_nothing(autojump_clock: MockClock, logs: Logs) -> None:
    """The server's reply is what has happened; it is late, and otherwise as it was."""
    async with ruled(late_rule("reply")) as run:
        told = await walk(run)
    assert told["RCPT"].seconds == pytest.approx(30)
    assert all(step.reply[0] in "23" for step in told.values())
    assert len(failures(logs)) == 1


async def test_a_time_of_its_own(autojump_clock: MockClock, logs: Logs) -> None:
    async with ruled(late_rule("rcpt", timeout=2.5), timeout=100) as run:
        told = await walk(run)
    assert told["RCPT"].seconds == pytest.approx(2.5)
    (entry,) = failures(logs)
    assert entry["error"] == "TimeoutError: no verdict within 2.5 s"


@pytest.mark.parametrize("of_the_rule", [True, False])
@pytest.mark.parametrize("on_error", ["defer", "reject", "accept"])
async def test_on_error(autojump_clock: MockClock, logs: Logs, on_error: Any, of_the_rule: bool) -> None:
    """What a late rule has done before is taken back."""

    async def rcpt(tx: Transaction, to: Any) -> None:
        if to.local == "b":
            to.rewrite("elsewhere@mx.example")
            await trio.sleep(60)

    rule = on("rcpt", on_error=on_error)(rcpt) if of_the_rule else rcpt
    async with ruled(rule, on_error="defer" if of_the_rule else on_error) as run:
        told = await walk(run)
    expected = {"defer": FAILED, "reject": REFUSED, "accept": re.compile("250 yes")}
    assert expected[on_error].fullmatch(told["RCPT"].reply)
    assert told["."].reply == "250 kept"
    assert len(failures(logs)) == 1
    assert not any(b"elsewhere" in written for written in run.server.session.writes)


async def test_in_time(autojump_clock: MockClock, logs: Logs) -> None:
    async def rcpt(tx: Transaction, to: Any) -> Reject | None:
        await trio.sleep(29)
        return Reject(550, "5.1.1 after long thought") if to.local == "b" else None

    async with ruled(rcpt) as run:
        told = await walk(run)
    assert told["RCPT"].reply == "550 5.1.1 after long thought"
    assert told["RCPT"].seconds == pytest.approx(29)
    assert told["."].reply == "250 kept"
    assert not failures(logs)


@pytest.mark.parametrize("in_tasks_of_the_service", [False, True])
@pytest.mark.parametrize(("seconds", "limit", "told"), [(1.5, 30, 0), (5, 30, 1), (60, 30, 1), (60, 2, 0)])
async def test_a_rule_that_takes_long_is_told_of(
    autojump_clock: MockClock,
    logs: Logs,
    seconds: float,
    limit: float,
    told: int,
    in_tasks_of_the_service: bool,
) -> None:
    shown: list[str] = []
    async with trio.open_nursery() as nursery:
        options = {"tasks": RuleTasks(nursery)} if in_tasks_of_the_service else {}
        rule = late_rule("rcpt", seconds)
        async with ruled(rule, write_transcript=shown.append, timeout=limit, **options) as run:
            await walk(run)
    entries = [entry for entry in logs if entry["event"] == "rule takes long"]
    assert [(entry["phase"], entry["seconds"], entry["timeout"]) for entry in entries] == [
        ("rcpt", 2, limit)
    ] * told
    lines = [line for line in shown if " rcpt has no verdict after 2 s, and may take 30 s" in line]
    assert len(lines) == told
    assert len(failures(logs)) == (seconds > limit)


async def test_longer_than_the_session_may_wait(autojump_clock: MockClock, logs: Logs) -> None:
    """A rule may be given more time than a verdict: then the session ends, and says so."""
    async with ruled(late_rule("rcpt", 5000, timeout=4000.0)) as run:
        assert (await say(run, "greeting", "EHLO", "MAIL", "RCPT")).startswith("421 ")
        assert trio.current_time() == pytest.approx(600, rel=1 / 16)
        assert await run.client.rest() == b""
    assert [entry["waiting_for"] for entry in logs if entry["event"] == "timeout"] == ["verdict"]


async def test_the_server_is_heard_while_a_rule_waits(autojump_clock: MockClock) -> None:
    """Replies to what came before reach the client at once."""
    async with ruled(late_rule("rcpt", 10)) as run:
        await run.client.expect(b"220 mx.example ESMTP")
        await run.client.send(
            b"EHLO me.example", b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA"
        )
        await run.client.expect(b"250-yes", b"250 ...", b"250 yes")
        assert trio.current_time() == 0
        await run.client.expect(b"250 yes")
        assert trio.current_time() == pytest.approx(10)
        await run.client.expect(b"354 go on")
        await run.client.raw(STEPS["."])
        await run.client.expect(b"250 kept")


async def test_the_server_is_lost_while_a_rule_waits(autojump_clock: MockClock, logs: Logs) -> None:
    left: list[object] = []

    def disconnect(conn: Any) -> None:
        left.append(conn.id)

    async with ruled(late_rule("rcpt"), disconnect) as run:
        await say(run, "greeting", "EHLO", "MAIL")
        await run.client.raw(STEPS["RCPT"])
        run.server.close()
        assert (await run.client.line()).startswith(b"421 4.4.2 ")
        assert await run.client.rest() == b""
        assert trio.current_time() == 0
    assert left == ["c1"]
    assert not failures(logs)


async def test_the_client_is_lost_while_a_rule_waits(autojump_clock: MockClock, logs: Logs) -> None:
    """Nobody reads from it meanwhile; it is found out at the verdict, and `disconnect` is called once."""
    left: list[object] = []

    def disconnect(conn: Any) -> None:
        left.append(trio.current_time())

    async with ruled(late_rule("rcpt", 20), disconnect) as run:
        await say(run, "greeting", "EHLO", "MAIL")
        await run.client.raw(STEPS["RCPT"])
        run.client.close()
    assert left == [pytest.approx(20)]
    assert not failures(logs)


async def test_each_session_waits_for_itself(autojump_clock: MockClock) -> None:
    """A whole dialogue of one client passes before the rule of another has said anything."""
    slow, quick = late_rule("rcpt"), late_rule("rcpt", 0)
    async with ruled(slow) as waiting, ruled(quick) as other:
        await say(waiting, "greeting", "EHLO", "MAIL")
        await waiting.client.raw(STEPS["RCPT"])
        told = await walk(other)
        assert told["."].reply == "250 kept"
        assert trio.current_time() == 0
        assert not waiting.client.buffer
        reply = (await waiting.client.line()).decode()
        assert FAILED.fullmatch(reply), reply
        assert trio.current_time() == pytest.approx(30)


@pytest.mark.parametrize("seconds", [5, 60])
async def test_disconnect_is_late(autojump_clock: MockClock, logs: Logs, seconds: float) -> None:
    """The client is gone already: it does not wait for that, but the session ends."""

    async def disconnect(conn: object) -> None:
        await trio.sleep(seconds)

    async with ruled(disconnect) as run:
        await run.client.expect(b"220 mx.example ESMTP")
        await run.client.send(b"QUIT")
        await run.client.expect(b"250 yes")
        run.client.close()
        await run.until_ended()
        assert trio.current_time() == pytest.approx(min(seconds, 10))
