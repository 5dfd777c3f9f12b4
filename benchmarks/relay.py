"""A bare Trio byte relay: the minimum for any Trio program, and so the baseline of our driver.

It knows nothing about SMTP.  `python benchmarks/relay.py --listen 127.0.0.1:0 --upstream 127.0.0.1:25`
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket

import trio
from trio.lowlevel import wait_readable, wait_writable

READ_SIZE = 65536  # smaller reads need more system calls, larger ones do not fit the cache
EAGER_READS = 32  # reads in a row without asking the event loop: the other sessions must get their turn
ACCEPT_BATCH = 64


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Try first: the socket is nearly always writable, and asking the event loop costs more than the call."""
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    if sent == len(data):
        return
    with memoryview(data) as view:
        while sent < len(data):
            await wait_writable(sock)
            with contextlib.suppress(BlockingIOError):
                sent += sock.send(view[sent:])


async def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until end-of-file, then pass on the half-close."""
    eager = 0
    while True:
        if not eager:
            await wait_readable(source)
        try:
            data = source.recv(READ_SIZE)
        except BlockingIOError:
            eager = 0
            continue
        if not data:
            target.shutdown(socket.SHUT_WR)
            return
        await send_all(target, data)
        # Only after a read that filled the buffer is there probably more: otherwise another call is wasted.
        eager = (eager + 1) % EAGER_READS if len(data) == READ_SIZE else 0


async def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(address)
        except BlockingIOError:  # not on loopback, where it is done at once
            await wait_writable(sock)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "cannot connect upstream") from None
    except BaseException:
        sock.close()
        raise
    return sock


async def serve_client(client: socket.socket, upstream: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError):  # either side may reset at any time: then both are closed
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with await connect(upstream) as server:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(pump, server, client)
                    await pump(client, server)
            except* OSError:
                pass


async def accept(listener: socket.socket, upstream: tuple[str, int], nursery: trio.Nursery) -> None:
    while True:
        await wait_readable(listener)
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            for _ in range(ACCEPT_BATCH):
                client, _peer = listener.accept()
                nursery.start_soon(serve_client, client, upstream)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 0))
    parser.add_argument("--upstream", type=address, required=True)
    options = parser.parse_args()
    with socket.create_server(options.listen, backlog=1024) as listener:
        listener.setblocking(False)
        print("  listening   {}:{}".format(*listener.getsockname()), flush=True)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept, listener, options.upstream, nursery)
                async for _ in signals:
                    nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
