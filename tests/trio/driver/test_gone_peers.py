"""Peers that are gone: each phase, an end (FIN) or a reset (RST), of the client or of the server.

A reset says that nothing can be told any more: both connections are closed within a moment. An end says only
that nothing more will be sent: replies that are owed are still delivered. Descriptors are counted.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from streams import ENVELOPE, TEXT, Peer, running
from tcp_peers import MOMENT, QUIET, TcpPeer, TcpRunning, no_descriptor_is_left, over_tcp, tcp
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import CommandQuestion, Config, Continue, MessageQuestion, Question, Route
from sansio_smtp.rules import RuleSet
from sansio_smtp.rules.loading import collect
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SEGMENT, SocketStream, Stream, connect
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.addresses import Address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Logs = list[MutableMapping[str, Any]]
LONG = 20.0
"""Seconds for which something may be waited for, far more than a moment, less than each timeout."""
PIPELINED = 5


async def never(stream: Stream) -> Stream:
    """A connection that is not made in time."""
    try:
        await trio.sleep_forever()
    finally:
        stream.close()
    raise AssertionError


async def judge(question: Question[Any]) -> Any:
    """Thinks for ever about VRFY and messages; sends recipients to a second server."""
    if isinstance(question, CommandQuestion) and question.command.verb == b"RCPT":
        return Route("second.example")
    if not isinstance(question, CommandQuestion) or question.command.verb == b"VRFY":
        await trio.sleep_forever()
    return Continue()


# Up to a phase


async def ask(run: TcpRunning, *lines: bytes) -> None:
    """The client has said this, and the server has heard it; neither is answered."""
    await run.client.send(*lines)
    await run.server.expect(*lines)


async def at_connect(run: TcpRunning) -> None:
    await wait_all_tasks_blocked(QUIET)


async def at_greeting(run: TcpRunning) -> None:
    await wait_all_tasks_blocked(QUIET)


async def at_ehlo(run: TcpRunning) -> None:
    await run.server.send(b"220 mx.example ESMTP")
    await run.client.expect(b"220 mx.example ESMTP")
    await ask(run, b"EHLO me.example")


async def at_idle(run: TcpRunning) -> None:
    await run.hello(b"AUTH PLAIN LOGIN")


async def at_noop(run: TcpRunning) -> None:
    await at_idle(run)
    await ask(run, b"NOOP")


async def at_mail(run: TcpRunning) -> None:
    await at_idle(run)
    await ask(run, ENVELOPE[0])


async def at_command(run: TcpRunning) -> None:
    await at_mail(run)
    await run.server.send(b"250 2.1.0 ok")
    await run.client.expect(b"250 2.1.0 ok")


async def at_rcpt(run: TcpRunning) -> None:
    await at_command(run)
    await ask(run, ENVELOPE[1])


async def at_data(run: TcpRunning) -> None:
    await run.hello()
    await run.envelope()
    await ask(run, b"DATA")


async def at_auth(run: TcpRunning) -> None:
    await at_idle(run)
    await ask(run, b"AUTH PLAIN AGEAYg==")


async def at_auth_line(run: TcpRunning) -> None:
    await at_idle(run)
    await ask(run, b"AUTH LOGIN")
    await run.server.send(b"334 VXNlcm5hbWU6")
    await run.client.expect(b"334 VXNlcm5hbWU6")


async def at_content(run: TcpRunning) -> None:
    await run.hello()
    await run.content()
    await run.client.raw(TEXT)
    await run.server.expect(*TEXT.splitlines())


async def at_stalled_content(run: TcpRunning) -> None:
    """The server takes nothing more, so the client is not read."""
    await run.hello()
    await run.content()
    with trio.move_on_after(MOMENT):
        while True:
            await run.client.stream.send_all(b"x" * 998 + b"\r\n")


async def at_final_reply(run: TcpRunning) -> None:
    await run.hello()
    await run.message()


async def at_verdict(run: TcpRunning) -> None:
    await at_idle(run)
    await run.client.send(b"VRFY x")
    await wait_all_tasks_blocked(QUIET)


async def at_verdict_on_message(run: TcpRunning) -> None:
    await run.hello()
    await run.envelope()
    await run.client.send(b"DATA")
    await run.client.expect(b"354...")
    await run.client.raw(TEXT + b".\r\n")
    await wait_all_tasks_blocked(QUIET)


async def at_most_pipelined(run: TcpRunning) -> None:
    """The client has sent more than is read before replies come."""
    await run.hello()
    await run.client.send(*[b"NOOP"] * PIPELINED * 20)
    await run.server.expect(b"NOOP")
    await wait_all_tasks_blocked(QUIET)


async def at_second_connect(run: TcpRunning) -> None:
    await at_command(run)
    await run.client.send(ENVELOPE[1])
    assert await run.server.rest() == b"QUIT\r\n"
    await wait_all_tasks_blocked(QUIET)


async def at_second_greeting(run: TcpRunning) -> None:
    await at_second_connect(run)


async def at_second_ehlo(run: TcpRunning) -> None:
    await at_second_connect(run)
    await run.servers[0].send(b"220 second.example ESMTP")
    await run.servers[0].expect(b"EHLO me.example")


@attrs.frozen
class Stage:
    """How far a dialogue has come when a peer goes."""

    reach: Callable[[TcpRunning], Awaitable[None]]
    owes: tuple[bytes, ...] = ()
    """What the server says later, if the client is owed a reply."""
    settings: dict[str, Any] = attrs.field(factory=dict[str, Any])
    waits: bool = False
    """True if the end of the client cannot be seen yet, or does not matter: nothing is read."""

    @property
    def name(self) -> str:
        return self.reach.__name__.removeprefix("at_").replace("_", "-")


RULES: dict[str, Any] = {"judge": judge}
SECOND: dict[str, Any] = {**RULES, "ask": frozenset({"RCPT"})}
STAGES = [
    Stage(at_connect, settings={"connect": never}),
    Stage(at_greeting),
    Stage(at_ehlo, (b"550 not you",)),
    Stage(at_idle),
    Stage(at_noop, (b"250 ok",)),
    Stage(at_mail, (b"250 2.1.0 ok",)),
    Stage(at_command),
    Stage(at_rcpt, (b"250 2.1.5 ok",)),
    Stage(at_data, (b"554 no",)),
    Stage(at_auth, (b"235 2.7.0 ok",)),
    Stage(at_auth_line),
    Stage(at_content),
    Stage(at_stalled_content, settings={"buffer": 4096}, waits=True),
    Stage(at_final_reply, (b"250 2.0.0 kept",)),
    Stage(at_verdict, settings={**RULES, "ask": frozenset({"VRFY"})}, waits=True),
    Stage(at_verdict_on_message, settings={**RULES, "ask": frozenset({"MESSAGE"})}, waits=True),
    Stage(at_most_pipelined, settings={"config": Config(max_pipelined=PIPELINED, read_ahead=16)}, waits=True),
    Stage(at_second_connect, settings={**SECOND, "connect_to": never}, waits=True),
    Stage(at_second_greeting, settings=SECOND, waits=True),
    Stage(at_second_ehlo, settings=SECOND, waits=True),
]
FINAL = "final-reply"
ENDED = (FINAL, "verdict-on-message")
"""Where the client has sent end-of-data, and waits for the reply to that."""


def stages(*but: str) -> pytest.MarkDecorator:
    rows = [stage for stage in STAGES if stage.name not in but]
    return pytest.mark.parametrize("stage", rows, ids=[stage.name for stage in rows])


# The client


@pytest.mark.parametrize("how", [TcpPeer.reset, TcpPeer.end_and_reset])
@stages(FINAL)
async def test_a_client_that_resets_is_not_kept(
    mock_clock: MockClock, stage: Stage, how: Callable[[TcpPeer], None], logs: Logs
) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        how(run.client)
        await run.until_closed()
        for server in (run.server, *run.servers):
            assert not (await server.rest()).endswith(b"\r\n.\r\n")
    assert "timeout" not in [entry["event"] for entry in logs]


@pytest.mark.parametrize("seconds", [0, pytest.param(LONG, marks=pytest.mark.slow)])
@stages(FINAL)
async def test_a_client_that_ends_and_resets_later(
    mock_clock: MockClock, stage: Stage, seconds: float
) -> None:
    """What the end left open, because replies are owed, the reset ends."""
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        run.client.half_close()
        await wait_all_tasks_blocked(QUIET)
        await trio.sleep(seconds)
        run.client.reset()
        await run.until_closed()


@pytest.mark.slow
@stages()
async def test_a_client_that_ends_is_still_told_what_it_is_owed(mock_clock: MockClock, stage: Stage) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        run.client.half_close()
        if not stage.owes and not stage.waits:
            await run.until_closed()
            assert await run.client.rest() == b""
            return
        await trio.sleep(LONG)
        assert not run.ended.is_set()
        if stage.owes:
            await run.server.send(*stage.owes)
            assert (await run.client.rest()).splitlines() == list(stage.owes)
        else:
            run.client.reset()
        await run.until_closed()


@pytest.mark.parametrize("how", [TcpPeer.reset, TcpPeer.end_and_reset])
async def test_after_end_of_data_the_reply_is_awaited_for_the_log(
    mock_clock: MockClock, how: Callable[[TcpPeer], None], logs: Logs
) -> None:
    """RFC 1047: the server may have the message. The client's connection is not needed for that."""
    async with over_tcp(mock_clock) as run:
        await at_final_reply(run)
        how(run.client)
        await trio.sleep(MOMENT)
        assert run.of_client.sock.fileno() == -1
        await trio.sleep(LONG)
        assert not run.ended.is_set()
        await run.server.send(b"250 2.0.0 kept as 4711")
        await run.until_closed()
    told = [entry["reply"] for entry in logs if entry["event"] == "message answered, client not told"]
    assert told == ["250 2.0.0 kept as 4711"]


async def test_after_end_of_data_nothing_is_sent_for_a_lost_client(mock_clock: MockClock, logs: Logs) -> None:
    """The commands that were sent together with the message are of no use any more."""
    async with over_tcp(mock_clock) as run:
        await run.hello()
        await run.content()
        await run.client.raw(TEXT + b".\r\nMAIL FROM:<next@me.example>\r\nNOOP\r\n")
        await run.server.expect(*TEXT.splitlines(), b".")
        run.client.reset()
        await trio.sleep(MOMENT)
        await run.server.send(b"250 2.0.0 kept as 4711")
        await run.until_closed()
        assert await run.server.rest() == b""
    told = [entry["reply"] for entry in logs if entry["event"] == "message answered, client not told"]
    assert told == ["250 2.0.0 kept as 4711"]


# The server


@pytest.mark.parametrize("how", [TcpPeer.half_close, TcpPeer.close, TcpPeer.reset, TcpPeer.end_and_reset])
@stages("connect", "second-connect", "second-greeting", "second-ehlo")
async def test_a_server_that_goes_is_not_kept(
    mock_clock: MockClock, stage: Stage, how: Callable[[TcpPeer], None], logs: Logs
) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        before = trio.current_time()
        how(run.server)
        told = (await run.client.rest()).splitlines()
        assert told[0].startswith(b"451 4.4.2" if stage.name in ENDED else b"421 4.4.2")
        assert trio.current_time() - before <= MOMENT
        run.client.close()
        await run.until_closed()


@pytest.mark.parametrize("how", [TcpPeer.half_close, TcpPeer.close, TcpPeer.reset, TcpPeer.end_and_reset])
@stages(*(stage.name for stage in STAGES if stage.name not in ("second-greeting", "second-ehlo")))
async def test_a_second_server_that_goes_is_not_kept(
    mock_clock: MockClock, stage: Stage, how: Callable[[TcpPeer], None]
) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        how(run.servers[0])
        assert (await run.client.rest()).startswith(b"421 4.4.")
        run.client.close()
        await run.until_closed()


# Both


@stages()
async def test_both_reset_at_once(mock_clock: MockClock, stage: Stage) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        for server in run.servers[-1:] or [run.server]:
            server.reset()
        run.client.reset()
        await run.until_closed()


@stages()
async def test_both_end_at_once(mock_clock: MockClock, stage: Stage) -> None:
    async with over_tcp(mock_clock, **stage.settings) as run:
        await stage.reach(run)
        for server in run.servers[-1:] or [run.server]:
            server.half_close()
        run.client.half_close()
        with trio.move_on_after(MOMENT):
            await run.client.rest()
        if stage.name == "second-connect":
            run.client.reset()  # its end alone is no reason to go: it is owed a reply
        else:
            run.client.close()
        await run.until_closed()


# A server that cannot be reached yet


@contextmanager
def unanswering() -> Iterator[Address]:
    """An address at which connections are neither accepted nor refused: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = Address(*listener.getsockname())
        fillers: list[socket.socket] = []
        try:
            while True:
                filler = socket.socket()
                fillers.append(filler)
                filler.settimeout(0.2)
                filler.connect(listener.getsockname())
        except TimeoutError:
            yield address
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("how", [TcpPeer.half_close, TcpPeer.close, TcpPeer.reset])
async def test_clients_that_give_up_leave_nothing(
    mock_clock: MockClock, how: Callable[[TcpPeer], None], logs: Logs
) -> None:
    mock_clock.autojump_threshold = QUIET
    with unanswering() as address, no_descriptor_is_left():
        pairs = [tcp() for _ in range(20)]
        settings = Settings(connect=partial(connect, address))
        async with trio.open_nursery() as nursery:
            for number, (_, stream) in enumerate(pairs):
                nursery.start_soon(Session(stream, "peer", number, settings).run)
            await wait_all_tasks_blocked(QUIET)
            before = trio.current_time()
            for peer, _ in pairs:
                how(peer)
        assert trio.current_time() - before <= MOMENT
        for peer, _ in pairs:
            peer.close()
    assert [entry for entry in logs if entry["log_level"] not in ("debug", "info")] == []


def rules_of(*functions: Any) -> RuleSet:
    return RuleSet(collect({"rules": list(functions)}, file="").rules)


@pytest.mark.parametrize("how", [TcpPeer.half_close, TcpPeer.close, TcpPeer.reset])
async def test_a_client_that_goes_while_a_connect_rule_thinks(
    mock_clock: MockClock, how: Callable[[TcpPeer], None]
) -> None:
    said: list[str] = []

    async def connect(conn: Any) -> None:
        said.append("connect")
        try:
            await trio.sleep_forever()
        finally:
            said.append("cancelled")

    def disconnect(conn: Any) -> None:
        said.append("disconnect")

    rules = rules_of(connect, disconnect)
    async with over_tcp(mock_clock, connect=never, rules=lambda: nullcontext(rules)) as run:
        await wait_all_tasks_blocked(QUIET)
        how(run.client)
        await run.until_closed()
    assert said == ["connect", "cancelled", "disconnect"]


async def test_a_connection_that_is_made_when_the_client_has_gone(mock_clock: MockClock) -> None:
    """Even a connect that does not let itself be cancelled leaves nothing open."""

    async def connect(stream: SocketStream) -> Stream:
        with trio.CancelScope(shield=True):
            await trio.sleep(LONG)
        return stream

    async with over_tcp(mock_clock, connect=connect) as run:
        await wait_all_tasks_blocked(QUIET)
        run.client.close()
        await run.until_ended()
        assert await run.server.rest() == b""
        assert run.server.was_reset


# What the client sends too early


@pytest.mark.parametrize("ends", [False, True])
async def test_what_is_sent_before_there_is_a_server_is_kept(autojump_clock: MockClock, ends: bool) -> None:
    async def connect(stream: Stream) -> Stream:
        await trio.sleep(5)
        return stream

    async with running(connect=connect) as run:
        await run.client.send(b"EHLO me.example", b"QUIT")
        if ends:
            run.client.half_close()
        await run.server.send(b"220 mx.example ESMTP")
        await run.server.expect(b"EHLO me.example")
        assert trio.current_time() >= 5
        await run.server.send(b"250 mx.example")
        await run.server.expect(b"QUIT")
        await run.server.send(b"221 bye")
        await run.client.expect(b"220 mx.example ESMTP", b"250-mx.example", b"250 PIPELINING", b"221 bye")
        run.client.close()


async def test_what_is_sent_before_there_is_a_server_is_bounded(autojump_clock: MockClock) -> None:
    async with running(connect=never) as run:
        await run.client.raw(b"x" * 1_000_000)
        await wait_all_tasks_blocked()
        assert run.client.session.received <= Config().read_ahead + SEGMENT
        run.client.reset()


async def test_the_time_to_connect_is_the_servers_alone(autojump_clock: MockClock) -> None:
    """Early octets neither lengthen nor shorten it, and the greeting has all its time afterwards."""
    times = Timeouts(connect=40, greeting=10)

    async def connect(stream: Stream) -> Stream:
        await trio.sleep(39)
        return stream

    async with running(connect=connect, timeouts=times) as run:
        await run.client.send(b"EHLO me.example")
        await trio.sleep(48)
        await run.server.send(b"220 mx.example ESMTP")
        await run.server.expect(b"EHLO me.example")
        run.client.reset()


# Who is not read may be there still


@pytest.mark.parametrize("how", [Peer.half_close, None])
async def test_a_client_that_waits_is_not_taken_for_gone(
    autojump_clock: MockClock, how: Callable[[Peer], None] | None
) -> None:
    async def thinks(question: Question[Any]) -> Any:
        assert isinstance(question, CommandQuestion | MessageQuestion)
        await trio.sleep(LONG)
        return Continue()

    async with running(ask=frozenset({"NOOP"}), judge=thinks) as run:
        await run.hello()
        await run.client.send(b"NOOP")
        if how:
            how(run.client)
        await run.server.expect(b"NOOP")
        await run.server.send(b"250 ok")
        await run.client.expect(b"250 ok")
        run.client.close()
