"""What a session weighs, in objects and octets, and who holds it.

The sessions have real sockets, in this process. What the kernel holds for a socket, and what OpenSSL does, is
not seen. As a program, it prints the table of docs/explanation/performance.md.
"""

from __future__ import annotations

import gc
import re
import socket
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Final

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from sansio_smtp.rules import RuleSet
from sansio_smtp.rules.ruleset import Rule
from trio_proxy.driver.reactor import Reactor
from trio_proxy.driver.session import Session, Settings
from trio_proxy.driver.streams import SocketStream, Stream
from trio_proxy.text.logs import configure

__all__ = ["KINDS", "Peers", "Weight", "running", "weighed"]

EHLO = b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 DSN\r\n"
CONTENT = b"Subject: a message\r\n\r\n" + b"a line of it\r\n" * 20
FIRST, MORE = 3, 10
"""Sessions that are opened before those that are weighed: the first hold what all share."""


@attrs.frozen
class Weight:
    """Of one session."""

    objects: Counter[str]
    """Type → how many objects of it there are, as far as the garbage collector knows them."""
    octets: Counter[str]
    """Who holds them → octets."""


@attrs.define
class Peers:
    """The client and the server of one session."""

    client: socket.socket
    server: socket.socket

    async def say(self, who: socket.socket, octets: bytes) -> None:
        who.send(octets)
        await wait_all_tasks_blocked()

    async def greet(self) -> None:
        await self.say(self.server, b"220 mx.example ESMTP\r\n")
        await self.say(self.client, b"EHLO me.example\r\n")
        await self.say(self.server, EHLO)

    async def begin_message(self) -> None:
        await self.greet()
        for command, reply in (
            (b"MAIL FROM:<a@me.example>", b"250 2.1.0 ok"),
            (b"RCPT TO:<b@mx.example>", b"250 2.1.5 ok"),
            (b"DATA", b"354 go on"),
        ):
            await self.say(self.client, command + b"\r\n")
            await self.say(self.server, reply + b"\r\n")
        await self.say(self.client, CONTENT)

    async def pass_message(self) -> None:
        await self.begin_message()
        await self.say(self.client, b".\r\n")
        await self.say(self.server, b"250 2.0.0 kept\r\n")

    async def quit(self) -> None:
        await self.pass_message()
        await self.say(self.client, b"QUIT\r\n")
        await self.say(self.server, b"221 2.0.0 bye\r\n")

    def take_all(self) -> None:
        """Takes what was sent to the client and to the server."""
        for sock in (self.client, self.server):
            assert sock.recv(65_536)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def rcpt(tx: object, to: object) -> None: ...


async def weighed(
    talk: Callable[[Peers], Awaitable[None]], *, reactor: bool = True, rules: bool = False
) -> Weight:
    """What each of some sessions weighs after this talk."""
    async with running(reactor, rules) as start:
        gc.disable()
        was_frozen = gc.get_freeze_count()
        gc.freeze()  # what is there already is not looked at
        try:
            for _ in range(FIRST):
                await talk(start())
            gc.collect()
            before = _objects()
            tracemalloc.start()
            for _ in range(MORE):
                peers = start()
                await talk(peers)
                peers.take_all()
            gc.collect()
            after = _objects()
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
            if not was_frozen:
                gc.unfreeze()
            gc.enable()
    objects = {name: count // MORE for name, count in (after - before).items() if count >= MORE}
    octets: Counter[str] = Counter()
    for statistic in snapshot.statistics("filename"):
        if holder := _holder(statistic.traceback[0].filename):
            octets[holder] += statistic.size
    return Weight(Counter(objects), Counter({name: size // MORE for name, size in octets.items()}))


@asynccontextmanager
async def running(reactor: bool, rules: bool) -> AsyncIterator[Callable[[], Peers]]:
    """A function that starts a session and gives its peers."""
    ours = Reactor() if reactor else None
    ruleset = RuleSet([Rule("rcpt", rcpt, "rcpt")] if rules else [])
    stream: Callable[[socket.socket], SocketStream] = SocketStream if ours is None else ours.stream
    # The peers are made before the sessions are weighed.
    made = [(Peers(client, server), to) for client, server, to in (_pairs() for _ in range(FIRST + MORE))]
    left = iter(made)
    to_servers: list[int] = []
    sessions: list[Session] = []

    async def connect() -> Stream:
        return stream(_socket(to_servers.pop()))

    def connect_now() -> Stream:
        return stream(_socket(to_servers.pop()))

    settings = Settings(
        connect=connect, connect_now=connect_now, reactor=ours, rules=partial(nullcontext[RuleSet], ruleset)
    )

    async with trio.open_nursery() as nursery:

        def start() -> Peers:
            peers, (to_client, to_server) = next(left)
            to_servers.append(to_server)
            session = Session(stream(_socket(to_client)), "192.0.2.1:50000", 1, settings)
            sessions.append(session)
            if not session.begin(nursery, _ended):
                nursery.start_soon(session.run)
            return peers

        if ours is not None:
            await nursery.start(ours.run)
        try:
            yield start
        finally:
            for peers, _ in made:
                peers.close()
            for session in sessions:
                session.drop()
            nursery.cancel_scope.cancel()


def _ended(_: Session) -> None: ...


def _pairs() -> tuple[socket.socket, socket.socket, tuple[int, int]]:
    """A client and a server, and the descriptors of the sockets that a proxy has to them."""
    client, to_client = socket.socketpair()
    server, to_server = socket.socketpair()
    return client, server, (to_client.detach(), to_server.detach())


def _socket(descriptor: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
    sock.setblocking(False)
    return sock


def _objects() -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects())


_HOLDERS: Final = {
    "sockets": r"weighing\.py|[/\\](socket|ssl)\.py",
    "core": r"sansio_smtp[./\\](?!rules)",
    "rules": r"sansio_smtp[./\\]rules|trio_proxy[./\\]rulebook",
    "driver": r"trio_proxy[./\\]",
    "Trio": r"packages[/\\](trio|outcome|sortedcontainers)|methods (trio|outcome)|contextlib",
}


def _holder(filename: str) -> str | None:
    """None for what this module has counted with."""
    return next((name for name, pattern in _HOLDERS.items() if re.search(pattern, filename)), None)


KINDS = {
    "idle": partial(weighed, Peers.greet),
    "idle, after a message": partial(weighed, Peers.pass_message),
    "in a message": partial(weighed, Peers.begin_message),
    "idle, with a rule": partial(weighed, Peers.greet, rules=True),
    "in a message, with a rule": partial(weighed, Peers.begin_message, rules=True),
    "idle, `--io tasks`": partial(weighed, Peers.greet, reactor=False),
}


def main() -> None:
    configure(0)
    names = list(_HOLDERS)
    print("| session | objects |", " | ".join(f"{name}, octets" for name in names), "| together |")
    print("| --- " * (len(names) + 3) + "|")
    for kind, weigh in KINDS.items():
        weight = trio.run(weigh)
        parts = [weight.octets[name] for name in names]
        numbers = [weight.objects.total(), *parts, sum(parts)]
        print(f"| {kind} |", " | ".join(f"{number:,}" for number in numbers), "|")
        if "-v" in sys.argv:
            print("   ", dict(weight.objects.most_common()))


if __name__ == "__main__":
    main()
