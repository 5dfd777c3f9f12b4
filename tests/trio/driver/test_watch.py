"""The watch over a client that is not read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from streams import TrioStream, memory
from trio.testing import MockClock

from trio_proxy.driver.outbox import Outbox
from trio_proxy.driver.watch import Watch


class Watched:
    """A client, and what its watch has found."""

    def __init__(self) -> None:
        self.looks = 0
        self.losses: list[OSError] = []
        _, stream = memory()
        self.stream = TrioStream(stream)
        looked = self

        class Counting(TrioStream):
            def is_lost(self) -> bool:
                looked.looks += 1
                return looked.stream.lost is not None

        self.outbox = Outbox(Counting(stream))
        self.nursery: trio.Nursery | None = None
        self.paused = False
        self.watch = Watch(self.outbox, self.losses.append, lambda: self.paused, self.start)

    def start(self, job: Callable[[], Awaitable[None]]) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(job)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as self.nursery:
            yield

    def reset(self) -> None:
        self.stream.lost = ConnectionResetError()


async def test_a_short_time_costs_no_look(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        for _ in range(100):
            with client.watch.unread():
                await trio.sleep(0.001)
    assert client.looks == 0
    assert trio.current_time() < 1.5  # the task that would have looked has ended, too


async def test_a_long_time_costs_a_look_each_second(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        with client.watch.unread():
            await trio.sleep(10.5)
    assert client.looks == 10
    assert client.losses == []


async def test_a_reset_is_found_once(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        with client.watch.unread(), client.watch.unread():
            await trio.sleep(5.5)
            client.reset()
            await trio.sleep(0.6)
            assert len(client.losses) == 1
            await trio.sleep(5)
    assert len(client.losses) == 1


async def test_a_failed_write_is_a_loss(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        with client.watch.unread():
            client.outbox.lose(BrokenPipeError())
            await trio.sleep(1.5)
    assert len(client.losses) == 1


async def test_it_begins_again(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        with client.watch.unread():
            await trio.sleep(0.1)
        await trio.sleep(5)
        with client.watch.unread():
            client.reset()
            await trio.sleep(1.5)
    assert len(client.losses) == 1


async def test_a_pause_is_watched_until_it_ends(autojump_clock: MockClock) -> None:
    client = Watched()
    async with client.running():
        client.paused = True
        client.watch.begin()
        client.watch.begin()
        await trio.sleep(3.5)
        client.paused = False
    assert client.looks == 3
