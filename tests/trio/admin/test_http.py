"""One request, one page; whatever a client does, it costs a place for a limited time and one line."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import trio
import trio.testing

from trio_proxy.admin.http import Page, Request, serve_one

Logs = list[MutableMapping[str, Any]]


def page(request: Request) -> Page:
    return Page(f"{request.path} {request.accept}\n".encode())


def broken(request: Request) -> Page:
    raise RuntimeError("a mistake of ours")


async def answer(*pieces: bytes, make: Callable[[Request], Page] = page) -> bytes:
    """What a client gets that sends these."""
    client, server = trio.testing.memory_stream_pair()
    said = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, server, "peer", make)
        for piece in pieces:
            await client.send_all(piece)
        with trio.move_on_after(1):
            async for data in client:
                said += data
        await client.aclose()
    return bytes(said)


async def test_a_page() -> None:
    said = await answer(b"GET /met", b"rics?x=1 HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 20\r\n" in head
    assert b"Connection: close" in head
    assert body == b"/metrics text/plain\n"


async def test_the_head_of_a_page() -> None:
    said = await answer(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + 5000 * b"x", b"405"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"EHLO me.example\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", b"400"),
        (b"GET /" + 40_000 * b"x", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + 40_000 * b"x", b"431"),
    ],
)
async def test_what_is_not_taken(
    request_: bytes, status: bytes, logs: Logs, autojump_clock: trio.testing.MockClock
) -> None:
    said = await answer(request_)
    assert said.split(b" ")[:2] == [b"HTTP/1.1", status]
    assert len(said.partition(b"\r\n\r\n")[2].splitlines()) == 1
    assert logs == []


async def test_a_client_that_says_nothing(logs: Logs, autojump_clock: trio.testing.MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await serve_one(server, "peer", page)
    assert [(line["event"], line["peer"]) for line in logs] == [
        ("admin connection takes too long, closing", "peer")
    ]
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")


async def test_a_client_that_never_reads(logs: Logs, autojump_clock: trio.testing.MockClock) -> None:
    client, server = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, server, "peer", page)
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [line["event"] for line in logs] == ["admin connection takes too long, closing"]


async def test_a_client_that_leaves(logs: Logs) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.aclose()
    await serve_one(server, "peer", page)
    assert logs == []


async def test_a_mistake_of_ours_ends_one_connection_only(logs: Logs) -> None:
    assert await answer(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", make=broken) == b""
    assert [line["event"] for line in logs] == ["internal error, admin connection closed"]
