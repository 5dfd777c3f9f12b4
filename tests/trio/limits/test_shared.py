"""Several guards, each as in a worker of its own, over one memory."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_smtp import Networks
from trio_proxy.limits import shared
from trio_proxy.limits.guard import Guard
from trio_proxy.limits.held import HeldTotal
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.rates import Buckets, Rate
from trio_proxy.limits.shared import SharedCounts, SharedMemory, UnknownLayout
from trio_proxy.limits.table import (
    COMMAND_RATE,
    CONNECTION_RATE,
    MESSAGE_RATE,
    NETWORK_CONNECTIONS,
    Limit,
)

ONE, OTHER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
ROWS = 3
MANY = Rate(5_000, 1000)


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@attrs.define
class World:
    """The memory, and what maps it."""

    descriptor: int
    memory: SharedMemory
    clock: Clock = attrs.field(factory=Clock)

    def counts(self, row: int) -> SharedCounts:
        self.memory.used[0] = max(self.memory.used[0], row + 1)
        return SharedCounts.mapped(self.descriptor, row)

    def guard(self, row: int, rates: dict[Limit, Rate | None] | None = None, **more: Any) -> Guard:
        counts = self.counts(row)
        hits = Hits(self.clock)
        return Guard(hits, self.clock, rates=rates or {}, exempt=Networks(), shared=counts, **more)


@contextmanager
def made(rows: int = ROWS) -> Iterator[World]:
    descriptor, memory = SharedMemory.create(rows)
    try:
        yield World(descriptor, memory)
    finally:
        os.close(descriptor)


@pytest.fixture(autouse=True)
def nothing_stays_mapped() -> Iterator[None]:
    """Guards refer to themselves: without the collector, what they have mapped would stay open."""
    yield
    gc.collect()


@pytest.fixture
def world() -> Iterator[World]:
    with made() as world:
        yield world


def test_connections_of_one_network_over_all_workers(world: World) -> None:
    guards = [world.guard(row, connections=3) for row in range(ROWS)]
    assert [guard.enter(ONE) for guard in guards] == [None] * 3
    assert [guard.enter(ONE) for guard in guards] == [NETWORK_CONNECTIONS] * 3
    assert guards[0].enter(OTHER) is None
    guards[2].leave(ONE)
    assert [guard.enter(ONE) for guard in guards] == [None, NETWORK_CONNECTIONS, NETWORK_CONNECTIONS]
    assert [dict(guard.open) for guard in guards] == [{ONE: 2, OTHER: 1}, {ONE: 1}, {}]


def test_a_cleared_row_takes_its_connections_and_clients_along(world: World) -> None:
    guards = [world.guard(row, connections=2) for row in range(2)]
    one, other = world.counts(0), world.counts(1)
    assert [guards[0].enter(ONE), guards[0].enter(OTHER), guards[1].enter(ONE)] == [None] * 3
    one.clients.tell(5)
    one.held.tell(700)
    other.clients.tell(1)
    assert (other.clients.elsewhere, other.held.elsewhere, one.clients.elsewhere) == (5, 700, 1)
    assert guards[1].enter(ONE) is NETWORK_CONNECTIONS
    world.memory.clear(0)
    assert (other.clients.elsewhere, other.held.elsewhere, one.clients.elsewhere) == (0, 0, 1)
    assert guards[1].enter(ONE) is None
    assert guards[1].enter(ONE) is NETWORK_CONNECTIONS  # its own are still counted


@pytest.mark.parametrize("limit", [MESSAGE_RATE, COMMAND_RATE])
def test_a_rate_that_is_used_up_in_one_worker_is_used_up_in_all(world: World, limit: Limit) -> None:
    rates: dict[Limit, Rate | None] = {MESSAGE_RATE: Rate(6, 60), COMMAND_RATE: Rate(6, 60)}
    one, other = world.guard(0, rates), world.guard(1, rates)
    assert one.charge(limit, ONE, 4)
    assert other.charge(limit, ONE, 2)
    assert other.charge(COMMAND_RATE if limit is MESSAGE_RATE else MESSAGE_RATE, ONE, 6)
    assert not one.charge(limit, ONE)
    assert other.enter(ONE) is not None
    assert other.enter(OTHER) is None
    world.clock.now += 10
    assert one.enter(ONE) is other.enter(ONE) is None
    assert other.charge(limit, ONE)
    assert not one.charge(limit, ONE)


def test_what_was_done_counts_in_all_workers_though_it_is_too_much(world: World) -> None:
    one, other = (world.guard(row, {MESSAGE_RATE: Rate(10, 60)}) for row in range(2))
    assert [one.charge(MESSAGE_RATE, ONE, 6), other.charge(MESSAGE_RATE, ONE, 6)] == [True, False]
    assert one.enter(ONE) is MESSAGE_RATE


def test_new_connections_over_all_workers(world: World) -> None:
    guards = [world.guard(row, {CONNECTION_RATE: Rate(4, 60)}) for row in (0, 1, 0, 1, 1)]
    assert [guard.enter(ONE) for guard in guards] == [None] * 4 + [CONNECTION_RATE]
    world.memory.clear(0)  # a worker that crashes gives back no tokens
    assert guards[0].enter(ONE) is CONNECTION_RATE
    world.clock.now += 15
    assert guards[0].enter(ONE) is None


Uses = list[tuple[int, float]]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.floats(0, 5)), max_size=100))
def test_shared_buckets_give_what_those_of_one_process_would(uses: Uses) -> None:
    rate = Rate(4, 10)
    with made() as world:
        alone, counts = Buckets(rate), [world.counts(row) for row in range(ROWS)]
        now = 0.0
        for row, pause in uses:
            now += pause
            buckets, entry = counts[row].buckets(1, rate), counts[row].entry_of(ONE)
            assert buckets.has_any(entry, now) == alone.has_any(ONE, now)
            assert buckets.take(entry, now) == alone.take(ONE, now)


def test_what_another_rate_has_left_is_an_empty_bucket_at_most(world: World) -> None:
    old = world.guard(0, {MESSAGE_RATE: Rate(1, 3600)})
    new = world.guard(1, {MESSAGE_RATE: Rate(6, 60)})
    assert old.charge(MESSAGE_RATE, ONE)
    assert not new.charge(MESSAGE_RATE, ONE)
    world.clock.now += 10
    assert new.charge(MESSAGE_RATE, ONE)


def test_memory_of_held_messages_over_all_workers(world: World) -> None:
    one, other = (HeldTotal(100, world.counts(row).held) for row in range(2))
    assert [one.take(60), other.take(41), other.take(40), one.take(1)] == [True, False, True, False]
    one.give(60)
    assert other.take(60)
    assert (one.octets, other.octets) == (0, 100)


def test_networks_never_share_an_entry_and_full_sets_count_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All networks fall on one set."""
    monkeypatch.setattr(SharedCounts, "_place_of", lambda _, network: (network.rjust(16, b"x"), 8))
    rates: dict[Limit, Rate | None] = {MESSAGE_RATE: Rate(1, 60)}
    one, other = (world.guard(row, rates, connections=1) for row in range(2))
    networks = [bytes((10, 0, 0, number)) for number in range(12)]
    assert [one.enter(network) for network in networks] == [None] * 12
    refused = [other.enter(network) for network in networks]
    assert refused == [NETWORK_CONNECTIONS] * 8 + [None] * 4  # which have one in each of two workers
    assert [one.enter(network) for network in networks] == [NETWORK_CONNECTIONS] * 12
    assert [one.charge(MESSAGE_RATE, networks[-1]) for _ in range(2)] == [True, False]
    for network in networks:
        one.leave(network)
    for network in networks[8:]:
        other.leave(network)
    assert [other.enter(network) for network in networks[:8]] == [None] * 8


def test_the_entry_that_is_missed_least_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedCounts, "_place_of", lambda _, network: (network.rjust(16, b"x"), 0))
    guard = world.guard(0, {MESSAGE_RATE: Rate(2, 60)})
    networks = [bytes((10, 0, 0, number)) for number in range(8)]
    for network in networks:
        assert guard.charge(MESSAGE_RATE, network, 2)
        world.clock.now += 1
    assert guard.enter(networks[0]) is MESSAGE_RATE
    assert guard.charge(MESSAGE_RATE, OTHER, 2)
    assert [guard.charge(MESSAGE_RATE, network) for network in networks[1:]] == [False] * 7
    assert guard.charge(MESSAGE_RATE, networks[0])  # its bucket was forgotten


def test_an_entry_that_another_worker_has_taken_at_the_same_time(world: World) -> None:
    counts = [world.counts(row) for row in range(2)]
    taken = counts[0].entry_of(ONE)
    assert isinstance(taken, int)
    counts[0].tell_open(ONE, taken, 1)
    key = b"k" * 16
    world.memory.assign(taken, key)
    found = counts[0].entry_of(ONE)
    assert found != taken
    counts[0].tell_open(ONE, found, 2)
    assert (counts[1].open_elsewhere(taken), counts[1].open_elsewhere(found)) == (0, 2)
    counts[0].tell_open(ONE, found, 0)
    assert counts[1].open_elsewhere(found) == 0


def test_a_free_entry_is_found_whatever_the_key_before_it_ends_with(world: World) -> None:
    world.memory.assign(16, b"k" * 8 + bytes(8))
    assert world.memory.find(bytes(16), 16) == 17
    assert world.memory.find(b"k" * 8 + bytes(8), 16) == 16


def hammer(descriptor: int, row: int, turns: int) -> tuple[int, int]:
    """Connections come and go. Returns the most that one network has had, and the messages that were let
    pass of another one."""
    draw, open_now, most, passed = random.Random(row), list[bytes](), 0, 0
    networks = [bytes((10, 0, 0, number)) for number in range(100)]
    guard = World(descriptor, SharedMemory(descriptor)).guard(row, {MESSAGE_RATE: MANY}, connections=10)
    counts = guard.shared
    assert counts is not None
    for _ in range(turns):
        network = draw.choice(networks)
        if not open_now or draw.random() < 0.6:
            if guard.enter(network) is None:
                open_now.append(network)
                here = guard.open[network]
                most = max(most, here + counts.open_elsewhere(counts.entry_of(network)))
        else:
            guard.leave(open_now.pop(draw.randrange(len(open_now))))
        passed += guard.charge(MESSAGE_RATE, ONE)
    for network in open_now:
        guard.leave(network)
    return most, passed


@pytest.mark.slow
def test_processes_that_count_at_the_same_time() -> None:
    """A use that is lost is one that is let pass; counted apart there would be three times as many. The most
    are lost where the processor is taken from a process between its reading and its writing: all of them if
    it gets none until the others have used up the rate. That may happen once, hardly twice."""
    with made() as world:
        world.memory.used[0] = ROWS
        with ProcessPoolExecutor(ROWS, get_context("fork")) as processes:
            done = [processes.submit(hammer, world.descriptor, row, 10_000) for row in range(ROWS)]
            results = [each.result(120) for each in done]
        assert 10 <= max(most for most, _ in results) < 10 + ROWS
        assert MANY.count <= sum(passed for _, passed in results) < MANY.count * 2.5
        assert not any(world.memory.open)


@pytest.mark.parametrize("size", [0, 100, 10_000_000])
def test_memory_that_is_none_of_ours(size: int, tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(b"smtp-proxy limits 2\n".ljust(size, b"\0")[:size])
    with file.open("r+b") as opened, pytest.raises(UnknownLayout):
        SharedCounts.mapped(opened.fileno(), 0)


def test_other_sizes_are_another_layout(world: World) -> None:
    os.ftruncate(world.descriptor, os.fstat(world.descriptor).st_size + 8)
    with pytest.raises(UnknownLayout):
        world.counts(0)


def test_where_the_system_has_no_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made_before = shared._anonymous()
    os.close(made_before)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    test: Callable[[World], None] = test_memory_of_held_messages_over_all_workers
    with made() as world:
        test(world)
