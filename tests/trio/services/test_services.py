"""What the rules have in common that ask a service."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from trio_proxy.services.outage import folded, open_stream
from trio_proxy.text.addresses import AddressError


async def greet(stream: trio.abc.Stream) -> None:
    async with stream:
        await stream.send_all(b"hello")


async def test_a_tcp_port() -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, greet, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        with trio.fail_after(20):
            async with await open_stream(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}") as stream:
                assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_a_unix_socket(tmp_path: Path) -> None:
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(str(tmp_path / "s"))
    sock.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, greet, [trio.SocketListener(sock)])
        with trio.fail_after(20):
            async with await open_stream(f"unix:{tmp_path}/s") as stream:
                assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_nobody_there() -> None:
    with pytest.raises(FileNotFoundError):
        await open_stream("unix:/nowhere")
    with pytest.raises(AddressError):
        await open_stream("nowhere")


@pytest.mark.parametrize("text", ["smtps://h", "smtps+unix:x", "h:465"])
async def test_tls_is_not_spoken_with_services(text: str) -> None:
    with pytest.raises(AddressError, match="means TLS, which is not spoken with this service"):
        await open_stream(text)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"", b""),
        (b"one", b"one"),
        (b"one\n\ttwo", b"one\r\n\ttwo"),
        (b"one\r\n two\rthree", b"one\r\n two\r\n\tthree"),
        (b"one\n\n \ntwo\r\n", b"one\r\n\ttwo"),
    ],
)
def test_folds(value: bytes, field: bytes) -> None:
    assert folded(value) == field
