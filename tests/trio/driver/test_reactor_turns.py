"""The turns of the reactor: how it looks at its set of sockets again before it waits as other tasks do."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
import trio

from sansio_smtp import CLIENT, Side
from trio_proxy.driver import reactor as module
from trio_proxy.driver.reactor import Reactor, WatchedStream

LONG = 30.0
"""Seconds that no test takes."""


@attrs.define(eq=False)
class Looks:
    """A set that notes for how long each look may wait."""

    epoll: select.epoll
    seconds: list[float] = attrs.field(factory=list[float])

    def poll(self, seconds: float, most: int) -> list[tuple[int, int]]:
        self.seconds.append(seconds)
        return self.epoll.poll(min(seconds, 0.001), most)

    def __enter__(self) -> Looks:
        return self

    def __exit__(self, *_: object) -> None:
        self.epoll.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.epoll, name)


@attrs.define(eq=False)
class Echo:
    """A reader that does something with each input."""

    does: Callable[[bytes], object] = lambda _: None

    def take(self, side: Side, data: bytes) -> bool:
        self.does(data)
        return bool(data)

    def lose(self, side: Side, error: OSError) -> None: ...

    def gone(self, side: Side) -> None: ...

    def writable(self, side: Side) -> None: ...


@attrs.define(eq=False)
class Scene:
    looks: Looks
    stream: WatchedStream
    peer: socket.socket
    reader: Echo = attrs.field(factory=Echo)

    async def after(self, inputs: int) -> list[float]:
        """For how long the looks waited that have followed so many inputs, one after the other."""
        event, left = trio.Event(), inputs

        def goes_on(_: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                self.peer.send(b"x")  # it is there at the next look
            else:
                event.set()

        self.reader.does = goes_on
        self.looks.seconds.clear()
        self.peer.send(b"x")
        with trio.fail_after(LONG):
            await event.wait()
        await trio.testing.wait_all_tasks_blocked()
        return self.looks.seconds.copy()


@pytest.fixture
async def scene(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(module, "_TURN", LONG)
    reactor = Reactor()
    looks: Any = Looks(reactor._set)
    reactor._set = looks
    await nursery.start(reactor.run)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    with ours, peer:
        ours.setblocking(False)
        scene = Scene(looks, reactor.stream(ours), peer)
        scene.stream.hand_over(scene.reader, CLIENT)
        yield scene


async def test_answers_that_come_soon_belong_to_one_turn(scene: Scene) -> None:
    """After the last one an event has woken this task, so the reactor does not wait for a moment."""
    assert await scene.after(5) == [0, *[module._MOMENT] * 4, 0]


async def test_nothing_is_waited_for_while_another_task_could_run(scene: Scene) -> None:
    order: list[str] = []
    ready = trio.Event()

    async def waits() -> None:
        await ready.wait()
        order.append("task")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits)
        await trio.testing.wait_all_tasks_blocked()
        scene.reader.does = lambda _: ready.set()
        scene.looks.seconds.clear()
        scene.peer.send(b"x")
    assert scene.looks.seconds == [0, 0]
    assert order == ["task"]


async def test_a_moment_in_which_nothing_came_is_not_tried_again_at_once(scene: Scene) -> None:
    for _ in range(2):
        for turn in range(module._TURNS_WITHOUT + 1):
            scene.looks.seconds.clear()
            scene.peer.send(b"x")
            with trio.fail_after(LONG):
                while len(scene.looks.seconds) < 2:  # noqa: ASYNC110 - no task is told of a look
                    await trio.sleep(0.001)
            assert scene.looks.seconds == [0, 0 if turn else module._MOMENT], turn


async def test_a_turn_ends(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much comes, other tasks have their turn."""
    monkeypatch.setattr(module, "_TURN", -1.0)
    assert await scene.after(5) == [0] * 5
