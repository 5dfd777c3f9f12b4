"""Outboxes: what is put in leaves in that order, however writing goes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.driver.outbox import Outbox


class Sink:
    """A stream that takes as much as it was told to."""

    def __init__(self, *room: int, now: int = 0) -> None:
        self.room = list(room)
        """Octets that each write takes; without a limit when there are no more."""
        self.now = now
        """Octets that are taken without waiting."""
        self.writes: list[bytes] = []
        self.may_write = trio.Event()
        self.may_write.set()
        self.stop_at = 0
        """After so many writes the next one waits for `may_write`."""
        self.error: Exception | None = None

    def send_now(self, data: memoryview) -> int:
        if self.error:
            raise self.error
        piece = bytes(data[: self.now])
        self.now -= len(piece)
        self.writes += [piece] if piece else []
        return len(piece)

    async def send_some(self, data: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        await self.may_write.wait()
        if self.error:
            raise self.error
        piece = bytes(data[: self.room.pop(0) if self.room else None])
        self.writes.append(piece)
        if len(self.writes) == self.stop_at:
            self.may_write = trio.Event()
        return len(piece)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not an outbox's business")


async def test_what_is_put_between_two_flushes_is_one_write() -> None:
    sink = Sink()
    outbox = Outbox(sink)
    assert not outbox.waiting
    for part in (b"one", b"", b"two", b"three"):
        outbox.put(part)
    assert outbox.waiting
    await outbox.flush()
    assert not outbox.waiting
    outbox.put(b"four")
    await outbox.flush()
    await outbox.flush()
    outbox.put(b"")
    await outbox.flush()
    assert sink.writes == [b"onetwothree", b"four"]


async def test_what_is_sent_at_once() -> None:
    sink = Sink(now=5)
    outbox = Outbox(sink)
    assert outbox.send(b"one")
    assert not outbox.send(b"two")
    assert not outbox.send(b"three")
    assert sink.writes == [b"one", b"tw"]
    await outbox.flush()
    assert b"".join(sink.writes) == b"onetwothree"
    sink.error = OSError("gone")
    assert outbox.send(b"four"), "nothing is left to be written"
    assert outbox.broken is sink.error
    assert outbox.send(b"five")
    assert not outbox.waiting


async def test_the_rest_of_a_partial_write_comes_next() -> None:
    sink = Sink(2, 1, 3)
    outbox = Outbox(sink)
    outbox.put(b"abcdef")
    outbox.put(b"gh")
    await outbox.flush()
    assert sink.writes == [b"ab", b"c", b"def", b"gh"]


async def test_a_cancelled_flush_loses_nothing(autojump_clock: MockClock) -> None:
    sink = Sink(2)
    sink.stop_at = 1
    outbox = Outbox(sink)
    outbox.put(b"abcd")
    outbox.put(b"ef")
    for _ in range(2):  # before its first octet of this flush has left, it is cancelled once more
        with trio.move_on_after(10) as scope:
            await outbox.flush()
        assert scope.cancelled_caught
        assert sink.writes == [b"ab"]
        assert outbox.waiting
    outbox.put(b"gh")
    sink.may_write.set()
    await outbox.flush()
    assert b"".join(sink.writes) == b"abcdefgh"
    assert not outbox.waiting


async def test_flushes_at_once_keep_the_order() -> None:
    sink = Sink(*[3, 1, 2] * 100)
    outbox = Outbox(sink)

    async def writer(number: int) -> None:
        for _ in range(5):
            put.append(b"<%d>" % number)
            outbox.put(put[-1])
            await outbox.flush()

    put: list[bytes] = []
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(writer, number)
    assert b"".join(sink.writes) == b"".join(put)
    assert not outbox.waiting


async def test_a_flush_returns_when_what_was_there_has_left() -> None:
    """Also if another task is writing it: so a pump is held back by what it has put in."""
    sink = Sink()
    sink.may_write = trio.Event()
    outbox = Outbox(sink)
    returned = []

    async def flush(number: int) -> None:
        await outbox.flush()
        returned.append(number)

    async with trio.open_nursery() as nursery:
        outbox.put(b"a")
        nursery.start_soon(flush, 1)
        await wait_all_tasks_blocked()
        outbox.put(b"b")
        nursery.start_soon(flush, 2)
        await wait_all_tasks_blocked()
        assert returned == []
        sink.may_write.set()
    assert sorted(returned) == [1, 2]
    assert sink.writes == [b"a", b"b"]


@pytest.mark.parametrize("error", [BrokenPipeError("gone"), trio.ClosedResourceError("closed")])
async def test_a_broken_stream_drops_what_is_put(error: Exception) -> None:
    sink = Sink(1)
    outbox = Outbox(sink)
    outbox.put(b"ab")
    sink.error = error
    await outbox.flush()
    assert outbox.broken is error
    assert not outbox.waiting
    outbox.put(b"c")
    assert not outbox.waiting
    assert outbox.flush_now()
    await outbox.flush()
    assert sink.writes == []


async def test_dropped_octets_never_leave() -> None:
    sink = Sink(1)
    outbox = Outbox(sink)
    outbox.put(b"ab")
    outbox.drop()
    assert not outbox.waiting
    outbox.put(b"c")
    await outbox.flush()
    assert sink.writes == [b"c"]


async def test_dropped_while_it_is_written() -> None:
    sink = Sink(1)
    sink.may_write = trio.Event()
    outbox = Outbox(sink)
    async with trio.open_nursery() as nursery:
        outbox.put(b"ab")
        nursery.start_soon(outbox.flush)
        await wait_all_tasks_blocked()
        outbox.drop()
        sink.may_write.set()
    assert sink.writes == [b"a"]


async def test_what_can_be_written_without_waiting() -> None:
    sink = Sink(now=4)
    outbox = Outbox(sink)
    assert outbox.flush_now()
    outbox.put(b"abc")
    assert outbox.flush_now()
    outbox.put(b"def")
    assert not outbox.flush_now()
    outbox.put(b"gh")
    await outbox.flush()
    assert sink.writes == [b"abc", b"d", b"ef", b"gh"]
    outbox.put(b"i")
    sink.error = ConnectionResetError("gone")
    assert outbox.flush_now()
    assert outbox.broken is sink.error


async def test_without_waiting_nothing_overtakes_who_waits() -> None:
    sink = Sink()
    sink.may_write = trio.Event()
    outbox = Outbox(sink)
    async with trio.open_nursery() as nursery:
        outbox.put(b"ab")
        nursery.start_soon(outbox.flush)
        await wait_all_tasks_blocked()
        sink.now = 100
        outbox.put(b"cd")
        assert not outbox.flush_now()  # the other one will write it
        sink.may_write.set()
    assert sink.writes == [b"ab", b"cd"]


async def test_what_is_unwritten_can_be_looked_at() -> None:
    sink = Sink(now=2)
    outbox = Outbox(sink)
    assert outbox.unwritten == b""
    outbox.put(b"hello")
    assert not outbox.flush_now()
    outbox.put(b" world")
    assert outbox.unwritten == b"llo world"


async def test_a_connection_that_is_lost_takes_nothing_more() -> None:
    class Closing(Sink):
        closed = False

        def close(self) -> None:
            self.closed = True

    sink = Closing()
    outbox = Outbox(sink)
    outbox.put(b"hello")
    error = ConnectionResetError("gone")
    outbox.lose(error)
    assert outbox.broken is error
    assert sink.closed
    outbox.put(b"more")
    assert outbox.flush_now()
    assert sink.writes == []
