"""Rules in threads that hang: other rules go on, and the rule is down, on a clock that no second passes."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from sansio_smtp.rules import Rule
from trio_proxy.driver.resolver import resolve_in_own_threads
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.threads import RuleDown, RuleThreads

Logs = list[MutableMapping[str, Any]]
SECONDS = 30.0


class Hanging:
    """A function that returns when it is told to."""

    def __init__(self) -> None:
        self.release = threading.Semaphore(0)
        self.calls = 0

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        assert self.release.acquire(timeout=20)
        return arguments


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.release.release(1_000)


def rule_of(function: Any, name: str = "it") -> Rule:
    return Rule("rcpt", function, name, threaded=True)


def besides_patience(logs: Logs) -> Logs:
    """Without the lines about rules that are waited for."""
    return [entry for entry in logs if entry["event"] != "rule takes long"]


class Call:
    """A call of a rule as the host makes it, and what came of it after how many seconds."""

    def __init__(self, threads: RuleThreads, rule: Rule) -> None:
        log = structlog.stdlib.get_logger("smtp_proxy")
        self.host = RuleHost(RuleSettings(timeout=SECONDS, threads=threads), log, None)
        self.rule = rule
        self.outcome: object = None
        self.seconds = -1.0

    async def run(self) -> None:
        began = trio.current_time()
        try:
            self.outcome = await self.host.call(self.rule, "argument")
        except Exception as error:
            self.outcome = error
        self.seconds = trio.current_time() - began


async def threads_settle(what: Any, count: int) -> None:
    """Waits until so many threads are in a function."""
    with trio.fail_after(100_000):
        while what.calls < count:
            await trio.to_thread.run_sync(threading.Event().wait, 0.001)
        await wait_all_tasks_blocked()


async def test_a_rule_whose_threads_hang_is_down_at_once_and_back_when_one_returns(
    hanging: Hanging, mock_clock: MockClock, logs: Logs
) -> None:
    threads = RuleThreads(2)
    hung, fine = rule_of(hanging), rule_of(lambda _: "fine", "other")
    async with trio.open_nursery() as nursery:
        calls = [Call(threads, hung) for _ in range(5)]
        for call in calls[:2]:
            nursery.start_soon(call.run)
        await threads_settle(hanging, 2)
        mock_clock.jump(10)
        nursery.start_soon(calls[2].run)  # waits for a place
        await wait_all_tasks_blocked()
        other = Call(threads, fine)
        await other.run()
        assert other.outcome == "fine", "another rule"
        mock_clock.jump(20)
        await wait_all_tasks_blocked()
        assert [type(call.outcome) for call in calls] == [
            TimeoutError,
            TimeoutError,
            RuleDown,
            type(None),
            type(None),
        ]
        assert [call.seconds for call in calls[:3]] == [30, 30, 20]
        await calls[3].run()
        assert isinstance(calls[3].outcome, RuleDown)
        assert calls[3].seconds == 0
        (down,) = besides_patience(logs)
        assert down["event"] == "rule is down: all its threads hang; its calls fail until one returns"
        assert (down["threads"], down["rule"]) == (2, "it")
        assert down["incident"] == calls[2].outcome.incident == calls[3].outcome.incident  # type: ignore[attr-defined]
        hanging.release.release()
        while len(besides_patience(logs)) == 1:
            await trio.to_thread.run_sync(threading.Event().wait, 0.001)
        assert [entry["event"] for entry in besides_patience(logs)[1:]] == ["rule is back"]
        hanging.release.release(2)  # the other one that hangs, and this one
        await calls[4].run()
        assert calls[4].outcome == ("argument",)


async def test_a_busy_rule_is_not_down(hanging: Hanging, mock_clock: MockClock, logs: Logs) -> None:
    """Its places are taken, by calls that have time."""
    threads = RuleThreads(2)
    rule = rule_of(hanging)
    async with trio.open_nursery() as nursery:
        calls = [Call(threads, rule) for _ in range(6)]
        for call in calls:
            nursery.start_soon(call.run)
        await threads_settle(hanging, 2)
        mock_clock.jump(SECONDS - 1)
        hanging.release.release(6)
    assert [call.outcome for call in calls] == [("argument",)] * 6
    assert besides_patience(logs) == []


async def test_a_client_that_goes_away_does_not_make_a_rule_hang(
    hanging: Hanging, mock_clock: MockClock, logs: Logs
) -> None:
    """The call is given up before its time: the thread has time, too."""
    threads = RuleThreads(1)
    rule = rule_of(hanging)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as session:
            nursery.start_soon(threads_settle, hanging, 1)
            async with trio.open_nursery() as inner:
                inner.start_soon(Call(threads, rule).run)
                await threads_settle(hanging, 1)
                session.cancel()
        call = Call(threads, rule)
        nursery.start_soon(call.run)
        await wait_all_tasks_blocked()
        assert call.seconds < 0, "it waits for the place"
        hanging.release.release(2)
    assert call.outcome == ("argument",)
    assert logs == []


async def test_a_place_that_is_handed_over_counts(hanging: Hanging, mock_clock: MockClock) -> None:
    threads = RuleThreads(1)
    rule = rule_of(hanging)
    async with trio.open_nursery() as nursery:
        calls = [Call(threads, rule) for _ in range(3)]
        nursery.start_soon(calls[0].run)
        await threads_settle(hanging, 1)
        nursery.start_soon(calls[1].run)
        await wait_all_tasks_blocked()
        mock_clock.jump(5)
        hanging.release.release()
        await threads_settle(hanging, 2)
        nursery.start_soon(calls[2].run)
        await wait_all_tasks_blocked()
        mock_clock.jump(25)  # the time of the second call is up
        await wait_all_tasks_blocked()
        assert isinstance(calls[1].outcome, TimeoutError)
        assert isinstance(calls[2].outcome, RuleDown)
        assert calls[2].seconds == 25


async def test_what_a_rule_raises_frees_its_place() -> None:
    threads = RuleThreads(1)

    def fails(_: object) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await threads.run(rule_of(fails), SECONDS, ("x",))


async def test_all_returned_waits_for_threads(hanging: Hanging) -> None:
    threads = RuleThreads()
    await threads.all_returned()
    with trio.move_on_after(0.01):
        await threads.run(rule_of(hanging), 0.01, ())
    with trio.move_on_after(0.01) as waiting:
        await threads.all_returned()
    assert waiting.cancelled_caught
    hanging.release.release()
    with trio.fail_after(10):
        await threads.all_returned()


async def test_rules_that_are_gone_are_forgotten() -> None:
    threads = RuleThreads()
    for _ in range(10):
        await threads.run(rule_of(lambda: None), SECONDS, ())
    gc.collect()
    assert len(threads._places) <= 1


# Names


async def test_names_are_resolved_while_rules_hang_in_the_threads_of_trio(hanging: Hanging) -> None:
    resolve_in_own_threads()
    limiter = trio.to_thread.current_default_thread_limiter()
    async with trio.open_nursery() as nursery:
        for _ in range(int(limiter.total_tokens)):
            nursery.start_soon(partial(trio.to_thread.run_sync, hanging))
        await wait_all_tasks_blocked()
        assert not limiter.available_tokens
        with trio.fail_after(10):
            found = await trio.socket.getaddrinfo("localhost", 25, type=socket.SOCK_STREAM)
            assert found[0][4][:2] in [("127.0.0.1", 25), ("::1", 25)]
            assert (await trio.socket.getnameinfo(("127.0.0.1", 25), 0))[0]
        hanging.release.release(int(limiter.total_tokens))
