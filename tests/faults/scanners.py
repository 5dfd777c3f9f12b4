"""Services that ready rules ask, as far as they must be there: Rspamd, clamd, Redis. They fail once."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from sansio_smtp.rules import RuleSet
from trio_proxy.rulebook.load import LoadedRules, load
from trio_proxy.settings.tables import RuleTable

from .lines import Gone, Line, over_tcp
from .server import Fault

__all__ = ["SCANNER_PHASES", "SCANNER_WAYS", "Scanner", "scanning"]

SCANNER_PHASES: Final = ("connect", "request", "reply")
SCANNER_WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "connect": ("refuse", "hang", "reset", "close", "half-close", "slow", "garbage"),
    "request": ("hang", "deaf", "reset", "close", "half-close", "slow", "garbage", "early"),
    "reply": (
        *("hang", "deaf", "reset", "close", "half-close", "cut", "slow", "late", "octets", "drip", "garbage"),
        *("garbage-first", "endless", "wrong", "twice", "reply-reset", "reply-close"),
    ),
}
"""Phase → ways of `SERVER_WAYS` that a service has in it."""
_FIRST_REQUEST: Final = 40
"""Octets of a request after which it fails in the middle of one."""
_HELLO: Final = b"%3\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"


def _json(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(text),
        text,
    )


@attrs.define(eq=False)
class Scanner:
    """One service. It fails at its first connection, or from `arm` on."""

    kind: str
    fault: Fault | None
    is_armed: bool = False
    sock: socket.socket | None = None

    def arm(self) -> None:
        """The message comes with which it fails."""
        self.is_armed = True

    def open(self) -> None:
        """It can be connected from now on, if it could not be before."""
        if self.sock is not None:
            self.sock.listen(16)

    async def serve(self, line: Line) -> None:
        try:
            if self._is_due("connect"):
                await self._fail(line, b"")
            while True:
                await _SERVICES[self.kind](self, line)
        except Gone:
            pass
        finally:
            with trio.CancelScope(shield=True):
                await line.close()

    async def begin_request(self, line: Line) -> None:
        await line.at_least(1)
        if self.is_armed and self._is_due("request"):
            await line.at_least(_FIRST_REQUEST)
            await self._fail(line, b"")

    async def reply(self, line: Line, right: bytes, wrong: bytes) -> None:
        if self.is_armed and self._is_due("reply"):
            assert self.fault is not None
            await (line.send(wrong) if self.fault.name == "wrong" else self._fail(line, right))
        else:
            await line.send(right)

    def _is_due(self, phase: str) -> bool:
        return self.fault is not None and self.fault.is_due(phase, None)

    async def _fail(self, line: Line, right: bytes) -> None:
        assert self.fault is not None
        await self.fault.way(line, right, self.fault.chance)


async def _rspamd(self: Scanner, line: Line) -> None:
    await self.begin_request(line)
    head = await line.until(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    size = next(int(each.split(b":")[1]) for each in fields if each.startswith(b"content-length"))
    await line.exactly(size)
    await self.reply(line, _json(b'{"action": "no action"}'), _json(b'{"action": "reject"}'))


async def _clamd(self: Scanner, line: Line) -> None:
    await self.begin_request(line)
    await line.until(b"zINSTREAM\0")
    while size := int.from_bytes(await line.exactly(4), "big"):
        await line.exactly(size)
    await self.reply(line, b"stream: OK\0", b"stream: Eicar FOUND\0")


async def _redis(self: Scanner, line: Line) -> None:
    await self.begin_request(line)
    words = [
        (await line.exactly(int((await line.line())[1:]) + 2))[:-2]
        for _ in range(int((await line.line())[1:]))
    ]
    if words[0] == b"HELLO":
        await line.send(_HELLO)
    elif words[0] == b"SCRIPT":
        await line.send(b"$40\r\n%b\r\n" % hashlib.sha1(words[2]).hexdigest().encode())
    elif words[0].startswith(b"EVAL"):
        await self.reply(line, b":0\r\n", b":20\r\n")
    else:
        await line.send(b"+OK\r\n")


_SERVICES: Final = {"rspamd": _rspamd, "clamd": _clamd, "redis": _redis}
_SETTINGS: Final[Mapping[str, tuple[str, Callable[[int], dict[str, object]]]]] = {
    "rspamd": ("rspamd", lambda port: {"url": f"http://127.0.0.1:{port}", "timeout": "30s"}),
    "clamd": ("clamd", lambda port: {"address": f"127.0.0.1:{port}", "timeout": "30s"}),
    "redis": (
        "shared_rate_limit",
        lambda port: {
            "url": f"redis://127.0.0.1:{port}/0",
            "messages": {"minute": 100},
            "on_down": "defer",
            "timeout": "30s",
        },
    ),
}


@asynccontextmanager
async def scanning(kind: str, fault: Fault | None) -> AsyncGenerator[tuple[RuleSet, Scanner]]:
    """Gives the ready rules that ask a service of this kind, which runs as long."""
    scanner = Scanner(kind, fault)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        scanner.sock = sock
        if fault is None or fault.name != "refuse":
            scanner.open()
        else:
            fault.is_over = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_accept, sock, scanner)
            name, settings = _SETTINGS[kind]
            table = RuleTable(settings(sock.getsockname()[1]), {}, "settings")
            loaded: LoadedRules = load([f"ready:{name}"], {name: table})
            async with _entered(loaded):
                yield loaded.ruleset, scanner
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _entered(loaded: LoadedRules) -> AsyncGenerator[None]:
    if not loaded.objects:
        yield
        return
    async with loaded.objects[0].running():
        yield


async def _accept(sock: socket.socket, scanner: Scanner) -> None:
    listener = trio.socket.from_stdlib_socket(sock)
    async with trio.open_nursery() as nursery:
        while True:
            try:
                connection, _ = await listener.accept()
            except OSError:  # it does not listen yet
                await trio.sleep(1)
            else:
                nursery.start_soon(scanner.serve, over_tcp(trio.SocketStream(connection)))
