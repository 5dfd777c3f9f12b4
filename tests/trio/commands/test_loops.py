"""Servers that are this proxy itself, found before the start and when they are connected."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
from each import each

from trio_proxy.commands.loops import is_own, leads_to, route_loops
from trio_proxy.commands.upstreams import NamedServers
from trio_proxy.driver.streams import SocketStream
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination


@each(
    ("upstream", "listener", "leads"),
    [
        ("127.0.0.1:2525", "127.0.0.1:2525", True),
        ("lmtp://127.0.0.1:2525", "127.0.0.1:2525", True),
        ("localhost:2525", "127.0.0.1:2525", True),
        ("127.0.0.1:2525", "0.0.0.0:2525", True),
        ("127.0.0.1:2525", ":2525", True),
        ("unix:/run/a", "lmtp+unix:/run/a", True),
        ("unix:/run/a", "127.0.0.1:2525", False),
        ("127.0.0.1:2526", "0.0.0.0:2525", False),
        ("127.0.0.2:2525", "127.0.0.1:2525", False),
        ("192.0.2.1:2525", "0.0.0.0:2525", False),
        ("[::1]:2525", "0.0.0.0:2525", False),
        ("name..wrong:2525", "0.0.0.0:2525", False),
    ],
)
def test_where_an_address_leads_to(upstream: str, listener: str, leads: bool) -> None:
    assert leads_to(Address.parse(upstream), Address.parse(listener)) is leads


def test_a_route_that_loops() -> None:
    servers = tuple(Destination(Address.parse(text)) for text in ("192.0.2.1:25", "localhost:2525"))
    route = RouteTable(name="lists", upstream=servers, file="proxy.toml", line=7)
    (problem,) = route_loops([route], [Address.parse("0.0.0.0:2525")])
    assert str(problem) == (
        'proxy.toml:7: [[route]] upstream = "localhost:2525": that is where this proxy listens itself'
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_rule_cannot_redirect_to_this_proxy(host: str) -> None:
    with socket.create_server((host, 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        port = listener.getsockname()[1]
        routes = NamedServers(Options(), SocketStream, [Address(host, port)])
        with trio.fail_after(20):
            with pytest.raises(OSError, match="that is where this proxy listens itself"):
                await routes.connect_to(f"localhost:{port}")
            stream = await routes.connect_to(f"127.0.0.1:{other.getsockname()[1]}")
            stream.close()


async def test_a_rule_that_has_the_name_of_a_route_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", nobody)
    table = RouteTable(name="lists", upstream=(Destination(Address.parse("192.0.2.1:25")),))
    routes = NamedServers(Options(routes=(table,)), SocketStream, [])
    with pytest.raises(OSError, match=r'^Name or service not known; did you mean "lists"\?$'):
        await routes.connect_to("lsits")
    with pytest.raises(OSError, match=r"not known$"):
        await routes.connect_to("mail.example.net")


def test_a_unix_socket_of_ours(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        assert is_own(client, [Address(path=path)])
        assert not is_own(client, [Address("127.0.0.1", 25), Address(path="/run/other")])
