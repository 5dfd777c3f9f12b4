"""Limits that are changed while the service runs."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import attrs

from sansio_smtp.config import EarlyTalkers
from trio_proxy.commands.limits import LIMIT_SETTINGS, Limits
from trio_proxy.commands.reloading import RELOADED
from trio_proxy.driver.server import Server
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.limits.rates import Rate
from trio_proxy.limits.table import (
    COMMAND_RATE,
    CONNECTION_RATE,
    LIMIT_OF,
    MESSAGE_RATE,
    NETWORK_CONNECTIONS,
)
from trio_proxy.settings.options import DEFAULTS, SETTINGS, Options

Logs = list[MutableMapping[str, Any]]


async def _nowhere() -> Stream:
    raise OSError


@attrs.define
class Service:
    options: Options
    limits: Limits = attrs.field(init=False)
    settings: Settings = attrs.field(factory=lambda: Settings(connect=_nowhere))
    server: Server = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.limits = Limits(self.options, None)
        self.server = Server(lambda *_: None)  # type: ignore[arg-type, return-value]  # it serves nobody

    def change(self, **options: Any) -> None:
        self.options = attrs.evolve(self.options, **options)
        self.settings = self.limits.change(self.options, self.settings, self.server)

    def enter(self, ip: str) -> Any:
        network = self.limits.guard.network_of(ip)
        return "not counted" if network is None else self.limits.guard.enter(network)


def test_all_that_says_a_limit_can_be_reloaded() -> None:
    assert {*LIMIT_OF} <= LIMIT_SETTINGS <= RELOADED
    assert {name for name, each in SETTINGS.items() if each.table == "limits"} <= LIMIT_SETTINGS


def test_limits_of_a_session_are_those_of_the_settings_with_which_it_begins(logs: Logs) -> None:
    service = Service(DEFAULTS)
    before = service.settings
    service.change()
    assert service.settings is before
    assert logs == []
    service.change(max_line=600, error_delay=2.0, early_talkers="refuse", max_held=5)
    assert (before.config.max_line, before.error_delay) == (12_288, 1.0)
    after = service.settings
    assert (after.config.max_line, after.error_delay, after.config.max_held) == (600, 2.0, 5)
    assert after.config.early_talkers is EarlyTalkers.REFUSE
    assert [(entry["event"], entry["settings"]) for entry in logs] == [
        (
            "limits reloaded",
            "[limits] error_delay, [limits] early_talkers, [limits] max_line, [rules] max_held",
        )
    ]


async def test_limits_of_all_change_at_once_and_nothing_that_was_counted_is_lost() -> None:
    service = Service(attrs.evolve(DEFAULTS, max_network_connections=2, connection_rate=Rate(4, 3600)))
    assert [service.enter("192.0.2.1") for _ in range(3)] == [None, None, NETWORK_CONNECTIONS]
    service.change(max_network_connections=3, max_connections=7, max_held_total=10)
    assert [service.enter("192.0.2.1") for _ in range(2)] == [None, NETWORK_CONNECTIONS]
    service.change(max_network_connections=0)
    assert [service.enter("192.0.2.1") for _ in range(2)] == [None, CONNECTION_RATE]
    assert service.server.max_connections == 7
    assert not service.limits.held.take(11)
    assert service.limits.held.take(10)
    service.change(connection_rate=None, min_rate=None)
    assert service.enter("192.0.2.1") is None
    assert service.limits.guard.least_pace is None
    assert list(service.limits.guard.open.values()) == [5]


def test_networks_are_those_of_the_settings_of_now() -> None:
    service = Service(DEFAULTS)
    assert [service.enter(ip) for ip in ("127.0.0.1", "192.0.2.1")] == ["not counted", None]
    service.change(exempt_networks=("192.0.2.0/24",), network_prefix_v4=16)
    assert [service.enter(ip) for ip in ("127.0.0.1", "192.0.2.1")] == [None, "not counted"]
    guard = service.limits.guard
    assert guard.network_of("127.0.0.1") == guard.network_of("127.0.255.1")


async def test_rates_that_have_not_changed_keep_what_was_taken() -> None:
    service = Service(attrs.evolve(DEFAULTS, message_rate=Rate(1, 3600), command_rate=Rate(1, 3600)))
    guard = service.limits.guard
    network = guard.network_of("192.0.2.1")
    assert network is not None
    assert [guard.charge(limit, network) for limit in (MESSAGE_RATE, COMMAND_RATE)] == [True] * 2
    service.change(command_rate=Rate(2, 3600))
    assert [guard.charge(limit, network) for limit in (MESSAGE_RATE, COMMAND_RATE)] == [False, True]
