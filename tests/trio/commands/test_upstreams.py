"""The servers of the settings when these are reread: what changes, what stays, and what is refused."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from sansio_smtp import ClientTls, Dialect
from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.commands.logins import may_be_plain
from trio_proxy.commands.security import Security
from trio_proxy.commands.upstreams import Upstreams, servers_now
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import SocketStream, Stream
from trio_proxy.metrics.registry import Metrics
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination


def servers(*texts: str) -> tuple[Destination, ...]:
    return tuple(Destination.parse(text) for text in texts)


def options(*upstream: str, routes: tuple[RouteTable, ...] = (), **values: Any) -> Options:
    return Options(upstream=servers(*upstream), routes=routes, listen=(Address("127.0.0.1", 2525),), **values)


def route(name: str, *upstream: str, **conditions: Any) -> RouteTable:
    return RouteTable(name=name, upstream=servers(*upstream), file="proxy.toml", line=3, **conditions)


async def nowhere() -> Stream:
    raise AssertionError


SETTINGS = Settings(connect=nowhere)


def upstreams(first: Options) -> Upstreams:
    return Upstreams(SocketStream, {}, first.listen, Security(first))


def names(settings: Settings, name: str | None) -> list[str] | None:
    group = None if settings.groups is None else settings.groups(name)
    return None if group is None else [server.name for server in group.servers]


def test_a_list_in_place_of_a_server() -> None:
    first = options("192.0.2.1:25")
    made = upstreams(first)
    before = made.used_by(SETTINGS, first)
    assert (names(before, None), before.config.failover) == (None, 0)
    lists = route("lists", "192.0.2.3:25", "lmtp://192.0.2.4:24", "192.0.2.5:25", sender=("*@a.example",))
    after = made.used_by(before, options("192.0.2.1:25", "192.0.2.2:25", routes=(lists,)))
    assert names(after, None) == ["192.0.2.1:25", "192.0.2.2:25"]
    assert names(after, "lists") == ["192.0.2.3:25", "lmtp://192.0.2.4:24", "192.0.2.5:25"]
    assert after.config.failover == 2
    assert (names(before, None), names(before, "lists"), before.config.failover) == (None, None, 0)


async def test_a_server_that_stays_keeps_its_health(
    mock_clock: MockClock, logs: list[MutableMapping[str, Any]]
) -> None:
    first = options("192.0.2.1:25", "192.0.2.2:25")
    made = upstreams(first)
    before = made.used_by(SETTINGS, first)
    assert before.groups is not None
    group = before.groups(None)
    assert group is not None
    for server in group.servers:
        server.health.failed("down")
    after = made.used_by(
        before, options("192.0.2.3:25", routes=(route("x", "192.0.2.1:25", "192.0.2.4:25"),))
    )
    assert after.groups is not None
    there = after.groups("x")
    assert there is not None
    assert [server.health.is_due for server in there.servers] == [False, True]
    again = made.used_by(after, first)
    assert again.groups is not None
    group = again.groups(None)
    assert group is not None
    assert [server.health.is_due for server in group.servers] == [False, True], "one of them had gone"
    assert [line["event"] for line in logs if "reloaded" in line["event"]] == [
        "upstream servers reloaded"
    ] * 2


def test_connections_that_are_kept_are_those_of_the_usual_server() -> None:
    """By the function that connects to it, the pool knows which it is."""
    first = options("192.0.2.1:25")
    made = upstreams(first)
    before = made.used_by(SETTINGS, first)
    assert made.used_by(before, options("192.0.2.1:25", routes=(route("x", "a"),))).connect is before.connect
    after = made.used_by(before, options("192.0.2.2:25"))
    assert after.connect is not before.connect
    assert made.used_by(after, options("192.0.2.2:25", "192.0.2.3:25")).connect is after.connect


def test_what_metrics_call_the_usual_server() -> None:
    """A session that has begun before a reload says what its server was then."""
    first = options("192.0.2.1:25")
    made = upstreams(first)
    before = made.used_by(SETTINGS, first)
    after = made.used_by(before, options("smtps://192.0.2.2", "192.0.2.3:25"))
    assert (before.upstream_label, after.upstream_label) == ("192.0.2.1:25", "smtps://192.0.2.2:465")
    nobody = Options()
    kept_here = Upstreams(SocketStream, {}, (), Security(nobody), built_in=servers("127.0.0.1:40123")[0])
    assert kept_here.used_by(SETTINGS, nobody).upstream_label == "built-in"


def test_metrics_forget_servers_that_the_settings_do_not_name_any_more() -> None:
    first = options("192.0.2.1:25", "192.0.2.2:25", routes=(route("x", "192.0.2.3:25"),))
    metrics = Metrics()
    made = upstreams(first)
    before = made.used_by(attrs.evolve(SETTINGS, meter=metrics), first)
    for number in (1, 2, 3, 4):  # a rule has named the last one
        metrics.not_connected(f"192.0.2.{number}:25")
    made.used_by(before, options("192.0.2.2:25"))
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    up = {sample.labels["upstream"] for sample in samples if sample.name == "smtp_proxy_upstream_up"}
    assert up == {"192.0.2.2:25", "192.0.2.4:25"}


def test_dialect_and_tls_are_those_of_the_new_server() -> None:
    first = options("192.0.2.1:25", upstream_tls="none")
    made = upstreams(first)
    before = made.used_by(SETTINGS, first)
    after = made.used_by(before, options("lmtp://127.0.0.1:24"))
    assert before.upstream_dialect is not None
    assert after.upstream_dialect is not None
    assert (before.upstream_dialect(None), after.upstream_dialect(None)) == (Dialect.SMTP, Dialect.LMTP)
    assert after.upstream_tls is not None
    assert after.upstream_tls(None) is None


def test_what_only_kept_mail_becomes_a_relay() -> None:
    """Clients in plain text may log in to the server that keeps mail, and not to one that relays it."""
    keeps, relays = options(), options("mx.example")
    made = attrs.evolve(upstreams(keeps), built_in=Destination.parse("127.0.0.1:1"))
    before = made.used_by(SETTINGS, keeps).config
    assert (before.auth_without_tls, before.tls) == (True, ClientTls.MAY)
    after = made.used_by(SETTINGS, servers_now(keeps, relays)).config
    assert (after.auth_without_tls, after.tls) == (False, ClientTls.NONE)


def test_only_the_servers_are_those_of_the_file() -> None:
    first = options("192.0.2.1:25", headroom=1)
    now = servers_now(first, options("192.0.2.2:25", headroom=2))
    assert now == attrs.evolve(first, upstream=servers("192.0.2.2:25"))


@pytest.mark.parametrize(
    ("first", "now", "problem"),
    [
        (options("a"), options(), "upstream is gone; to keep messages here, restart the service"),
        (
            options("a"),
            options("127.0.0.1:2525"),
            "--upstream 127.0.0.1:2525: that is where this proxy listens",
        ),
        (options("a"), options("b", "b:25"), "--upstream names b:25 twice"),
        (options("a", upstream_tls="none"), options("smtps://b"), "--upstream smtps://b:465 begins with TLS"),
        (
            options("a"),
            options("b", routes=(route("x", "c", listen=(Address("127.0.0.1", 26),)),)),
            'proxy.toml:3: [[route]] listen = "127.0.0.1:26": nothing listens there',
        ),
        (
            options("a"),
            options("b", routes=(route("x", "127.0.0.1:2525"),)),
            'proxy.toml:3: [[route]] upstream = "127.0.0.1:2525": that is where this proxy listens itself',
        ),
    ],
)
def test_wrong_servers_are_refused(first: Options, now: Options, problem: str) -> None:
    with pytest.raises(RuleError) as caught:
        servers_now(first, now)
    assert problem in str(caught.value.problems[0])


def test_all_mistakes_at_once() -> None:
    now = options("127.0.0.1:2525", "smtps://b", routes=(route("x", "127.0.0.1:2525"),))
    with pytest.raises(RuleError) as caught:
        servers_now(options("a", upstream_tls="none"), now)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("upstream", "may"),
    [(None, False), ("here", True), ("mixed", False), ("127.0.0.1:25", True), ("mx.example", False)],
)
def test_where_a_secret_may_go_in_plain_text(upstream: str | None, may: bool) -> None:
    routes = (route("here", "127.0.0.1:26", "unix:/run/x"), route("mixed", "127.0.0.1:26", "mx.example"))
    assert may_be_plain(options("mx.example", routes=routes), upstream) is may
    assert may_be_plain(options("mx.example", routes=routes, upstream_tls="none"), upstream)
