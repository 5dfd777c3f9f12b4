"""Servers that send no replies, on real sockets: the client is told at once, and the log says what was wrong.

All timeouts are those of the product: a test that passes has waited for none of them.
"""

from __future__ import annotations

import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import pytest
import trio

from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, Stream, connect
from trio_proxy.text.addresses import Address

Logs = list[MutableMapping[str, Any]]

SECONDS = 30.0
"""Far below the 300 seconds in which a server must greet, or reply."""
BROKEN = b"421 4.3.0 upstream server broke the protocol, closing\r\n"
LF = "reply line ended by a bare LF, not CRLF"


async def dialogue(greeting: bytes, command: bytes, reply: bytes) -> bytes:
    """What the client reads up to the end, from a server that says these two things and then stays."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    address = Address(*listener.socket.getsockname())
    client, accepted = socket.socketpair()
    accepted.setblocking(False)

    async def connects() -> Stream:
        return await connect(address)

    async def serve() -> None:
        async with listener, await listener.accept() as server:
            await server.send_all(greeting)
            if command:
                assert await server.receive_some() == command
                await server.send_all(reply)
            with suppress(trio.BrokenResourceError):  # octets that the proxy does not want any more
                assert await server.receive_some() == b""  # the proxy closes, not the server

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            nursery.start_soon(Session(SocketStream(accepted), "peer", 1, Settings(connect=connects)).run)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
            async with stream:
                told = b""
                while data := await stream.receive_some():
                    told += data
                    if told == greeting and command:
                        await stream.send_all(command)
    return told


@pytest.mark.parametrize(
    ("greeting", "what"),
    [
        (b"220 mx.example ESMTP\n", LF),
        (b"220-mx.example\n220 ESMTP\n", LF),
        (b"HELLO", "reply line does not begin with a code from 200 to 599"),
    ],
)
async def test_a_greeting(greeting: bytes, what: str, logs: Logs) -> None:
    assert await dialogue(greeting, b"", b"") == BROKEN
    check_log(logs, what, "GREETING")


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (b"250-a\n250 b\n", LF),
        (b"250-a\r\n250 b\n", LF),
        (b"250 ok\0", "reply holds a NUL"),
        (b"150 wait", "reply line does not begin with a code from 200 to 599"),
        (b"250-" + b"x" * 65_533, "reply longer than 65536 octets"),
    ],
)
async def test_a_reply(reply: bytes, what: str, logs: Logs) -> None:
    greeting = b"220 mx.example ESMTP\r\n"
    assert await dialogue(greeting, b"EHLO me.example\r\n", reply) == greeting + BROKEN
    check_log(logs, what, "BLOCKED")


def check_log(logs: Logs, what: str, phase: str) -> None:
    (entry,) = [entry for entry in logs if entry["event"] == "protocol violation"]
    assert entry["side"] == "server"
    assert entry["error"] == what
    assert entry["state"] == phase
    assert entry["octets"]
