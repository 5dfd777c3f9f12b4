"""The channel between the parent and a worker."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.workers.channel import Channel

Logs = list[MutableMapping[str, Any]]


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Channel, Channel]]:
    one, other = map(Channel, socket.socketpair())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.serve)
        nursery.start_soon(other.serve)
        yield one, other
        nursery.cancel_scope.cancel()
    one.close()
    other.close()


async def test_notices_and_questions_go_both_ways() -> None:
    told: list[Mapping[str, Any]] = []

    async def slowly(values: Mapping[str, Any]) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"twice": values["number"] * 2}

    async with pair() as (one, other):
        other.on("said", told.append)
        other.on("double", slowly)
        one.on("count", lambda _: {"count": 3})
        one.on("nothing", lambda _: None)
        one.tell("said", text="ä\n")
        one.tell("unknown")
        assert await one.ask("double", seconds=5, number=21) == {"twice": 42}
        assert await other.ask("count", seconds=5) == {"count": 3}
        assert await other.ask("nothing", seconds=5) == {}
        assert await other.ask("unknown", seconds=5) == {}
    assert told == [{"text": "ä\n"}]


async def test_no_answer(autojump_clock: MockClock, logs: Logs) -> None:
    async def never(_: Mapping[str, Any]) -> None:
        raise RuntimeError("a mistake")

    def fails(_: Mapping[str, Any]) -> None:
        raise RuntimeError("another")

    async with pair() as (one, other):
        other.on("later", never)
        other.on("now", fails)
        assert await one.ask("later", seconds=5) is None
        assert await one.ask("now", seconds=5) is None
    assert [line["event"] for line in logs] == ["internal error in what was asked by another process"] * 2


async def test_the_other_end_is_gone() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert await channel.ask("something", seconds=60) is None

        nursery.start_soon(ask)
        nursery.start_soon(channel.serve)
        await wait_all_tasks_blocked()
        theirs.close()
    assert await channel.ask("something", seconds=60) is None
    channel.tell("something")
    channel.close()


@pytest.mark.parametrize("line", [b"no JSON\n", b"[1]\n", b'"text"\n'])
async def test_lines_that_cannot_be_read(line: bytes, logs: Logs) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        theirs.sendall(line + b'{"answer":99}\n' + b"x" * 10)
        theirs.shutdown(socket.SHUT_WR)
        await channel.serve()
    channel.close()
    assert [entry["event"] for entry in logs] == [
        "internal error, a line of the channel between processes cannot be read"
    ]


async def test_an_end_that_reads_nothing_costs_no_memory_and_no_wait() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        for _ in range(300):
            channel.tell("much", text="x" * 10_000)
        assert channel.waiting <= 2**20
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.serve)
            theirs.setblocking(False)
            octets = 0
            while channel.waiting:
                await trio.lowlevel.wait_readable(theirs)
                octets += len(theirs.recv(2**20))
                await wait_all_tasks_blocked()
            assert octets > 2**19
            nursery.cancel_scope.cancel()
    channel.close()
