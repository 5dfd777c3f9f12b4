"""What is counted for each network of clients."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sansio_smtp import Networks
from trio_proxy.limits.guard import Guard, Prefixes
from trio_proxy.limits.hits import Hits
from trio_proxy.limits.of_service import guard_of
from trio_proxy.limits.rates import Rate
from trio_proxy.limits.table import (
    COMMAND_RATE,
    CONNECTION_RATE,
    MESSAGE_RATE,
    NETWORK_CONNECTIONS,
    Limit,
)
from trio_proxy.settings.options import DEFAULTS


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def guard(clock: Clock, rates: dict[Limit, Rate | None] | None = None, **more: Any) -> Guard:
    return Guard(Hits(clock), clock, rates=rates or {}, **{"exempt": Networks(), **more})


def network(guard: Guard, ip: str) -> bytes:
    found = guard.network_of(ip)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("ip", "text"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_the_network_of_an_address(ip: str, text: str) -> None:
    made = guard(Clock())
    assert made.text(network(made, ip)) == text


def test_prefixes_can_be_said() -> None:
    made = guard(Clock(), prefixes=Prefixes(24, 48))
    assert made.text(network(made, "192.0.2.9")) == "192.0.2.0/24"
    assert made.text(network(made, "2001:db8:1:2::1")) == "2001:db8:1::/48"
    assert network(made, "192.0.2.1") == network(made, "192.0.2.200") != network(made, "192.0.3.1")


@pytest.mark.parametrize("ip", ["", "unix", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "192.0.2.5"])
def test_who_is_not_counted(ip: str) -> None:
    options = attrs.evolve(
        DEFAULTS,
        exempt_networks=("127.0.0.0/8", "::1", "10.0.0.0/8"),
        accept_proxy=("192.0.2.5",),
        accept_xclient=("unix",),
    )
    assert guard_of(options, Hits(Clock()), Clock()).network_of(ip) is None


def test_connections_of_one_network() -> None:
    made = guard(Clock(), connections=2)
    one, other = network(made, "192.0.2.1"), network(made, "192.0.2.2")
    assert [made.enter(one) for _ in range(3)] == [None, None, NETWORK_CONNECTIONS]
    assert made.enter(other) is None
    made.leave(one)
    assert made.enter(one) is None
    assert made.open == {one: 2, other: 1}
    for each in (one, one, other):
        made.leave(each)
    assert not made.open
    assert made.hits.counts == {"network-connections": 1}


def test_the_rate_of_connections() -> None:
    clock = Clock()
    made = guard(clock, {CONNECTION_RATE: Rate(2, 60)})
    one = network(made, "192.0.2.1")
    assert [made.enter(one) for _ in range(4)] == [None, None, CONNECTION_RATE, CONNECTION_RATE]
    assert made.open == {one: 2}
    clock.now += 30
    assert [made.enter(one) for _ in range(2)] == [None, CONNECTION_RATE]


@pytest.mark.parametrize("limit", [MESSAGE_RATE, COMMAND_RATE])
def test_a_rate_that_is_used_up_refuses_connections(limit: Limit) -> None:
    clock = Clock()
    made = guard(clock, {limit: Rate(6, 60), CONNECTION_RATE: None})
    one, other = network(made, "192.0.2.1"), network(made, "192.0.2.2")
    assert made.charge(limit, one, 6)
    assert not made.charge(limit, one)
    assert made.enter(one) is limit
    assert made.enter(other) is None
    clock.now += 10
    assert made.enter(one) is None
    assert made.hits.counts == {limit.label: 2}


@pytest.mark.parametrize("limit", [MESSAGE_RATE, COMMAND_RATE])
def test_what_was_done_counts_though_it_is_too_much(limit: Limit) -> None:
    """Else a client could do it again with each new connection."""
    clock = Clock()
    made = guard(clock, {limit: Rate(10, 60)})
    one = network(made, "192.0.2.1")
    assert [made.charge(limit, one, 6) for _ in range(2)] == [True, False]
    assert made.enter(one) is limit
    clock.now += 6
    assert made.enter(one) is None


def test_without_limits_nothing_is_refused() -> None:
    made = guard(Clock())
    one = network(made, "192.0.2.1")
    assert [made.enter(one) for _ in range(1000)] == [None] * 1000
    assert made.charge(MESSAGE_RATE, one, 10**9)
