"""How the examples reset a connection to which a thread or a task is sending."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from sansio_smtp import SERVER

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def leg() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection to a server, and the server's end of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
        listener.accept()[0] as theirs,
    ):
        theirs.settimeout(5)
        yield ours, theirs


def session_of(kind: str, ours: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    module: Any = __import__(f"{kind}_proxy")
    settings = module.Settings(("", 0), ("", 0), None, None, None, None)
    return module.Session(ours, ours, settings)


def read_to_the_end(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


def test_threads(leg: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that the server has taken is still going on: the server must get RST, with no FIN before it."""
    ours, theirs = leg
    session = session_of("threads", ours, monkeypatch)
    with session.locks[SERVER]:
        session.reset(SERVER)
    ours.close()
    with pytest.raises(ConnectionResetError):
        read_to_the_end(theirs)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(
    leg: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """A send that is stuck ends at once."""
    ours, theirs = leg

    async def run() -> None:
        session = session_of("anyio", ours, monkeypatch)
        session.outboxes[SERVER] += bytes(10_000_000)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.flush, SERVER)
                await anyio.wait_all_tasks_blocked()
                session.reset(SERVER)

    anyio.run(run, backend=backend)
    ours.close()
    with pytest.raises(ConnectionResetError):
        read_to_the_end(theirs)


def test_asyncio(leg: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that is stuck ends at once."""
    ours, theirs = leg

    async def run() -> None:
        session = session_of("asyncio", ours, monkeypatch)
        session.outboxes[SERVER] += bytes(10_000_000)
        flushing = asyncio.create_task(session.flush(SERVER))
        await asyncio.sleep(0)
        session.reset(SERVER)
        await asyncio.wait_for(flushing, 5)

    asyncio.run(run())
    ours.close()
    with pytest.raises(ConnectionResetError):
        read_to_the_end(theirs)
