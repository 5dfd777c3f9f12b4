"""How a session ends: time, lost peers, shutdown. What the peers see of it, and what the log says."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import pytest
import trio
from streams import ENVELOPE, LIMIT, TEXT, Peer, Running, TrioStream, lockstep, running
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import Question
from trio_proxy.driver.alone import STOPPING_SECONDS
from trio_proxy.driver.streams import Stream
from trio_proxy.settings.timeouts import PHASES, Timeouts

Logs = list[MutableMapping[str, Any]]
Clock = MockClock

LATE = 33 / 32
TIMES = Timeouts(
    connect=11, greeting=22, idle=33, command=44, reply=55, content=66, final_reply=77, verdict=88
)
LOST = b"421 4.4.2 upstream server closed the connection\r\n"
LOST_MESSAGE = b"451 4.4.2 upstream server was lost before it accepted the message\r\n"
STOPPED = b"421 4.3.2 service is shutting down, try again later\r\n"


def events(logs: Logs) -> list[str]:
    return [entry["event"] for entry in logs]


async def ends(run: Running, octets: bytes) -> None:
    """The client is told this and no more, and goes."""
    assert await run.client.rest() == octets
    run.client.close()
    await run.until_ended()


async def to_stage(run: Running, stage: str) -> None:
    """``connect`` and ``greeting`` are where a session begins."""
    if stage in ("connect", "greeting"):
        return
    await run.hello()
    if stage == "command":
        await run.client.send(ENVELOPE[0])
        await run.server.expect(ENVELOPE[0])
        await run.server.send(b"250 2.1.0 ok")
        await run.client.expect(b"250 2.1.0 ok")
    elif stage == "reply":
        await run.client.send(b"NOOP")
        await run.server.expect(b"NOOP")
    elif stage == "content":
        await run.content()
        await run.client.raw(TEXT)
        await run.server.expect(*TEXT.splitlines())
    elif stage == "final_reply":
        await run.message()
    elif stage == "verdict":
        await run.client.send(b"VRFY x")
        await wait_all_tasks_blocked()


async def thinks_for_ever(_: Question[Any]) -> Any:
    await trio.sleep_forever()


RULES: dict[str, Any] = {"ask": frozenset({"VRFY"}), "judge": thinks_for_ever}


async def never(_: TrioStream) -> Stream:
    await trio.sleep_forever()
    raise AssertionError


async def refused(_: TrioStream) -> Stream:
    raise ConnectionRefusedError("Connection refused")


# Time


async def drip(peer: Peer, octets: bytes, seconds: float) -> None:
    """Sends them again and again, until the session has closed the connection."""
    with suppress(trio.BrokenResourceError), trio.fail_after(LIMIT):
        while True:
            await peer.stream.send_all(octets)
            await trio.sleep(seconds)


@pytest.mark.parametrize(
    ("phase", "reply"),
    [
        ("connect", b"421 4.4.1 upstream server cannot be reached, try again later\r\n"),
        ("greeting", b"421 4.4.2 upstream server did not greet in time\r\n"),
        ("idle", b"421 4.4.2 timeout: no command received, closing\r\n"),
        ("command", b"421 4.4.2 timeout: no command received, closing\r\n"),
        ("reply", b"421 4.4.2 upstream server did not reply in time\r\n"),
        ("content", b"421 4.4.2 timeout: mail data not ended by <CR><LF>.<CR><LF>, closing\r\n"),
        ("final_reply", b"451 4.4.2 upstream server did not answer the message in time\r\n"),
        ("verdict", b"421 4.3.0 no decision in time, try again later\r\n"),
    ],
)
async def test_each_wait_has_its_own_time(
    autojump_clock: Clock, phase: str, reply: bytes, logs: Logs
) -> None:
    connect = never if phase == "connect" else None
    async with running(timeouts=TIMES, connect=connect, **RULES) as run:
        await to_stage(run, phase)
        before = trio.current_time()
        await ends(run, reply)
        seconds: float = getattr(TIMES, phase)
        # A little late, never early: RFC 5321 §4.5.3.2 gives minima.
        assert seconds <= trio.current_time() - before <= seconds * LATE
        if phase != "connect":
            assert await run.server.rest() == b""
            # In the middle of mail data an end that is no reset could be taken for the end of the message.
            assert run.server.session.end == ("reset" if phase == "content" else "closed")
    assert ("upstream server cannot be reached" if phase == "connect" else "timeout") in events(logs)


def test_no_phase_is_left_out() -> None:
    assert set(PHASES) == {
        "connect", "greeting", "idle", "command", "reply", "content", "final_reply", "verdict",
        "proxy_header", "handshake",  # which have test modules of their own
    }  # fmt: skip
    assert len({getattr(TIMES, phase) for phase in PHASES if phase != "handshake"}) == len(PHASES) - 1


@pytest.mark.parametrize("phase", ["greeting", "idle", "command", "reply", "final_reply"])
async def test_octets_that_make_no_line_gain_no_time(autojump_clock: Clock, phase: str) -> None:
    async with running(timeouts=TIMES) as run:
        await to_stage(run, phase)
        before = trio.current_time()
        await drip(run.client if phase in ("idle", "command") else run.server, b"2", 5)
        assert trio.current_time() - before <= getattr(TIMES, phase) * LATE + 6
        run.client.close()


async def test_progress_gains_time(autojump_clock: Clock) -> None:
    async with running(timeouts=TIMES) as run:
        await run.hello()
        for _ in range(10):
            await trio.sleep(TIMES.idle * 0.9)
            await run.client.send(b"NOOP")
            await run.server.expect(b"NOOP")
            await trio.sleep(TIMES.reply * 0.9)
            await run.server.send(b"250 ok")
            await run.client.expect(b"250 ok")
        await run.content()
        for _ in range(10):
            await trio.sleep(TIMES.content * 0.9)
            await run.client.send(b"line")
            await run.server.expect(b"line")
        await run.client.send(b".")
        await trio.sleep(TIMES.final_reply * 0.9)
        await run.server.send(b"250 kept")
        await run.client.expect(b"250 kept")
        before = trio.current_time()
        await run.client.rest()
        assert trio.current_time() - before <= TIMES.idle * LATE
        run.client.close()


async def test_it_is_the_server_that_takes_no_mail_data(autojump_clock: Clock, logs: Logs) -> None:
    async with running(timeouts=TIMES, server=lockstep) as run:
        await run.hello()
        await run.content()
        await run.client.raw(TEXT)
        before = trio.current_time()
        await ends(run, b"421 4.4.2 upstream server does not take the message\r\n")
        assert trio.current_time() - before <= TIMES.content * LATE
        assert run.server.session.end == "reset"
    assert [entry["waiting_for"] for entry in logs if entry["event"] == "timeout"] == ["server to read"]


async def test_a_client_that_was_told_to_go_but_stays_is_left(autojump_clock: Clock) -> None:
    """A flood that never ends is read for a while, so that the reply arrives; then it is cut off."""
    async with running() as run:
        await run.server.send(b"554 no")
        await run.client.expect(b"554 no")
        before = trio.current_time()
        await drip(run.client, b"x" * 1000, 0.5)
        assert 1 <= trio.current_time() - before <= 11


# A lost server


@pytest.mark.parametrize("how", [Peer.half_close, Peer.close, Peer.reset])
@pytest.mark.parametrize("stage", [phase for phase in PHASES if phase != "connect"])
async def test_a_server_that_is_lost(
    autojump_clock: Clock, stage: str, how: Callable[[Peer], None], logs: Logs
) -> None:
    async with running(**RULES) as run:
        await to_stage(run, stage)
        before = trio.current_time()
        how(run.server)
        await ends(run, LOST_MESSAGE if stage == "final_reply" else LOST)
        assert trio.current_time() == before
        assert run.server.session.end == ("reset" if stage == "content" else "closed")
    answered = [entry["reply"] for entry in logs if entry["event"] == "message refused"]
    assert [reply[:3] for reply in answered] == (["451"] if stage == "final_reply" else [])


async def test_a_server_that_cannot_be_reached(autojump_clock: Clock, logs: Logs) -> None:
    async with running(connect=refused) as run:
        await ends(run, b"421 4.4.1 upstream server cannot be reached, try again later\r\n")
    assert [entry["error"] for entry in logs if entry["log_level"] != "debug"] == ["Connection refused"]


async def test_a_server_that_closes_after_quit_is_not_worth_a_warning(
    autojump_clock: Clock, logs: Logs
) -> None:
    async with running() as run:
        await run.hello()
        await run.client.send(b"QUIT")
        await run.server.expect(b"QUIT")
        run.server.half_close()
        await ends(run, b"221 2.0.0 bye\r\n")
    assert [entry for entry in logs if entry["log_level"] not in ("debug", "info")] == []


# A lost client


@pytest.mark.parametrize("how", [Peer.half_close, Peer.close, Peer.reset])
@pytest.mark.parametrize("stage", ["greeting", "idle", "command", "content"])
async def test_a_client_that_is_lost(autojump_clock: Clock, stage: str, how: Callable[[Peer], None]) -> None:
    async with running() as run:
        await to_stage(run, stage)
        how(run.client)
        assert await run.server.rest() == b""
        assert run.server.session.end == ("reset" if stage == "content" else "closed")


async def test_a_client_that_is_lost_while_a_rule_thinks(autojump_clock: Clock) -> None:
    async with running(**RULES, timeouts=TIMES) as run:
        await to_stage(run, "verdict")
        run.client.reset()
        assert await run.server.rest() == b""


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
async def test_a_client_that_is_lost_behind_its_dot(
    autojump_clock: Clock, how: Callable[[Peer], None], logs: Logs
) -> None:
    """The server may have taken the message: it finishes, and the log keeps what it said (RFC 1047)."""
    async with running() as run:
        await run.hello()
        await run.message()
        how(run.client)
        await trio.sleep(60)
        assert run.server.session.end is None
        await run.server.send(b"250 2.0.0 kept as 4711")
        assert await run.server.rest() == b""
        assert run.server.session.end == "closed"
    (answered,) = [entry for entry in logs if entry["event"] == "message relayed"]
    (untold,) = [entry for entry in logs if entry["event"] == "message answered, client not told"]
    assert "kept as 4711" in answered["reply"]
    assert "kept as 4711" in untold["reply"]
    assert untold["log_level"] == "warning"


async def test_a_client_that_only_ended_its_input_is_told(autojump_clock: Clock, logs: Logs) -> None:
    async with running() as run:
        await run.hello()
        await run.message()
        run.client.half_close()
        await trio.sleep(60)
        await run.server.send(b"250 2.0.0 kept")
        await ends(run, b"250 2.0.0 kept\r\n")
    assert "message answered, client not told" not in events(logs)


async def test_it_is_told_once(autojump_clock: Clock, logs: Logs) -> None:
    """A client that goes later has been told."""
    async with running() as run:
        await run.hello()
        await run.message()
        await run.server.send(b"250 2.0.0 kept")
        await run.client.expect(b"250 2.0.0 kept")
        run.client.reset()
        await run.server.rest()
    assert "message answered, client not told" not in events(logs)


# Shutdown


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("stage", ["connect", "greeting", "idle"])
async def test_shutdown_of_an_idle_session(autojump_clock: Clock, stage: str, now: bool, logs: Logs) -> None:
    async with running(connect=never if stage == "connect" else None) as run:
        await to_stage(run, stage)
        await wait_all_tasks_blocked()
        before = trio.current_time()
        run.session.shutdown(now=now)
        await ends(run, STOPPED)
        assert trio.current_time() == before
    assert "timeout" not in events(logs)
    assert "upstream server cannot be reached" not in events(logs)


async def test_shutdown_lets_a_message_finish(autojump_clock: Clock) -> None:
    async with running() as run:
        await run.hello()
        await run.content()
        run.session.shutdown()
        await trio.sleep(10)
        await run.client.raw(TEXT + b".\r\n")
        await run.server.expect(*TEXT.splitlines(), b".")
        await trio.sleep(10)
        await run.server.send(b"250 2.0.0 kept")
        await ends(run, b"250 2.0.0 kept\r\n" + STOPPED)
        assert run.server.session.end == "closed"


@pytest.mark.parametrize("stage", ["command", "reply", "content", "final_reply", "verdict"])
async def test_shutdown_at_once(autojump_clock: Clock, stage: str, logs: Logs) -> None:
    async with running(**RULES) as run:
        await to_stage(run, stage)
        run.session.shutdown()
        await trio.sleep(20)
        assert run.client.session.end is None  # something is in flight
        before = trio.current_time()
        run.session.shutdown(now=True)
        await ends(run, STOPPED)
        assert trio.current_time() == before
        assert run.server.session.end == ("reset" if stage == "content" else "closed")
    assert [event for event in events(logs) if event == "timeout"] == []


@pytest.mark.parametrize("closes_before", [False, True])
async def test_after_the_grace_period_a_client_that_goes_on_sending_is_closed_soon(
    autojump_clock: Clock, closes_before: bool
) -> None:
    async with running() as run:
        await run.hello()
        if closes_before:
            run.session.shutdown()
            await trio.sleep(0.5)
        else:
            await run.content()
        run.session.shutdown(now=True)
        before = trio.current_time()
        await drip(run.client, TEXT, 0.5)
        assert 1 <= trio.current_time() - before <= STOPPING_SECONDS + 0.5
        await ends(run, STOPPED)


async def test_shutdown_twice_and_afterwards(autojump_clock: Clock) -> None:
    async with running() as run:
        await run.hello()
        for now in (False, False, True):
            run.session.shutdown(now=now)
        await ends(run, STOPPED)
        run.session.shutdown(now=True)
