"""Lists of servers: in which order they are tried, and what becomes of those that fail."""

from __future__ import annotations

import random

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_proxy.routes.fleet import Fleet
from trio_proxy.routes.group import Group, Visit
from trio_proxy.routes.health import LONGEST_PAUSE
from trio_proxy.text.destinations import Destination


def group(*texts: str) -> Group:
    fleet = Fleet.of({None: [Destination.parse(text) for text in texts]})
    found = fleet.group(None)
    assert found is not None
    return found


async def given(visit: Visit) -> str | None:
    server = await visit.next()
    return None if server is None else server.name


async def test_in_their_order_and_each_once(mock_clock: MockClock) -> None:
    visit = group("a", "b", "c").visit()
    for name in ("a:25", "b:25", "c:25"):
        assert await given(visit) == name
        visit.failed("no")
    assert await given(visit) is None


async def test_the_next_session_leaves_out_what_has_failed(mock_clock: MockClock) -> None:
    servers = group("a", "b")
    first = servers.visit()
    assert await given(first) == "a:25"
    first.failed("no")
    assert await given(first) == "b:25"
    first.worked()
    assert await given(servers.visit()) == "b:25"
    mock_clock.jump(LONGEST_PAUSE)
    probing, other = servers.visit(), servers.visit()
    assert await given(probing) == "a:25"
    assert await given(other) == "b:25"
    probing.worked()
    assert await given(servers.visit()) == "a:25"


async def test_a_server_that_fails_after_its_greeting_is_left_for_the_other(mock_clock: MockClock) -> None:
    visit = group("a", "b").visit()
    assert await given(visit) == "a:25"
    visit.worked()
    visit.failed("421 to EHLO")
    assert await given(visit) == "b:25"


async def test_a_server_that_worked_is_tried_again(mock_clock: MockClock) -> None:
    visit = group("a", "b").visit()
    assert await given(visit) == "a:25"
    visit.worked()
    assert await given(visit) == "a:25"  # its connection has ended without a failure


async def test_where_all_are_down_the_first_to_be_due_is_tried(mock_clock: MockClock) -> None:
    servers = group("a", "b")
    a, b = servers.servers
    for _ in range(3):
        a.health.begin().failed("no")
    b.health.begin().failed("no")
    assert not a.health.is_due
    assert not b.health.is_due
    visit = servers.visit()
    assert await given(visit) == "b:25"
    visit.failed("no")
    assert await given(visit) == "a:25"
    visit.failed("no")
    assert await given(visit) is None


async def test_while_others_try_all_that_are_down_their_results_are_waited_for(
    autojump_clock: MockClock,
) -> None:
    servers = group("a", "b")
    for server in servers.servers:
        server.health.begin().failed("no")
    tries = [servers.visit(), servers.visit()]
    assert sorted([await given(each) or "" for each in tries]) == ["a:25", "b:25"]
    seen: list[str | None] = []

    async def wait() -> None:
        seen.append(await given(servers.visit()))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert seen == []
        tries[0].failed("no")
        tries[1].failed("no")
    assert seen == [None, None, None]
    visit = servers.visit()
    assert await given(visit) is not None
    visit.gave_up()

    probing = servers.visit()
    name = await given(probing)
    other = servers.visit()
    assert await given(other) != name
    seen.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        probing.worked()
        other.failed("no")
    assert seen == [name]


async def test_weights_are_shares_of_the_clients(mock_clock: MockClock) -> None:
    servers = group("a,weight=3", "b")
    servers.chance = random.Random(7)
    counts = {"a:25": 0, "b:25": 0}
    for _ in range(4_000):
        counts[await given(servers.visit()) or ""] += 1
    assert 2_800 < counts["a:25"] < 3_200
    visit = servers.visit()
    assert {await given(visit), await given(visit)} == {"a:25", "b:25"}


async def test_a_visit_that_is_over_says_nothing_more(mock_clock: MockClock) -> None:
    servers = group("a", "b")
    visit = servers.visit()
    for say in (visit.worked, visit.gave_up, lambda: visit.failed("no")):
        say()
    assert all(server.health.is_due for server in servers.servers)


def test_a_server_of_two_lists_has_one_health() -> None:
    lists = {None: ["a", "b"], "lists": ["b", "c"], "alone": ["d"]}
    fleet = Fleet.of({name: [Destination.parse(text) for text in texts] for name, texts in lists.items()})
    usual, route = fleet.group(None), fleet.group("lists")
    assert usual is not None
    assert route is not None
    assert usual.servers[1].health is route.servers[0].health
    alone = fleet.group("alone")
    assert alone is not None  # a route is a list, if only of one
    assert len(alone.servers) == 1
    assert Fleet.of({None: [Destination.parse("a")]}).group(None) is None
    assert fleet.largest == 2
    assert Fleet.of({}).largest == 1
