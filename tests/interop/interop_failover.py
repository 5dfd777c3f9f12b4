"""Servers that are killed and started again, and clients that send each message until it is accepted."""

from __future__ import annotations

import itertools
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import attrs
from interop_daemon import Daemon
from interop_postfix import free_port
from interop_wire import RawClient, dot_stuffed, message

SENDER = "sender@client.test"
RECIPIENT = "box@mx.test"
TAG = re.compile(rb"X-Attempt: (\d+)\.(\d+)\r\n")
MOST_ATTEMPTS = 50
"""Of one message: who is refused so often was not helped by the second server."""

Attempt = tuple[int, int]
"""Number of the message, and how often it was tried before."""


@attrs.define
class Keeper:
    """A server that keeps messages in a directory (`interop_keeper`)."""

    directory: Path
    daemon: Daemon

    @classmethod
    def at(cls, directory: Path) -> Keeper:
        """It is not started yet, so nothing listens at its address."""
        port, kept = free_port(), directory / "kept"
        kept.mkdir(parents=True)
        program = Path(__file__).with_name("interop_keeper.py")
        command = [sys.executable, "-IS", str(program), str(port), str(kept)]
        return cls(kept, Daemon(command, directory / "log", ("127.0.0.1", port)))

    @property
    def address(self) -> str:
        assert not isinstance(self.daemon.address, Path)
        host, port = self.daemon.address
        return f"{host}:{port}"

    @property
    def count(self) -> int:
        """Of the messages that it has kept so far."""
        return len(list(self.directory.glob("*.eml")))

    def contents(self) -> list[bytes]:
        return [file.read_bytes() for file in self.directory.glob("*.eml")]


class Fate(Enum):
    """What a client knows of one attempt."""

    ACCEPTED = "250"
    REFUSED = "421, or lost before the dot"
    IN_DOUBT = "451, or lost after the dot"


FATES = {250: Fate.ACCEPTED, 421: Fate.REFUSED}
"""By the reply to a message. 421 says that the server was lost before it was sent the dot."""


def tagged(number: int, tried: int = 0) -> bytes:
    return b"X-Attempt: %d.%d\r\n" % (number, tried) + message(number, longest_line=200)


def attempts_in(contents: Iterable[bytes]) -> Counter[Attempt]:
    """How often each attempt is there. Each message must be whole."""
    found: Counter[Attempt] = Counter()
    for content in contents:
        tag = TAG.match(content)
        assert tag, f"a foreign message: {content[:200]!r}"
        number, tried = int(tag[1]), int(tag[2])
        assert content == tagged(number, tried)
        found[number, tried] += 1
    return found


@attrs.define
class Client:
    """Sends messages as RFC 5321 §4.5.4.1 wants it: each again until it is told 250."""

    port: int
    is_pipelining: bool = False
    patience: float = 20.0
    """Seconds for one reply."""
    fates: dict[Attempt, Fate] = attrs.field(factory=dict)
    seen: Counter[str] = attrs.field(factory=Counter)
    """What it was told: where, and the reply or that the connection was lost."""
    trouble: str = ""
    """The same of the last attempt; empty if there was none."""
    _connection: RawClient | None = None

    @property
    def is_connected(self) -> bool:
        """True if the next attempt goes over the connection of the last one."""
        return self._connection is not None

    def send(self, number: int, tried: int = 0) -> None:
        while self.attempt(number, tried) is not Fate.ACCEPTED:
            tried += 1
            assert tried < MOST_ATTEMPTS, f"message {number} is refused again and again: {self.seen}"

    def attempt(self, number: int, tried: int = 0) -> Fate:
        fate, where, self.trouble = Fate.REFUSED, "not connected", ""
        try:
            client = self._connected()
            where = "lost before the dot"
            if client is not None and self._envelope(client):
                client.send(dot_stuffed(tagged(number, tried)))
                fate, where = Fate.IN_DOUBT, "lost after the dot"
                client.send(b".\r\n")
                fate = FATES.get(self._code(client, "dot", 250), fate)
        except (EOFError, OSError):
            self._note(where)
        if fate is not Fate.ACCEPTED:
            self._leave()
        self.fates[number, tried] = fate
        return fate

    def quit(self) -> None:
        if self._connection is not None:
            try:
                self._connection.send(b"QUIT\r\n")
                self._takes(self._connection, "QUIT", 221)
            except (EOFError, OSError):
                self._note("lost at QUIT")
            self._leave()

    def _connected(self) -> RawClient | None:
        """None if it is refused."""
        if self._connection is None:
            self._connection = RawClient(self.port, self.patience, greeted=True, greet=False)
            for verb, line in (("greeting", b""), ("EHLO", b"EHLO client.test\r\n")):
                self._connection.send(line)
                if not self._takes(self._connection, verb, 220 if verb == "greeting" else 250):
                    return None
        return self._connection

    def _envelope(self, client: RawClient) -> bool:
        """Returns True after 354. What was sent ahead in a group is read in any case."""
        lines = {
            "MAIL": b"MAIL FROM:<%b>\r\n" % SENDER.encode(),
            "RCPT": b"RCPT TO:<%b>\r\n" % RECIPIENT.encode(),
            "DATA": b"DATA\r\n",
        }
        if self.is_pipelining:
            client.send(b"".join(lines.values()))
        for verb, line in lines.items():
            if not self.is_pipelining:
                client.send(line)
            if not self._takes(client, verb, 354 if verb == "DATA" else 250):
                return False
        return True

    def _takes(self, client: RawClient, what: str, wanted: int) -> bool:
        return self._code(client, what, wanted) == wanted

    def _code(self, client: RawClient, what: str, wanted: int) -> int:
        code = client.reply().code
        if code != wanted:
            self._note(f"{what} {code}")
        return code

    def _note(self, trouble: str) -> None:
        self.seen[trouble] += 1
        self.trouble = trouble

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with connection:
                pass


@attrs.define
class Breaker:
    """Kills servers in turn, each after so many messages that it has kept, and starts it again at once."""

    keepers: Sequence[Keeper]
    every: int
    restarts: int = 0
    _accepted: threading.Event = attrs.field(factory=threading.Event)
    _is_over: bool = False

    def told(self) -> None:
        """A client was told that a message is accepted."""
        self._accepted.set()

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """The servers must be running."""
        with ThreadPoolExecutor(1) as threads:
            broken = threads.submit(self._break)
            try:
                yield
            finally:
                self._is_over = True
                self._accepted.set()
            broken.result(60)

    def _break(self) -> None:
        for keeper in itertools.cycle(self.keepers):
            enough = keeper.count + self.every
            while keeper.count < enough:
                self._accepted.wait()
                self._accepted.clear()
                if self._is_over:
                    return
            keeper.daemon.kill()
            keeper.daemon.start()
            self.restarts += 1


def send_all(clients: Iterable[tuple[Client, Iterable[int]]], session: int, told: Callable[[], None]) -> None:
    """All clients send at the same time, each its messages, so many of them in a session."""

    def send(client: Client, numbers: Iterable[int]) -> None:
        for place, number in enumerate(numbers, 1):
            client.send(number)
            told()
            if place % session == 0:
                client.quit()
        client.quit()

    with ThreadPoolExecutor() as threads:
        for future in [threads.submit(send, client, numbers) for client, numbers in clients]:
            future.result(120)
