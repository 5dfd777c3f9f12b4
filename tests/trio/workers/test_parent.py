"""What the parent does with its workers, which are tasks here, at the other end of a channel."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.text.addresses import Address
from trio_proxy.workers.asking import ask
from trio_proxy.workers.channel import Channel
from trio_proxy.workers.control import open_control, serve_control
from trio_proxy.workers.parent import Parent, Plan

Logs = list[MutableMapping[str, Any]]


@attrs.define(eq=False)
class Worker:
    """Says that it is ready, and ends when it is asked to."""

    number: int
    channel: Channel
    why_not: str = ""
    """Why it cannot reload."""
    not_applied: str = ""
    status: int | None = None
    ended: trio.Event = attrs.field(factory=trio.Event)
    reloads: int = 0

    def end(self, status: int) -> None:
        self.status = status
        self.ended.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.channel.serve)
            await self.ended.wait()
            nursery.cancel_scope.cancel()
        self.channel.close()

    # What the parent sees of a process

    async def wait(self) -> int:
        await self.ended.wait()
        assert self.status is not None
        return self.status

    def kill(self) -> None:
        if self.status is None:
            self.end(-9)

    def reload(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self.reloads += 1
        return {"why_not": self.why_not, "not_applied": self.not_applied}


@attrs.define(eq=False)
class World:
    nursery: trio.Nursery
    workers: dict[int, Worker] = attrs.field(factory=dict[int, Worker])
    plans: list[Plan | str] = attrs.field(factory=list[Plan | str])
    settled: list[int] = attrs.field(factory=list[int])
    closed: int = 0
    """How often all sockets were closed."""
    fails: bool = False
    """True if workers that are started now end before they are ready."""

    def plan(self) -> Plan:
        plan = self.plans.pop(0)
        if isinstance(plan, str):
            raise ValueError(plan)  # noqa: TRY004 - as a planner does
        return plan

    def settle(self, plan: Plan) -> None:
        self.settled.append(plan.count)

    def close(self) -> None:
        self.closed += 1

    async def start(
        self, number: int, sockets: Sequence[tuple[Address, socket.socket]], *, is_first: bool
    ) -> tuple[trio.Process, Channel]:
        ours, theirs = socket.socketpair()
        worker = self.workers[number] = Worker(number, Channel(theirs))
        worker.channel.on("stop", lambda _: worker.end(0))
        worker.channel.on("reload", worker.reload)
        self.nursery.start_soon(worker.run)
        if self.fails:
            worker.channel.tell("cannot_start", problem="my.py:1: syntax error")
            worker.end(78)
        else:
            worker.channel.tell("ready", version="1.0")
            worker.channel.tell("beat", clients=number)
        return cast("trio.Process", worker), Channel(ours)


@asynccontextmanager
async def running(count: int = 2, plan: Plan | None = None) -> AsyncIterator[tuple[Parent, World]]:
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        parent = Parent(plan or Plan(count, ()), world, grace=30, start=world.start)
        status: list[int] = []

        async def run() -> None:
            status.append(await parent.run())

        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        yield parent, world
        parent.stop()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.deadline = trio.current_time() + 5
    assert status == [0]


async def test_a_crashed_worker_is_replaced(autojump_clock: MockClock, logs: Logs) -> None:
    async with running() as (parent, world):
        gone: list[int] = []
        parent.when_gone(gone.append)
        assert parent.status == "2 of 2 workers accept clients; 3 clients; version 1.0"
        world.workers[1].end(-9)
        await trio.sleep(3)
        assert gone == [1]
        assert parent.status == "2 of 2 workers accept clients; 5 clients; version 1.0"
    assert logs[0]["event"] == "a worker has crashed"


@pytest.mark.parametrize("pages", [None, Address("127.0.0.1", 9025)])
async def test_the_status_tells_where_the_service_listens(tmp_path: Path, pages: Address | None) -> None:
    address = Address(path="in.sock")
    with socket.socket() as one, socket.socket() as other, open_control(tmp_path / "control") as control:
        plan = Plan(1, [(address, one), (address, other)])
        async with running(plan=plan) as (parent, _), trio.open_nursery() as nursery:
            nursery.start_soon(serve_control, control, parent, pages)
            answer = await trio.to_thread.run_sync(ask, tmp_path / "control", "status", 20)
            nursery.cancel_scope.cancel()
    assert answer["listen"] == ["unix:in.sock", *([] if pages is None else ["127.0.0.1:9025"])]
    assert str(answer["status"]).startswith("1 of 1 workers accept clients")


async def test_a_reload_ends_with_the_first_that_cannot(autojump_clock: MockClock) -> None:
    async with running(3) as (parent, world):
        used: list[bool] = []
        parent.when_reloaded(lambda: used.append(True))
        assert await parent.reload() == ""
        assert parent.not_applied == ""
        for worker in world.workers.values():
            worker.not_applied = "grace"
        assert (await parent.reload(), parent.not_applied) == ("", "grace")
        world.workers[1].why_not = "a mistake"
        assert await parent.reload() == "a mistake"
        assert parent.not_applied == ""
        assert used == [True, True]
        assert [worker.reloads for worker in world.workers.values()] == [3, 2, 2]


async def test_restarts(autojump_clock: MockClock, logs: Logs) -> None:
    async with running(2) as (parent, world):
        used: list[bool] = []
        parent.when_reloaded(lambda: used.append(True))
        world.plans = ["the settings are wrong", Plan(3, (), "admin"), Plan(5, ())]
        assert await parent.restart() == "the settings are wrong"
        assert (await parent.restart(), parent.not_applied) == ("", "admin")
        said = [line["settings"] for line in logs if line["event"] == "some changed settings are not applied"]
        assert said == ["admin"], "a signal has no other answer"
        await wait_all_tasks_blocked()
        assert [number for number, worker in world.workers.items() if worker.status is None] == [3, 4, 5]
        world.fails = True
        assert await parent.restart() == (
            "the first new worker has not become ready (exit status 78): my.py:1: syntax error"
        )
        assert world.settled == [3, 3]
        assert used == [True]
        assert logs[-1]["log_level"] == "error"
        world.fails = False


async def test_a_stop_closes_all_sockets_and_binds_no_other(autojump_clock: MockClock) -> None:
    async with running(2) as (parent, world):
        world.workers[1].channel.on("stop", lambda _: None)  # it has clients
        assert await parent.reload() == ""
        assert world.closed == 0
        parent.stop()
        assert world.closed == 1
        world.plans = [Plan(2, ())]
        assert await parent.restart() == "the service is about to end"
        assert world.plans
        world.workers[1].end(0)


async def test_the_end_of_a_stop_is_logged_with_the_clients_that_were_cut_off(
    autojump_clock: MockClock, logs: Logs
) -> None:
    """Those that workers tell of, and those of a worker that was killed."""
    async with running(3) as (parent, world):
        one, two, three = (world.workers[number] for number in (1, 2, 3))
        for worker in (one, two):
            worker.channel.on("stop", lambda _: None)
        three.channel.on("stop", lambda _: three.end(0))  # an older version, which tells nothing
        parent.stop()
        one.channel.tell("stopped", cut_off=5)
        await trio.sleep(1.5)
        one.end(0)
        two.kill()
    [line] = [line for line in logs if line["event"] == "stopped"]
    assert (line["log_level"], line["cut_off"]) == ("warning", 5 + 2)
    assert 1.5 <= line["seconds"] < 4  # the parent waits for the last words of workers


async def test_after_a_stop_no_worker_is_started_with_closed_sockets(
    autojump_clock: MockClock, logs: Logs
) -> None:
    async with running(1) as (parent, world):
        parent._do(parent._supervisor.restart(trio.current_time()))
        parent.stop()
        await wait_all_tasks_blocked()
        assert list(world.workers) == [1]
    assert [line["event"] for line in logs] == ["restarting the workers", "stopped"]


async def test_all_are_asked_and_told(autojump_clock: MockClock) -> None:
    async with running(2) as (parent, world):
        told: list[tuple[int, Any]] = []
        parent.on("late", lambda number, values: None)
        world.workers[1].channel.on("count", lambda _: {"count": 5})
        world.workers[2].channel.on("news", lambda values: told.append((2, values["text"])))
        parent.tell_all("news", text="hello")
        assert await parent.ask_all("count", seconds=1) == {1: {"count": 5}, 2: {}}
        assert told == [(2, "hello")]
