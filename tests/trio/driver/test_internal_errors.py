"""Internal errors: of the core, wherever the driver calls it, and of the driver's own parts.

The faults are planted: a method or property of one session's core raises, once or from then on, before it
does its work or afterwards. The client is told once, both connections are closed, one line is logged, and a
second session does not notice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
from streams import ENVELOPE, TEXT, Running, lockstep, running
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp import Config, Continue, Proxy, Question
from sansio_smtp.rules import Reject, RuleSession, RuleSet
from sansio_smtp.rules.loading import collect
from trio_proxy.driver.reports import Reports
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.settings.timeouts import Timeouts

Logs = list[MutableMapping[str, Any]]
OWED = b"451 4.3.0 internal error, try again later\r\n"
NOT_OWED = b"421 4.3.0 internal error, try again later\r\n"


class Fault(Exception):
    """It is planted."""


class Planter:
    """Makes one session's core fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def method(self, run: Running, name: str, *, after: bool = False, times: int = 1) -> None:
        """The next calls raise, ``after`` the call has done its work, or in place of it."""
        works, left = getattr(Proxy, name), times

        def call(proxy: Proxy, *args: Any, **options: Any) -> Any:
            nonlocal left
            if proxy is not run.session._proxy or not left:
                return works(proxy, *args, **options)
            left -= 1
            if after:
                # As a fault at the end of the call leaves them: decided, and not given out yet.
                proxy._out.extend(works(proxy, *args, **options))
            raise Fault(name)

        self._monkeypatch.setattr(Proxy, name, call)

    def level(self, run: Running, name: str, *, times: int = 1) -> None:
        """The property raises when it is read next."""
        works, left = getattr(Proxy, name).fget, times

        def read(proxy: Proxy) -> Any:
            nonlocal left
            if proxy is not run.session._proxy or not left:
                return works(proxy)
            left -= 1
            raise Fault(name)

        self._monkeypatch.setattr(Proxy, name, property(read))

    def everything(self, run: Running) -> None:
        """Nothing of the core works any more."""
        for name, value in vars(Proxy).items():
            if isinstance(value, property):
                self.level(run, name, times=-1)
            elif callable(value) and not name.startswith("__"):
                self.method(run, name, times=-1)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Planter:
    return Planter(monkeypatch)


async def thinks(question: Question[Any]) -> Any:
    await trio.sleep(5)
    return Continue()


class Spool:
    """Room for a message that is too large to be held."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def write(self, data: bytes) -> None:
        self.kept += data

    def read(self, start: int, count: int) -> bytes:
        return bytes(self.kept[start : start + count])

    def view(self) -> memoryview:
        return memoryview(bytes(self.kept))

    def close(self) -> None: ...


async def refused(_: Stream) -> Stream:
    raise ConnectionRefusedError("Connection refused")


def rules_of(*functions: Any) -> Any:
    collected = collect({"rules": list(functions)}, file="")
    assert not collected.problems
    rules = RuleSet(collected.rules)

    @contextmanager
    def use() -> Iterator[RuleSet]:
        yield rules

    return use


def connect(conn: object) -> Reject:
    return Reject(550, "not you")


# What leads to a call of the core


async def nothing(_: Running) -> None: ...


async def noop_is_sent(run: Running) -> None:
    await run.client.send(b"NOOP")
    await run.server.expect(b"NOOP")


async def message_is_spooled(run: Running) -> None:
    await run.envelope()
    await run.client.send(b"DATA")
    await run.client.expect(b"354...")
    await run.client.raw((b"x" * 70 + b"\r\n") * 4000 + b".\r\n")
    await run.server.expect(b"DATA")


async def client_speaks(run: Running) -> None:
    await run.client.send(b"NOOP")


async def client_asks(run: Running) -> None:
    await run.client.send(b"VRFY x")


async def client_ends(run: Running) -> None:
    run.client.half_close()


async def server_replies(run: Running) -> None:
    await run.server.send(b"250 ok")


async def server_takes_data(run: Running) -> None:
    await run.server.send(b"354 go on")


async def server_ends(run: Running) -> None:
    run.server.half_close()


async def service_stops(run: Running) -> None:
    run.session.shutdown()


async def service_stops_now(run: Running) -> None:
    run.session.shutdown(now=True)


SPOOLED: dict[str, Any] = {
    "ask": frozenset({"MESSAGE"}),
    "judge": thinks,
    "config": Config(max_held=1000),
    "make_spool": Spool,
}


@attrs.frozen
class Call:
    """A call of the core by the driver."""

    method: str
    prepare: Callable[[Running], Awaitable[None]]
    """What happens before the fault is there."""
    cause: Callable[[Running], Awaitable[None]]
    """What leads to the call."""
    before: bytes
    """What the client is told if the call raises before it has done anything."""
    after: bytes
    """If it raises in the end: what it has decided is true, and said."""
    settings: dict[str, Any] = attrs.field(factory=dict[str, Any])
    greeted: bool = True


LOST = b"421 4.4.2 upstream server closed the connection\r\n"
IDLE = b"421 4.4.2 timeout: no command received, closing\r\n"
LATE = b"421 4.4.2 upstream server did not reply in time\r\n"
STOPPED = b"421 4.3.2 service is shutting down, try again later\r\n"
UNREACHABLE = b"421 4.4.1 upstream server cannot be reached, try again later\r\n"
NOBODY: dict[str, Any] = {"connect": refused}
NOT_YOU: dict[str, Any] = {**NOBODY, "rules": rules_of(connect)}
SLOW: dict[str, Any] = {"timeouts": Timeouts(idle=20, reply=20)}
ASKED: dict[str, Any] = {"ask": frozenset({"VRFY"}), "judge": thinks}
CALLS = [
    Call("receive_from", nothing, client_speaks, NOT_OWED, OWED),
    Call("receive_from", noop_is_sent, server_replies, OWED, b"250 ok\r\n" + NOT_OWED),
    Call("eof_from", nothing, client_ends, NOT_OWED, b""),
    Call("eof_from", noop_is_sent, server_ends, OWED, LOST),
    Call("answer", nothing, client_asks, OWED, OWED, ASKED),
    Call("more", message_is_spooled, server_takes_data, OWED, OWED, SPOOLED),
    Call("timed_out", nothing, nothing, NOT_OWED, IDLE, SLOW),
    Call("timed_out", noop_is_sent, nothing, OWED, LATE, SLOW),
    Call("shutdown", nothing, service_stops, NOT_OWED, STOPPED),
    Call("shutdown", noop_is_sent, service_stops_now, OWED, STOPPED),
    Call("refuse", nothing, nothing, NOT_OWED, b"550 not you\r\n", NOT_YOU, greeted=False),
    Call("server_unreachable", nothing, nothing, NOT_OWED, UNREACHABLE, NOBODY, greeted=False),
]
each_call = pytest.mark.parametrize(
    "call", CALLS, ids=[f"{c.method}-{c.prepare.__name__}-{c.cause.__name__}" for c in CALLS]
)


async def fails(run: Running, call: Call, told: bytes, logs: Logs) -> None:
    """The session ends as it must where the core fails."""
    assert await run.client.rest() == told
    run.client.close()
    if call.greeted:
        assert b".\r\n" not in await run.server.rest()
        assert run.server.session.end == "reset"
    await run.until_ended()
    (line,) = [entry for entry in logs if entry.get("exc_info")]
    assert line["event"] == "internal error, closing"
    assert isinstance(line["exc_info"], Fault | ExceptionGroup)  # or one of each pump
    assert line["state"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@each_call
async def test_a_core_that_fails_once(
    autojump_clock: MockClock, call: Call, after: bool, plant: Planter, logs: Logs
) -> None:
    async with running() as other, running(**call.settings) as run:
        await greet(call, run)
        plant.method(run, call.method, after=after)
        await other.hello()
        await call.cause(run)
        await fails(run, call, call.after if after else call.before, logs)
        await says_quit(other)


@each_call
async def test_a_core_that_fails_from_then_on(
    autojump_clock: MockClock, call: Call, plant: Planter, logs: Logs
) -> None:
    """It cannot even say what the client is owed; 421 is never wrong (RFC 5321 §3.8)."""
    async with running() as other, running(**call.settings) as run:
        await greet(call, run)
        plant.everything(run)
        await other.hello()
        await call.cause(run)
        await fails(run, call, NOT_OWED, logs)
        await says_quit(other)


async def greet(call: Call, run: Running) -> None:
    """All that happens before the fault is there; nothing, if it must be there when the session begins."""
    if call.greeted:
        await run.hello()
        await call.prepare(run)
        await wait_all_tasks_blocked()


LEVELS = ["may_read", "waiting_for", "awaiting", "has_more", "closed", "envelope"]


@pytest.mark.parametrize("times", [2, -1])  # once for the log, where it does no harm
@pytest.mark.parametrize("name", LEVELS)
async def test_a_level_that_cannot_be_read(
    autojump_clock: MockClock, name: str, times: int, plant: Planter, logs: Logs
) -> None:
    async with running(config=Config(lane=False)) as run:  # else `flows` stands for some levels
        await run.hello()
        plant.level(run, name, times=times)
        with suppress(EOFError, trio.BrokenResourceError), trio.move_on_after(1):
            await run.client.send(b"NOOP")
            await run.server.expect(b"NOOP")
            await run.server.send(b"250 ok")
            await trio.sleep(0.5)
            run.server.close()
        assert (await run.client.rest()).removeprefix(b"250 ok\r\n") in (OWED, NOT_OWED)
        run.client.close()
    (line,) = [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    assert isinstance(line["exc_info"], Fault)


async def says_quit(run: Running) -> None:
    await run.client.send(b"QUIT")
    await run.server.expect(b"QUIT")
    await run.server.send(b"221 2.0.0 bye")
    await run.client.expect(b"221 2.0.0 bye")
    run.client.close()


# Messages


async def test_mail_data_that_fails_gets_no_end(
    autojump_clock: MockClock, plant: Planter, logs: Logs
) -> None:
    async with running() as run:
        await run.hello()
        await run.content()
        await run.client.raw(TEXT)
        await run.server.expect(*TEXT.splitlines())
        plant.method(run, "receive_from")
        await run.client.raw(b".\r\n")
        assert await run.client.rest() == NOT_OWED
        assert await run.server.rest() == b""
        assert run.server.session.end == "reset"
        run.client.close()


@pytest.mark.parametrize("everything", [False, True])
async def test_an_end_of_data_that_was_not_written_is_withheld(
    autojump_clock: MockClock, everything: bool, plant: Planter, logs: Logs
) -> None:
    """The core has given it out, the driver fails before it is written: the client is told 451 and sends the
    message again, so the server must not take it."""
    async with running(config=Config(lane=False)) as run:
        await run.hello()
        await run.content()
        await run.client.raw(TEXT)
        await run.server.expect(*TEXT.splitlines())
        plant.level(run, "has_more")
        if everything:
            plant.method(run, "refuse")
        await run.client.raw(b".\r\n")
        assert await run.client.rest() == OWED
        assert await run.server.rest() == b""
        assert run.server.session.end == "reset"
        run.client.close()


async def test_an_end_of_data_that_a_slow_server_does_not_take_is_withheld_on_a_timeout(
    autojump_clock: MockClock, logs: Logs
) -> None:
    """No internal error, the same care: an end of input after half a message may be taken for its end."""
    async with running(server=lockstep, timeouts=Timeouts(final_reply=5)) as run:
        await run.hello()
        await run.content()
        await run.client.raw(TEXT + b".\r\n")
        assert (await run.client.rest()).startswith(b"451 4.4.2")
        assert run.server.session.end == "reset"
        run.client.close()


async def test_a_reply_to_a_message_that_fails(autojump_clock: MockClock, plant: Planter, logs: Logs) -> None:
    async with running() as run:
        await run.hello()
        await run.message()
        plant.method(run, "receive_from")
        await run.server.send(b"250 2.0.0 kept")
        assert await run.client.rest() == OWED
        run.client.close()


# Verdicts


async def test_a_rule_that_is_answered_for_and_a_core_that_fails(
    autojump_clock: MockClock, plant: Planter, logs: Logs
) -> None:
    """A rule that failed is one line, and an internal error of the core while that is applied is another."""

    async def judge(question: Question[Any]) -> Any:
        raise ZeroDivisionError("the rule is wrong")

    async with running(ask=frozenset({"VRFY"}), judge=judge) as run:
        await run.hello()
        plant.method(run, "answer")
        await run.client.send(b"VRFY x")
        assert await run.client.rest() == OWED
        run.client.close()
    errors = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert errors == ["rule failed, closing", "internal error, closing"]


async def test_a_rule_that_does_not_wait_and_a_core_that_fails(
    autojump_clock: MockClock, plant: Planter, logs: Logs
) -> None:
    def mail(tx: object, sender: object) -> None: ...

    async with running(rules=rules_of(mail)) as run:
        await run.hello()
        plant.method(run, "answer", after=True)
        await run.client.send(ENVELOPE[0])
        assert await run.client.rest() == OWED
        run.client.close()
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, closing"


async def test_disconnect_rules_that_cannot_be_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    left: list[str] = []

    def disconnect(conn: object) -> None: ...

    @contextmanager
    def use() -> Iterator[RuleSet]:
        with rules_of(disconnect)() as rules:
            yield rules
        left.append("the rules")

    async def fails(_: RuleSession) -> None:
        raise Fault

    monkeypatch.setattr(RuleSession, "disconnect", fails)
    async with running(rules=use) as run:
        await run.hello()
        await says_quit(run)
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, disconnect rules not told"
    assert left == ["the rules"]


def test_a_session_that_cannot_be_made_gives_its_rules_back(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    def mail(tx: object, sender: object) -> None: ...

    @contextmanager
    def use() -> Iterator[RuleSet]:
        try:
            with rules_of(mail)() as rules:
                yield rules
        finally:
            left.append("the rules")

    def fails(*_: object) -> None:
        raise Fault

    monkeypatch.setattr(Proxy, "__init__", fails)
    client: Any = None
    with pytest.raises(Fault):
        Session(client, "peer", 1, Settings(connect=client, rules=use))
    assert left == ["the rules"]


# The driver's own


async def test_a_reply_that_was_decided_is_still_said(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """The core has ended the dialogue, with a reply; the driver fails on its way to that reply."""

    def fails(_: Reports, event: object) -> None:
        raise Fault

    monkeypatch.setattr(Reports, "event", fails)
    async with running() as run:
        await run.hello()
        await run.client.send(b"GET / HTTP/1.1")
        assert await run.client.rest() == b"500 5.5.1 this is an SMTP server, not HTTP; closing\r\n"
        run.client.close()
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, closing"


@pytest.mark.parametrize("lines", range(8))
async def test_a_transcript_that_cannot_be_written(autojump_clock: MockClock, lines: int, logs: Logs) -> None:
    written: list[str] = []

    def write(line: str) -> None:
        if len(written) == lines:
            raise Fault
        written.append(line)

    async def connect(stream: Stream) -> Stream:
        return stream

    async with running(write_transcript=write, config=Config(trace=True), connect=connect) as run:
        with suppress(EOFError, trio.BrokenResourceError), trio.move_on_after(1):
            await run.server.send(b"220 mx.example ESMTP")
            await run.client.send(b"EHLO me.example")
            await run.server.expect(b"EHLO me.example")
            await run.server.send(b"250 mx.example")
            await trio.sleep(0.5)
            await run.client.send(b"NOOP")
        assert (await run.client.rest()).endswith((OWED, NOT_OWED))
        run.client.close()
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, closing"


async def test_a_reset_that_cannot_be_told_to_the_core(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    def fails(*_: object) -> None:
        raise Fault

    async with running() as run:
        await run.hello()
        await run.client.send(b"NOOP")
        await run.server.expect(b"NOOP")
        monkeypatch.setattr(Proxy, "client_lost", fails)
        run.client.reset()
        assert await run.server.rest() == b""
        assert run.server.session.end == "reset"
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["event"] == "internal error, closing"


async def test_cancelled_from_outside_no_internal_error_is_seen(
    autojump_clock: MockClock, logs: Logs
) -> None:
    async with running() as run:
        await run.hello()
        run.scope.cancel()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
