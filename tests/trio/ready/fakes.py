"""What rules that ask a service are given, and services that are none: in memory, or on a loopback port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
import trio.testing

from sansio_smtp.rules import Connection, Recipient, Sender, Transaction
from sansio_smtp.rules.message import Message

Handler = Callable[[trio.abc.Stream], Awaitable[None]]

TEXT = b"From: a@me.example\r\nSubject: hi\r\n\r\nhello\r\n"


def transaction(
    *to: str,
    sender: str = "a@me.example",
    peer: str = "192.0.2.7:4711",
    login: str | None = None,
    helo: str = "client.example",
) -> Transaction:
    conn = Connection(peer=peer, id="c7", helo=helo, login=login)
    return Transaction(conn, Sender.of(sender), [Recipient.of(each) for each in to or ("b@mx.example",)])


def message(data: bytes = TEXT) -> Message:
    return Message(data)


@asynccontextmanager
async def in_memory(handler: Handler) -> AsyncGenerator[Callable[[str], Awaitable[trio.abc.Stream]]]:
    """Gives what takes the place of `trio_proxy.services.open_stream`: each connection is the handler's."""
    async with trio.open_nursery() as nursery:

        async def open_stream(address: str) -> trio.abc.Stream:
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(handler, theirs)
            return ours

        yield open_stream
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_loopback(handler: Handler) -> AsyncGenerator[int]:
    """Serves on a port; gives its number."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def received(stream: trio.abc.Stream, end: bytes) -> bytes:
    """Octets up to and with ``end``, or up to the end of the stream."""
    data = b""
    while end not in data and (more := await stream.receive_some(65_536)):
        data += more
    return data
