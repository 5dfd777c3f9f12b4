"""`Client`: a scripted client that sends numbered messages, fails once, and notes what it was told."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from .account import CLOSED, STALLED, Account, Entry
from .dialogue import A, B, chunks_of, sender_of, stuffed
from .lines import Gone, Line
from .server import Fault

__all__ = ["PATIENCE", "Client"]

PATIENCE: Final = 1_000.0
"""Seconds for one reply: more than all time limits of the proxy that may pass one after the other."""
_PAUSE: Final = 10.0
"""Seconds between two messages, if something is to happen then."""
_HELLO: Final = {False: b"EHLO me.example\r\n", True: b"LHLO me.example\r\n"}
_HEADER: Final = b"PROXY TCP4 192.0.2.9 192.0.2.1 4711 465\r\n"
_AUTH: Final = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"


class _Stalled(Exception):
    """Nothing has come for longer than `PATIENCE`."""


class _Over(Exception):
    """This message will not be sent, and the client was told why: see its code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@attrs.define(eq=False)
class Client:
    """One connection after the other, with as many messages in each as come to pass."""

    dial: Callable[[], Awaitable[Line]]
    account: Account
    content: Callable[[int], bytes]
    fault: Fault | None = None
    at_phase: Callable[[str, int | None], Awaitable[None]] | None = None
    """Called before each step, with its phase and the attempt: for what happens to the machine then."""
    lmtp: bool = False
    tls: ssl.SSLContext | None = None
    smtps: bool = False
    """TLS is spoken from the first octet, after a PROXY header."""
    logs_in: bool = False
    chunks: bool = False
    pipelined: bool = False
    nonsense: list[bytes] = attrs.field(factory=list[bytes], init=False)
    """Lines from the proxy that are no replies."""
    _line: Line | None = attrs.field(default=None, init=False)
    _is_sent: bool = attrs.field(default=False, init=False)
    """True if the content was sent before the reply to DATA."""
    _owed: deque[bool] = attrs.field(factory=deque[bool], init=False)
    """The replies that are due, in their order: True for one to a step, False for one to garbage."""

    async def send(self, attempt: int) -> bool:
        """Sends a message, over a new connection if there is none. Returns True if it was accepted for all
        recipients."""
        entries = [(attempt, each) for each in (A, B)]
        accepted = False
        try:
            await self._begin()
            accepted = await self._message(attempt)
        except _Over as over:
            self.account.tell(entries, over.code)
            await self._begin_anew(attempt)
        except Gone:
            self.account.tell(entries, CLOSED)
            await self.leave()
        except _Stalled:
            self.account.tell(entries, STALLED)
            await self.leave()
        return accepted

    async def reset(self, attempt: int) -> None:
        """RSET, and a pause: what comes after this attempt, and before the next one."""
        if self._line is None:
            return
        try:
            await self._at("idle", attempt)  # the server may fail before it takes RSET
            if await self._step("rset", b"RSET\r\n", attempt) != 250:
                await self.leave()
                return
            if await self._fails("idle", attempt, b""):
                await trio.lowlevel.checkpoint()
            await trio.sleep(_PAUSE)
        except (Gone, _Stalled):
            await self.leave()

    async def quit(self) -> None:
        if self._line is not None:
            try:
                await self._step("quit", b"QUIT\r\n", None)
                await self._line.until_gone()
            except (Gone, _Stalled):
                pass
        await self.leave()

    async def leave(self) -> None:
        line, self._line, self._is_sent = self._line, None, False
        self._owed.clear()
        if line is not None:
            await line.close()

    # The beginning of a connection

    async def _begin(self) -> None:
        """Raises `_Over` if the proxy does not serve."""
        if self._line is not None:
            return
        await self._at("connect")
        self._line = await self.dial()
        await self._fails("connect", None, b"")
        if self.smtps and self.tls is not None:
            await self._at("header")
            if not await self._fails("header", None, _HEADER):
                await self._put(_HEADER)
            await self._shake_hands(self.tls)
        await self._at("greeting")
        await self._fails("greeting", None, b"")
        await self._must(await self._reply(), 220)
        await self._must(await self._step("ehlo", _HELLO[self.lmtp], None), 250)
        if self.tls is not None and not self.smtps:
            await self._must(await self._step("starttls", b"STARTTLS\r\n", None), 220)
            await self._shake_hands(self.tls)
            await self._must(await self._step("ehlo again", _HELLO[self.lmtp], None), 250)
        if self.logs_in:
            await self._must(await self._step("auth", _AUTH, None), 235)

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        assert self._line is not None
        await self._at("handshake")
        await self._fails("handshake", None, b"")
        with trio.move_on_after(PATIENCE) as scope:
            await self._line.encrypt(context, server_side=False)
        if scope.cancelled_caught:
            raise _Stalled

    async def _must(self, code: int, wanted: int) -> None:
        if code != wanted:
            await self.leave()
            raise _Over(code if code >= 400 else CLOSED)

    # A message

    async def _message(self, attempt: int) -> bool:
        content = self.content(attempt)
        envelope = [
            ("mail", b"MAIL FROM:<%b>\r\n" % sender_of(attempt).encode()),
            ("rcpt", b"RCPT TO:<%b>\r\n" % A.encode()),
            ("rcpt b", b"RCPT TO:<%b>\r\n" % B.encode()),
        ]
        steps = envelope if self.chunks else [*envelope, ("data", b"DATA\r\n")]
        codes = await self._steps(steps, attempt)
        takers: list[Entry] = []
        for (phase, _), code in zip(steps, codes, strict=True):
            if phase == "mail" and code != 250:
                raise _Over(_refusal(code))
            if phase.startswith("rcpt"):
                entry = (attempt, A if phase == "rcpt" else B)
                if code == 250:
                    takers.append(entry)
                else:
                    self.account.tell([entry], _refusal(code))
            if phase == "data" and code != 354:
                if self._is_sent:  # what it has sent too early are commands now
                    await self.leave()
                raise _Over(_refusal(code))
        if not takers and "data" not in dict(steps):
            raise _Over(_refusal(codes[-1]))
        finals = (
            await self._chunked(content, attempt) if self.chunks else await self._dotted(content, attempt)
        )
        finals += [await self._reply() for _ in takers[1:]] if self.lmtp else finals * len(takers[1:])
        for entry, code in zip(takers, finals, strict=True):
            self.account.tell([entry], code)
        if any(code == 421 for code in finals):
            await self.leave()
            return False
        await self._at("after", attempt)
        await self._fails("after", attempt, b"")
        return len(takers) == 2 and all(code == 250 for code in finals)

    async def _steps(self, steps: list[tuple[str, bytes]], attempt: int) -> list[int]:
        """The codes of their replies. Stops at the first that ends the message, unless they go out in one
        group."""
        if self.pipelined:
            for phase, octets in steps:
                await self._send(phase, octets, attempt)
            return [await self._reply() for _ in steps]
        codes: list[int] = []
        ahead = False
        for place, (phase, octets) in enumerate(steps):
            if not ahead:
                await self._send(phase, octets, attempt)
            ahead = self._is_early(phase, attempt)
            if ahead and phase == "data":
                await self._put(stuffed(self.content(attempt)) + b".\r\n")
                self._is_sent = True
            elif ahead:
                await self._send(*steps[place + 1], attempt)
            codes.append(await self._reply())
            if codes[-1] == 421 or (phase == "mail" and codes[-1] != 250 and not ahead):
                raise _Over(_refusal(codes[-1]))
            if phase == "rcpt b" and not ahead and 250 not in codes[1:]:
                raise _Over(_refusal(codes[-1]))
        return codes

    async def _dotted(self, content: bytes, attempt: int) -> list[int]:
        if self._is_sent:
            self._is_sent = False
            self._owed.append(True)
            return [await self._reply()]
        data = stuffed(content)
        half = len(data) // 2
        await self._put(data[:half])
        await self._at("content", attempt)
        if not await self._fails("content", attempt, data[half:]):
            await self._put(data[half:])
        return [await self._step("dot", b".\r\n", attempt)]

    async def _chunked(self, content: bytes, attempt: int) -> list[int]:
        first, last = chunks_of(content)
        chunk = b"BDAT %d\r\n%b" % (len(first), first)
        code = await self._step("bdat", chunk, attempt)
        if code != 250:
            raise _Over(_refusal(code))
        return [await self._step("last", b"BDAT %d LAST\r\n%b" % (len(last), last), attempt)]

    async def _begin_anew(self, attempt: int) -> None:
        """After a refusal: RSET, on a connection that was not closed."""
        if self._line is None:
            return
        try:
            if await self._step("noop", b"RSET\r\n", attempt) != 250:
                await self.leave()
        except (Gone, _Stalled):
            await self.leave()

    # One step

    async def _step(self, phase: str, octets: bytes, attempt: int | None) -> int:
        await self._send(phase, octets, attempt)
        return await self._reply()

    async def _send(self, phase: str, octets: bytes, attempt: int | None) -> None:
        await self._at(phase, attempt)
        self._owed.append(True)
        if not await self._fails(phase, attempt, octets):
            await self._put(octets)

    async def _at(self, phase: str, attempt: int | None = None) -> None:
        if self.at_phase is not None:
            await self.at_phase(phase, attempt)

    def _is_early(self, phase: str, attempt: int | None) -> bool:
        """Returns True if the next step does not wait for the reply to this one."""
        fault = self.fault
        if fault is None or fault.name != "early" or (phase, attempt) != (fault.phase, fault.attempt):
            return False
        fault.is_over = True
        return True

    async def _fails(self, phase: str, attempt: int | None, right: bytes) -> bool:
        """Returns True if the client has done something else than what is right."""
        fault = self.fault
        assert self._line is not None
        if fault is None or fault.name == "early" or not fault.is_due(phase, attempt):
            return False
        with trio.move_on_after(PATIENCE) as scope:
            if fault.name == "garbage":
                self._owed.insert(max(0, len(self._owed) - 1), False)
            await fault.way(self._line, right, fault.chance)
        if scope.cancelled_caught:
            raise _Stalled
        return True

    async def _put(self, octets: bytes) -> None:
        assert self._line is not None
        with trio.move_on_after(PATIENCE) as scope:
            await self._line.send(octets)
        if scope.cancelled_caught:
            raise _Stalled

    async def _reply(self) -> int:
        while self._owed and not self._owed.popleft():
            code = await self._one_reply()
            if code == 421:
                return code
        return await self._one_reply()

    async def _one_reply(self) -> int:
        assert self._line is not None
        with trio.move_on_after(PATIENCE) as scope:
            while True:
                line = await self._line.line()
                if not (line[:3].isdigit() and line[3:4] in (b" ", b"-", b"")):
                    self.nonsense.append(line)
                    raise Gone
                if line[3:4] != b"-":
                    return int(line[:3])
        assert scope.cancelled_caught
        raise _Stalled


def _refusal(code: int) -> int:
    """The code of a reply that ends a message: what is no refusal says nothing of it."""
    return code if code >= 400 else CLOSED
