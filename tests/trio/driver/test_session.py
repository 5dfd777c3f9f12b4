"""A session between two peers in memory: order, back-pressure, questions."""

from __future__ import annotations

import gc
import socket
from collections.abc import MutableMapping
from typing import Any

import pytest
import trio
import trio.lowlevel
from streams import ENVELOPE, LIMIT, TEXT, Running, lockstep, memory, running
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import (
    Answer,
    CommandQuestion,
    Config,
    Continue,
    MessageQuestion,
    Question,
    Reply,
    ReplyQuestion,
)
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SEGMENT, SocketStream

Logs = list[MutableMapping[str, Any]]


def entries(logs: Logs, event: str) -> Logs:
    return [entry for entry in logs if entry["event"] == event]


async def say_quit(run: Running) -> None:
    await run.client.send(b"QUIT")
    await run.server.expect(b"QUIT")
    await wait_all_tasks_blocked()  # a stream in lockstep tells the writer a moment later that all is written
    await run.server.send(b"221 2.0.0 bye")
    assert await run.client.rest() == b"221 2.0.0 bye\r\n"
    run.client.close()


@pytest.mark.parametrize("at_most", [None, 1, 7])
@pytest.mark.parametrize("pair", [memory, lockstep])
async def test_a_whole_dialogue(
    autojump_clock: MockClock, pair: Any, at_most: int | None, logs: Logs
) -> None:
    async with running(client=pair, server=pair, at_most=at_most) as run:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def client() -> None:
                await run.client.send(b"EHLO me.example", *ENVELOPE, b"DATA")
                await run.client.expect(b"220 mx.example ESMTP", b"250-mx.example", b"250-DSN")
                await run.client.expect(b"250 PIPELINING", b"250 2.1.0 ok", b"250 2.1.0 ok", b"354 go on")
                await run.client.raw(TEXT + b".\r\n")
                await run.client.expect(b"250 2.0.0 kept")

            await run.server.send(b"220 mx.example ESMTP")
            await run.server.expect(b"EHLO me.example")
            await run.server.send(b"250-mx.example", b"250 DSN")
            for command in ENVELOPE:
                await run.server.expect(command)
                assert not run.server.buffer
                await run.server.send(b"250 2.1.0 ok")
            await run.server.expect(b"DATA")
            await run.server.send(b"354 go on")
            await run.server.expect(*TEXT.splitlines(), b".")
            await run.server.send(b"250 2.0.0 kept")
        await say_quit(run)
    assert run.server.session.end == "closed"
    (relayed,) = entries(logs, "message relayed")
    assert relayed["reply"].startswith("250 2.0.0 kept")
    assert (relayed["from"], relayed["to"]) == (
        "a@me.example",
        [{"address": "b@mx.example", "fate": "relayed"}],
    )
    assert not entries(logs, "message answered, client not told")


async def test_what_both_pumps_send_leaves_in_the_order_of_the_core(autojump_clock: MockClock) -> None:
    """Every other line is answered by the proxy itself, in its turn, while the server's replies come."""
    count = 40
    async with running(at_most=5, config=Config(max_errors=count)) as run:
        await run.hello(b"PIPELINING")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def client() -> None:
                for number in range(count):
                    await run.client.send(b"NOOP %d" % number, b"STARTTLS")

            for number in range(count):
                await run.server.expect(b"NOOP %d" % number)
                await run.server.send(b"250-%d" % number, b"250 ok")
        for number in range(count):
            await run.client.expect(b"250-%d" % number, b"250 ok", b"502 5.5.1...")
        await say_quit(run)


# Back-pressure


async def test_a_server_that_does_not_read_stops_the_client(autojump_clock: MockClock) -> None:
    async with running(server=lockstep) as run:
        await run.hello()
        await run.content()
        before = run.client.session.received
        await run.client.raw(b"x" * 998 + b"\r\n")
        await run.client.raw((b"y" * 998 + b"\r\n") * 10_000 + b".\r\n")
        await wait_all_tasks_blocked()
        # What it was writing, and nothing after it. At most one segment was read; none is held.
        assert run.client.session.received - before <= SEGMENT
        while not run.server.buffer.endswith(b"\r\n.\r\n"):
            await run.server.more()
            assert run.client.session.received - before <= len(run.server.buffer) + 2 * SEGMENT
        assert len(run.server.buffer) == 10_001_003
        run.server.buffer.clear()
        await run.server.send(b"250 2.0.0 kept")
        await run.client.expect(b"250 2.0.0 kept")
        await say_quit(run)


async def test_a_client_that_does_not_read_stops_the_server(autojump_clock: MockClock) -> None:
    count, line = 100, b"250-" + b"text" * 500
    async with running(client=lockstep) as run:
        await run.hello(b"PIPELINING")
        await run.client.send(*[b"RSET"] * count)
        await run.server.expect(*[b"RSET"] * count)
        before = run.server.session.received
        for number in range(count):
            await run.server.send(*[line] * 10, b"250 %d" % number)
        await wait_all_tasks_blocked()
        assert run.server.session.received - before <= SEGMENT
        for number in range(count):
            await run.client.expect(*[line] * 10, b"250 %d" % number)
        await say_quit(run)


async def test_a_server_that_reads_on_only_when_its_reply_has_been_read(autojump_clock: MockClock) -> None:
    """RFC 2920 §3.1: it blocks in sending while we send to it. Both wait, unless we read meanwhile."""
    count = 20
    async with running(server=lockstep) as run:
        await run.server.send(b"220 mx.example ESMTP")
        # All after EHLO leaves in one piece, when EHLO has been answered, from the pump of the server.
        await run.client.send(b"EHLO me.example", *(b"RCPT TO:<%d>" % number for number in range(count)))
        await run.server.expect(b"EHLO me.example")
        await run.server.send(b"250-mx.example", b"250 PIPELINING")
        for number in range(count):
            command = bytearray()
            with trio.fail_after(LIMIT):
                while not command.endswith(b"\r\n"):
                    command += await run.server.stream.receive_some(1)
            assert command == b"RCPT TO:<%d>\r\n" % number
            await run.server.send(b"250 %d" % number)
        await run.client.expect(b"220...", b"250-mx.example", b"250 PIPELINING")
        for number in range(count):
            await run.client.expect(b"250 %d" % number)
        await say_quit(run)


async def test_a_reply_is_passed_on_while_the_server_does_not_read(autojump_clock: MockClock) -> None:
    """The 250 of a message does not wait for the commands after it to be taken (RFC 1047)."""
    async with running(server=lockstep) as run:
        await run.hello(b"PIPELINING")
        await run.message()
        await run.client.send(*ENVELOPE)
        await wait_all_tasks_blocked()
        await run.server.send(b"250 2.0.0 kept")
        await run.client.expect(b"250 2.0.0 kept")
        run.client.reset()
        run.server.close()


# Questions


async def test_the_server_is_heard_while_a_rule_thinks(autojump_clock: MockClock) -> None:
    asked: list[float] = []

    async def judge(question: Question[Any]) -> Any:
        asked.append(trio.current_time())
        await trio.sleep(50)
        return Continue()

    async with running(ask=frozenset({"RCPT"}), judge=judge) as run:
        await run.hello()
        await run.client.send(*ENVELOPE)
        await run.server.expect(ENVELOPE[0])
        await trio.sleep(5)
        await run.server.send(b"250 2.1.0 ok")
        await run.client.expect(b"250 2.1.0 ok")
        assert trio.current_time() - asked[0] == pytest.approx(5, abs=0.1)
        await run.server.expect(ENVELOPE[1])
        assert trio.current_time() - asked[0] == pytest.approx(50, abs=0.1)
        await run.server.send(b"250 2.1.5 ok")
        await run.client.expect(b"250 2.1.5 ok")
        # The next question is still open when the server goes.
        await run.client.send(ENVELOPE[1])
        await trio.sleep(1)
        await run.server.send(b"421 4.3.2 going")
        await run.client.expect(b"421 4.3.2 going")
        assert trio.current_time() - asked[1] < 2
        run.client.close()
    assert len(asked) == 2


async def test_a_rule_that_thinks_delays_no_other_session(autojump_clock: MockClock) -> None:
    async def judge(question: Question[Any]) -> Any:
        assert isinstance(question, CommandQuestion)
        if question.command.argument.startswith(b"FROM:<slow"):
            await trio.sleep(100)
        return Answer(Reply.of(250, "judged"))

    rules: dict[str, Any] = {"ask": frozenset({"MAIL"}), "judge": judge}
    async with running(**rules) as slow, running(**rules) as fast:
        await slow.hello()
        await fast.hello()
        await slow.client.send(b"MAIL FROM:<slow@me.example>")
        started = trio.current_time()
        for _ in range(100):
            await fast.client.send(b"MAIL FROM:<fast@me.example>")
            await fast.client.expect(b"250 judged")
        await say_quit(fast)
        assert trio.current_time() - started < 1
        await slow.client.expect(b"250 judged")
        assert trio.current_time() - started >= 100
        await say_quit(slow)


async def fails(question: Question[Any]) -> Any:
    await trio.sleep(1)
    raise ZeroDivisionError("the rule is wrong")


async def talks_nonsense(question: Question[Any]) -> Any:
    return "yes"


FAILED = b"451 4.3.0 a rule of this proxy failed, try again later\r\n"


@pytest.mark.parametrize("judge", [fails, talks_nonsense])
async def test_a_rule_that_fails_ends_the_session_and_passes_nothing(
    autojump_clock: MockClock, judge: Any, logs: Logs
) -> None:
    async with running(ask=frozenset({"RCPT"}), judge=judge) as run:
        await run.hello()
        await run.client.send(ENVELOPE[0])
        await run.server.expect(ENVELOPE[0])
        await run.server.send(b"250 2.1.0 ok")
        await run.client.expect(b"250 2.1.0 ok")
        await run.client.send(ENVELOPE[1])
        assert await run.client.rest() == FAILED
        run.client.close()
        assert await run.server.rest() == b""
    (entry,) = entries(logs, "rule failed, closing")
    assert entry["exc_info"]


@pytest.mark.parametrize("judge", [fails, talks_nonsense])
async def test_a_message_whose_rule_fails_is_never_delivered(
    autojump_clock: MockClock, judge: Any, logs: Logs
) -> None:
    asked = []

    async def judges(question: Question[Any]) -> Any:
        asked.append(type(question))
        return await judge(question)

    async with running(ask=frozenset({"MESSAGE"}), judge=judges) as run:
        await run.hello()
        await run.envelope()
        await run.client.send(b"DATA")
        await run.client.expect(b"354...")
        await run.client.raw(TEXT + b".\r\n")
        assert await run.client.rest() == FAILED
        run.client.close()
        assert await run.server.rest() == b""
    assert asked == [MessageQuestion]
    assert entries(logs, "message refused")


async def test_an_answer_that_comes_when_all_is_over_changes_nothing(
    autojump_clock: MockClock, logs: Logs
) -> None:
    async def judge(question: Question[Any]) -> Any:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        return Continue()

    async with running(ask=frozenset({"REPLY"}), judge=judge) as run:
        await run.server.send(b"220 mx.example ESMTP")
        await trio.sleep(1)
        run.session.shutdown(now=True)
        assert await run.client.rest() == b"421 4.3.2 service is shutting down, try again later\r\n"
        run.client.close()
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")]


async def test_every_reply_may_be_asked_about(autojump_clock: MockClock) -> None:
    asked: list[bytes | None] = []

    async def judge(question: Question[Any]) -> Any:
        assert isinstance(question, ReplyQuestion)
        asked.append(question.command.verb if question.command else None)
        await trio.lowlevel.checkpoint()
        return Continue()

    async with running(ask=frozenset({"REPLY"}), judge=judge) as run:
        await run.hello()
        await run.message()
        await run.server.send(b"250 2.0.0 kept")
        await run.client.expect(b"250 2.0.0 kept")
        await say_quit(run)
    assert asked == [None, b"EHLO", b"MAIL", b"RCPT", b"DATA", b"", b"QUIT"]


# A refused message


async def test_a_client_whose_message_was_refused_is_still_served(
    autojump_clock: MockClock, logs: Logs
) -> None:
    async with running(config=Config(max_message_size=100)) as run:
        await run.hello()
        await run.content()
        await run.client.raw(b"x" * 200 + b"\r\n")
        assert b"\r\n.\r\n" not in await run.server.rest()
        assert run.server.session.end == "reset"
        await run.client.raw(b"more\r\n" * 100_000 + b".\r\n")
        await run.client.expect(b"552 5.3.4 message is larger than 100 octets")
        await run.client.send(b"QUIT")
        assert await run.client.rest() == b"221 2.0.0 bye\r\n"
        run.client.close()
    (violation,) = entries(logs, "protocol violation")
    assert violation["side"] == "client"


# Cancellation


@pytest.mark.parametrize("stage", ["connect", "greeting", "content", "closing"])
async def test_cancelled_from_outside_it_leaves_no_socket_open(
    autojump_clock: MockClock, stage: str, logs: Logs
) -> None:
    client, near_client = socket.socketpair()
    server, near_server = socket.socketpair()
    for sock in (client, near_client, server, near_server):
        sock.setblocking(False)

    async def connect() -> SocketStream:
        if stage == "connect":
            await trio.sleep_forever()
        return SocketStream(near_server)

    session = Session(SocketStream(near_client), "peer", 1, Settings(connect=connect))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run)
        await wait_all_tasks_blocked()
        if stage in ("content", "closing"):
            server.send(b"220 hi\r\n")
            client.send(b"EHLO me\r\n" if stage == "content" else b"\x16\x03\x01")
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert near_client.fileno() == -1
    assert near_server.fileno() == -1 or stage == "connect"
    for sock in (client, server, near_server):
        sock.close()
    del session
    gc.collect()  # a socket that was forgotten warns here
    assert not entries(logs, "upstream server cannot be reached")
