"""Ten thousand sessions at the same time: each is served, told when the service stops, and gone then."""

import asyncio
import resource
import signal
from pathlib import Path

import pytest
from interop_proxy import Proxy
from interop_wire import deadline

pytestmark = [pytest.mark.interop, pytest.mark.alone]

SESSIONS = 10_000
SPARE = 200
"""Descriptors that each process needs besides two for a session."""
AT_ONCE = 200
"""Clients that connect at the same time."""
GREETING = b"220 sink.test ESMTP\r\n"
REPLIES = {b"EHLO": b"250 sink.test\r\n", b"QUIT": b"221 bye\r\n"}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(GREETING)
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                verb = b"."
            writer.write(REPLIES.get(verb, b"250 ok\r\n"))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


class Refused(Exception):
    """The proxy has too many sessions."""


class _Client:
    async def connect(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        if await self.reader.readline() != GREETING:
            self.writer.close()
            raise Refused
        await self.says(b"EHLO client.test", b"250 sink.test")

    async def connect_when_there_is_room(self, port: int, room: asyncio.Semaphore) -> None:
        """The proxy may not have seen yet that others have gone."""
        async with room:
            while True:
                try:
                    return await self.connect(port)
                except Refused:
                    await asyncio.sleep(0.05)

    async def says(self, line: bytes, reply: bytes) -> None:
        self.writer.write(line + b"\r\n")
        while (came := await self.reader.readline())[3:4] == b"-":
            pass
        assert came.startswith(reply[:3]), came

    async def delivers(self, number: int) -> None:
        await self.says(b"MAIL FROM:<%d@client.test>" % number, b"250")
        await self.says(b"RCPT TO:<box@interop.test>", b"250")
        await self.says(b"DATA", b"354")
        await self.says(b"Subject: %d\r\n\r\n%s\r\n." % (number, b"x" * 500), b"250")

    async def last_words(self) -> bytes:
        try:
            return await self.reader.read()
        finally:
            self.writer.close()


async def _connected(port: int, count: int) -> list[_Client]:
    clients, room = [_Client() for _ in range(count)], asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(client.connect_when_there_is_room(port, room) for client in clients))
    return clients


def test_ten_thousand_sessions(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sessions = min(SESSIONS, (hard - SPARE) // 2)
    assert sessions >= 1_000, "raise the limit of open files"
    with deadline(300, f"{sessions} sessions"):
        asyncio.run(_sessions(sessions, tmp_path))


async def _sessions(count: int, directory: Path) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    options = ("--max-connections", str(count), "--timeout", "600")
    proxy = await asyncio.to_thread(Proxy.start, port, directory, *options)
    try:
        clients = await _connected(proxy.port, count)
        with pytest.raises(Refused):
            await _Client().connect(proxy.port)
        await asyncio.gather(*(client.delivers(number) for number, client in enumerate(clients)))
        for client in clients[::10]:
            client.writer.close()
        del clients[::10]
        clients += await _connected(proxy.port, count - len(clients))
        proxy.process.send_signal(signal.SIGTERM)
        last = await asyncio.gather(*(client.last_words() for client in clients))
        assert {words[:9] for words in last} == {b"421 4.3.2"}
        assert await asyncio.to_thread(proxy.process.wait, 30) == 0
        assert "Traceback" not in proxy.log()
    finally:
        if proxy.process.poll() is None:
            proxy.process.kill()
        server.close()
