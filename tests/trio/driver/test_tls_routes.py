"""Routes by the name that a client asks for in its TLS handshake."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import trio
from certificates import client_context, pair_for
from tcp_peers import TcpPeer, TcpRunning, over_tcp
from trio.testing import MockClock

from sansio_smtp import Config
from sansio_smtp.rules.ruleset import RuleSet
from trio_proxy.driver.streams import SocketStream, Stream
from trio_proxy.routes.routing import Routing
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.text.destinations import Destination
from trio_proxy.tls.server_side import ServerTls

ROUTE = RouteTable(name="shop", upstream=(Destination.parse("mx.example"),), tls_name=("*.shop.example",))


async def introduced(run: TcpRunning, server: TcpPeer) -> None:
    await run.client.send(b"EHLO me")
    await server.expect(b"EHLO me")
    await server.send(b"250 mx")
    while (await run.client.line())[3:4] == b"-":
        pass


@pytest.mark.parametrize(("name", "server"), [("mx.shop.example", "shop"), ("mx.example", None)])
async def test_after_starttls(mock_clock: MockClock, tmp_path: Path, name: str, server: str | None) -> None:
    send, connected = trio.open_memory_channel[str | None](9)
    tls = ServerTls.load([pair_for(tmp_path, "mx.example", "*.shop.example")])
    rules = RuleSet(Routing([ROUTE]).rules)

    async def connect_to(stream: SocketStream) -> Stream:
        send.send_nowait("shop")
        return stream

    async with over_tcp(
        mock_clock, connect_to=connect_to, tls=tls, config=Config(tls="may"), rules=lambda: nullcontext(rules)
    ) as run:
        await run.server.send(b"220 mx")
        await run.client.expect(b"220 mx")
        await introduced(run, run.server)
        await run.client.send(b"STARTTLS")
        await run.client.expect(b"220 ...")
        stream = trio.SSLStream(
            run.client.stream, client_context(), server_hostname=name, https_compatible=True
        )
        run.client.stream = stream  # type: ignore[assignment]
        await stream.do_handshake()
        await introduced(run, run.server)
        await run.client.send(b"MAIL FROM:<a@me>")
        at = run.server
        if server is not None:
            assert await connected.receive() == server
            (at,) = run.servers
            await at.send(b"220 shop")
            await at.expect(b"EHLO me")
            await at.send(b"250 shop")
        await at.expect(b"MAIL FROM:<a@me>")
        for peer in (run.client, at):
            peer.close()
