"""Proxies that lose, double, cut or keep back messages, to prove that the account notices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import trio

from .lines import Gone, Line, in_memory
from .proxies import Proxy
from .server import Server

__all__ = ["DEFECTS", "Defect", "broken_proxy"]

Defect = Literal["none", "loss", "double", "half", "stall", "refuses"]
DEFECTS: Final[tuple[Defect, ...]] = ("none", "loss", "double", "half", "stall", "refuses")
_END: Final = b".\r\n"


@asynccontextmanager
async def broken_proxy(server: Server, defect: Defect, directory: Path) -> AsyncGenerator[Proxy]:
    """A proxy that waits for each reply, and does one thing wrong at the second message."""
    async with trio.open_nursery() as nursery:

        async def dial() -> Line:
            far, near = in_memory()
            server_far, server_near = in_memory()
            nursery.start_soon(server.serve, server_far)
            nursery.start_soon(_session, _Side(near), _Side(server_near), defect)
            return far

        made = Proxy(nursery.cancel_scope.cancel, directory)
        made.serves(dial)
        yield made
        nursery.cancel_scope.cancel()


class _Side:
    def __init__(self, stream: object) -> None:
        self.stream = stream
        self.buffer = b""

    async def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            data = await self.stream.receive()  # type: ignore[attr-defined]
            if not data:
                raise Gone
            self.buffer += data
        at = self.buffer.index(end) + len(end)
        data, self.buffer = self.buffer[:at], self.buffer[at:]
        return bytes(data)

    async def send(self, data: bytes) -> None:
        await self.stream.send_some(memoryview(data))  # type: ignore[attr-defined]

    async def reply(self) -> bytes:
        reply = b""
        while True:
            line = await self.until(b"\r\n")
            reply += line
            if line[3:4] != b"-":
                return reply


async def _session(client: _Side, server: _Side, defect: Defect) -> None:
    envelope: list[bytes] = []
    try:
        await client.send(await server.reply())
        while True:
            command = await client.until(b"\r\n")
            if command.startswith(b"MAIL"):
                envelope = []
            envelope.append(command)
            await server.send(command)
            reply = await server.reply()
            await client.send(reply)
            if command == b"DATA\r\n" and reply.startswith(b"354"):
                content = await client.until(b"\r\n.\r\n")
                acts = b"<2@" in envelope[0] and defect != "none"
                await _DEFECTS[defect if acts else "none"](client, server, envelope, content)
    except (Gone, OSError, trio.ClosedResourceError):
        pass
    finally:
        for side in (client, server):
            side.stream.close()  # type: ignore[attr-defined]


async def _passes(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    await server.send(content)
    await client.send(await server.reply())


async def _loses(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    server.stream.close()  # type: ignore[attr-defined]
    await client.send(b"250 2.0.0 kept\r\n")


async def _doubles(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    await server.send(content)
    reply = await server.reply()
    for command in envelope:
        await server.send(command)
        await server.reply()
    await server.send(content)
    await server.reply()
    await client.send(reply)


async def _halves(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    await _passes(client, server, envelope, content[: len(content) // 2] + b"\r\n.\r\n")


async def _stalls(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    await server.send(content)
    await server.reply()
    await trio.sleep_forever()


async def _refuses(client: _Side, server: _Side, envelope: list[bytes], content: bytes) -> None:
    await server.send(content)
    await server.reply()
    await client.send(b"451 4.3.0 try again\r\n")


_DEFECTS: Final[dict[Defect, Callable[[_Side, _Side, list[bytes], bytes], object]]] = {
    "none": _passes,
    "loss": _loses,
    "double": _doubles,
    "half": _halves,
    "stall": _stalls,
    "refuses": _refuses,
}
