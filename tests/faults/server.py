"""`Server`: a scripted server that keeps an account of what it has taken, and fails once, in one phase."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from random import Random
from typing import Final

import attrs
import trio

from .account import Account, Taken
from .dialogue import NEXT, REPLIES, A, B, attempt_in, unstuffed
from .lines import Gone, Line
from .ways import TAKES, Way

__all__ = ["Fault", "Server"]

Expected = Callable[[int], bytes]
"""The content that a server has to get of an attempt."""

_FIRST_CONTENT: Final = 20_000
"""Octets of a large message after which a server fails in the middle of the content."""
_PAUSE: Final = 5.0
"""Seconds after a message at which it fails when nothing is in flight."""
_AFTER: Final = ("after", "idle")
_END: Final = b"\r\n.\r\n"


@attrs.define(eq=False)
class Fault:
    """What goes wrong, once: at the first connection, or with one attempt."""

    phase: str
    name: str
    way: Way
    chance: Random
    attempt: int
    is_over: bool = False

    def is_due(self, phase: str, attempt: int | None) -> bool:
        """Returns True if it happens now; from then on it is over."""
        if self.is_over or phase != self.phase or attempt not in (None, self.attempt):
            return False
        self.is_over = True
        return True


@attrs.define(eq=False)
class Server:
    """Serves one connection after the other, or several at once, as a server that takes all mail."""

    name: str
    account: Account
    expected: Expected
    fault: Fault | None = None
    lmtp: bool = False
    tls: ssl.SSLContext | None = None
    mechanism: bytes = b"PLAIN"
    """Of AUTH; it is offered under TLS."""
    chunking: bool = False
    is_sure: bool = True
    """False: its replies may come too late for the proxy, whatever it does."""
    connections: int = attrs.field(default=0, init=False)

    async def serve(self, line: Line) -> None:
        """Returns when the connection is closed."""
        self.connections += 1
        try:
            await _Session(self, line).run()
        except Gone:
            pass
        finally:
            with trio.CancelScope(shield=True):
                await line.close()


class _Session:
    def __init__(self, server: Server, line: Line) -> None:
        self.server = server
        self.line = line
        self.attempt: int | None = None
        self.last = 0
        self.recipients: list[str] = []
        self.chunks = b""
        self.encrypted = False
        self.logged_in = False
        self.promised: str | None = None
        """The phase whose reply was sent already."""

    async def run(self) -> None:
        if self._due("connect"):
            await self._fail(b"")
        await self._reply("greeting")
        while True:
            command = await self.line.line()
            verb = command[:4].upper()
            step = _STEPS.get(verb)
            if step is None:
                await self.line.send(b"500 5.5.2 unknown\r\n")
            else:
                await step(self, command)
            if verb == b"QUIT":
                return

    # Steps

    async def _ehlo(self, command: bytes) -> None:
        self._forget()
        words = [b"mx.example", b"8BITMIME", b"SIZE 10000000", b"ENHANCEDSTATUSCODES"]
        words += [b"PIPELINING"] + [b"CHUNKING"] * self.server.chunking
        if self.server.tls is not None:
            words.append(b"AUTH " + self.server.mechanism if self.encrypted else b"STARTTLS")
        lines = [b"250-%b\r\n" % word for word in words[:-1]] + [b"250 %b\r\n" % words[-1]]
        await self._reply("ehlo", b"".join(lines))

    async def _starttls(self, command: bytes) -> None:
        if self.server.tls is None or self.encrypted:
            await self.line.send(b"503 5.5.1 no\r\n")
            return
        if not await self._reply("starttls"):
            return
        if self._due("handshake"):
            await self._fail(b"")
        await self.line.encrypt(self.server.tls, server_side=True)
        self.encrypted = True

    async def _auth(self, command: bytes) -> None:
        self.logged_in = await self._reply("auth")

    async def _mail(self, command: bytes) -> None:
        self._forget()
        if self.server.tls is not None and not self.logged_in:
            await self.line.send(b"530 5.7.0 log in first\r\n")
            return
        self.attempt = attempt_in(command)
        if not await self._reply("mail"):
            self.attempt = None

    async def _rcpt(self, command: bytes) -> None:
        recipient = A if A.encode() in command else B
        # The fault is in the first one; the second is accepted as always.
        if await self._reply("rcpt" if recipient == A else "rcpt b", REPLIES["rcpt"]):
            self.recipients.append(recipient)

    async def _data(self, command: bytes) -> None:
        if self.attempt is None or not self.recipients:
            await self.line.send(b"503 5.5.1 no recipients\r\n")
            return
        if not await self._reply("data"):
            return
        if self._due("content"):
            await self.line.at_least(_FIRST_CONTENT)
            if not self._is_slow():  # it has had enough, and said so
                await self._fail(REPLIES["content"])
                await self.line.until(_END)
                self._forget()
                return
            await self._fail(b"")
        data = (await self.line.until(_END))[:-3]
        await self._finish("dot", unstuffed(data))

    async def _bdat(self, command: bytes) -> None:
        words = command.split()
        octets = await self.line.exactly(int(words[1]))
        if self.attempt is None or not self.recipients:
            await self.line.send(b"503 5.5.1 no recipients\r\n")
            return
        self.chunks += octets
        if len(words) > 2:
            await self._finish("last", self.chunks)
        elif not await self._reply("bdat"):
            self._forget()

    async def _rset(self, command: bytes) -> None:
        self._forget()
        await self._reply("rset")

    async def _noop(self, command: bytes) -> None:
        await self._reply("noop")

    async def _quit(self, command: bytes) -> None:
        await self._reply("quit")

    # The end of a message

    async def _finish(self, phase: str, content: bytes) -> None:
        """Takes the message, and says so: to a client of LMTP for each recipient."""
        attempt, recipients = self.attempt, self.recipients
        assert attempt is not None
        fault = self.server.fault
        fails = self._due(phase)
        takes, sure = TAKES[fault.name] if fails and fault is not None else (True, True)
        if (
            fault is not None
            and fault.attempt == attempt
            and (fault.phase in (*_AFTER, "content", "data") or fault.name == "early")
        ):
            sure = False  # its reply may be lost, or stand among others, or have come before the message
        sure = sure and self.server.is_sure
        groups = [[each] for each in recipients] if self.server.lmtp else [recipients]
        for place, group in enumerate(groups):
            if takes or place:
                self._take(attempt, group, content, sure)
        self._forget()
        self.last = attempt
        for place in range(len(groups)):
            if fails and not place:
                await self._fail(REPLIES[phase])
            elif self.promised == phase:
                self.promised = None
            else:
                await self.line.send(REPLIES[phase])
        await self._say_early(phase)
        if self._due("after", attempt):
            await self._fail(b"")
        if self._due("idle", attempt):
            await trio.sleep(_PAUSE)
            await self._fail(b"")

    def _take(self, attempt: int, recipients: list[str], content: bytes, sure: bool) -> None:
        is_whole = content == self.server.expected(attempt) and attempt_in(content) == attempt
        for each in recipients:
            self.server.account.take(Taken((attempt, each), self.server.name, is_whole, sure))

    # Faults

    async def _reply(self, phase: str, right: bytes | None = None) -> bool:
        """Says what is right, or fails. Returns True if the client was told, or will be, that all is well."""
        right = REPLIES[phase] if right is None else right
        if self._due(phase):
            await self._fail(right)
            assert self.server.fault is not None
            return TAKES[self.server.fault.name][0]
        if self.promised == phase:
            self.promised = None
        else:
            await self.line.send(right)
        await self._say_early(phase)
        return True

    async def _say_early(self, phase: str) -> None:
        following = NEXT.get(phase)
        fault = self.server.fault
        if fault is None or fault.name != "early" or following is None:
            return
        if self._due(following):
            self.promised = following
            await self.line.send(REPLIES[following] if following != "ehlo" else b"250 mx.example\r\n")

    async def _fail(self, right: bytes) -> None:
        fault = self.server.fault
        assert fault is not None
        await fault.way(self.line, right, fault.chance)

    def _is_slow(self) -> bool:
        return self.server.fault is not None and self.server.fault.name in ("slow", "late")

    def _due(self, phase: str, attempt: int | None = None) -> bool:
        fault = self.server.fault
        if fault is None:
            return False
        if attempt is None:
            attempt = self.attempt or (self.last if phase == "rset" else None)
        return fault.is_due(phase, attempt or None)

    def _forget(self) -> None:
        self.attempt, self.recipients, self.chunks = None, [], b""


_STEPS: Final = {
    b"EHLO": _Session._ehlo,
    b"LHLO": _Session._ehlo,
    b"HELO": _Session._ehlo,
    b"STAR": _Session._starttls,
    b"AUTH": _Session._auth,
    b"MAIL": _Session._mail,
    b"RCPT": _Session._rcpt,
    b"DATA": _Session._data,
    b"BDAT": _Session._bdat,
    b"RSET": _Session._rset,
    b"NOOP": _Session._noop,
    b"QUIT": _Session._quit,
}
