"""Which route a client, a sender and a recipient get, and when it is known."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from each import each

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.rules import Redirect
from sansio_smtp.rules.loading import rules_of
from sansio_smtp.rules.ruleset import RuleSet
from sansio_smtp.testing import session
from trio_proxy.driver.streams import SocketStream
from trio_proxy.routes.listeners import Listeners
from trio_proxy.routes.routing import Routing, with_routes
from trio_proxy.rulebook.load import load
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

THERE = (Destination(Address("mx.example", 25)),)


def route(name: str, **conditions: Any) -> RouteTable:
    return RouteTable(name=name, upstream=THERE, **conditions)


CLIENT = ClientInfo(
    address="192.0.2.1:51000",
    listener="127.0.0.1:25",
    tls=TlsInfo(version="TLSv1.3", server_name="mx.shop.example"),
)


def servers(*routes: RouteTable, login: str | None = None, recipient: str = "bob@b.example") -> list[str]:
    """The servers that were connected up to the reply to RCPT, in their order."""
    rules = RuleSet(Routing(routes).rules)
    asked = session(rules, client=CLIENT, login=login)
    asked.mail("ann@a.example")
    asked.rcpt(recipient)
    assert asked.ok
    return [name or "usual" for name, _ in asked.servers]


@each(
    ("conditions", "connected"),
    [
        ({}, ["there"]),
        ({"client": ("192.0.2.0/24",)}, ["there"]),
        ({"client": ("198.51.100.0/24",)}, ["usual"]),
        ({"listen": (Address("127.0.0.1", 25),)}, ["there"]),
        ({"listen": (Address("127.0.0.1", 26),)}, ["usual"]),
        ({"tls_name": ("other.example", "MX.shop.example")}, ["there"]),
        ({"tls_name": ("*.shop.example",)}, ["there"]),
        ({"tls_name": ("*.example",)}, ["usual"]),
        ({"tls_name": ("shop.example",)}, ["usual"]),
        ({"sender": ("*@A.example",)}, ["usual", "there"]),
        ({"sender": ("<>",)}, ["usual"]),
        ({"recipient": ("bob@b.example",)}, ["usual", "there"]),
        ({"sender": ("*@a.example",), "recipient": ("*@b.example",)}, ["usual", "there"]),
        ({"sender": ("*@other.example",), "recipient": ("*@b.example",)}, ["usual"]),
        ({"login": ("Scanner",)}, ["usual", "there"]),
        ({"login": ("other",)}, ["usual"]),
    ],
)
def test_conditions(conditions: dict[str, Any], connected: list[str]) -> None:
    assert servers(route("there", **conditions), login="scanner") == connected


def test_the_first_route_that_fits_wins_at_each_point() -> None:
    lists = route("lists", recipient=("*@lists.example",))
    ann = route("ann", sender=("ann@a.example",))
    net = route("net", client=("192.0.2.0/24",))
    assert servers(lists, ann, net) == ["net", "ann"]
    assert servers(lists, ann, net, recipient="x@lists.example") == ["net", "ann", "lists"]
    assert servers(net, ann, lists, recipient="x@lists.example") == ["net"]


def test_rules_are_asked_only_where_a_route_may_come_to_fit() -> None:
    phases = {
        "client": (route("a", client=("unix",)), ["connect"]),
        "sender": (route("a", sender=("*@a.example",)), ["mail"]),
        "recipient": (route("a", recipient=("*@a.example",)), ["rcpt"]),
        "login": (route("a", login=("x",)), ["mail"]),
        "tls_name": (route("a", tls_name=("x",)), ["connect", "mail"]),
    }
    for table, expected in phases.values():
        assert [rule.phase for rule in Routing([table]).rules] == expected


def test_a_redirect_of_another_rule_wins() -> None:
    def connect(conn: object) -> Redirect:
        return Redirect("other.example")

    loaded = with_routes(load([]), [route("net", client=("192.0.2.0/24",))])
    asked = session(RuleSet((*rules_of(connect).rules, *loaded.ruleset.rules)), client=CLIENT)
    assert [name for name, _ in asked.servers] == ["other.example"]


def test_which_listener_took_a_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("0.0.0.0", 0)) as all_of_them,
        socket.socket(socket.AF_UNIX) as unix,
        socket.create_server(("127.0.0.1", 0)) as unknown,
    ):
        unix.bind(path)
        unix.listen()
        addresses = [Address("localhost", 25), Address("", 26), Address(path=path)]
        listeners = Listeners(dict(zip((one, all_of_them, unix), addresses, strict=True)))
        names = []
        for listener in (one, all_of_them, unix, unknown):
            with socket.socket(listener.family) as client:
                client.connect(path if listener is unix else ("127.0.0.1", listener.getsockname()[1]))
                accepted, _ = listener.accept()
                with accepted:
                    names.append(listeners.name_of(SocketStream(accepted)))
    assert names == ["localhost:25", ":26", f"unix:{path}", ""]
