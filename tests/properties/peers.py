"""A simulated client and a simulated server, in memory. Each is a function of the octets that it has
received so far and of nothing else: no clock, no cut, no turn can change what it says.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Final

import attrs

from .receivers import Bdat, Item, StrictReceiver, replies_in

REPLIES_OF_ONE: Final = 1000
"""How many numbers a server has for its replies: those of the next one begin after them."""

_GOING: Final = b"421 going away\r\n"


class Style(Enum):
    """How a client sends."""

    LOCKSTEP = "each command waits for the reply before it"
    GROUPS = "command groups (RFC 2920), mail data and the next group together"
    EAGER = "everything at once, waiting for nothing, not even for the greeting"


@attrs.frozen
class Unit:
    """One line of a client (with its line end), and what it sends when told to go on."""

    line: bytes
    group: bool = False  # more may follow it without waiting
    content: bytes | None = None  # wire form with end-of-data, sent on 3xx to DATA
    responses: tuple[bytes, ...] = ()  # AUTH lines for each 3xx; then "*"


class SimClient:
    """Says its units in its style. ``done``: it has got every reply that it waits for."""

    def __init__(self, units: list[Unit], style: Style) -> None:
        self.sent = bytearray()  # all that it ever said
        self.pending = bytearray()  # of this, what has not yet arrived
        self.received = bytearray()
        self.done = False
        self.replies: list[bytes] = []
        self.codes: list[int] = []
        self._unread = b""  # of ``received``: what is no whole reply yet
        if style is Style.EAGER:
            for unit in units:
                self._say(unit.line + (unit.content or b"") + b"".join(unit.responses))
        self._program = self._run(units, style)
        next(self._program)

    def receive(self, data: bytes) -> None:
        self.received += data
        self._unread += data
        for reply in replies_in(self._unread):
            self._unread = self._unread[len(reply) :]
            self.replies.append(reply)
            self.codes.append(int(reply[:3]))
            try:
                self._program.send(self.codes[-1])
            except StopIteration:
                self.done = True

    def _say(self, data: bytes) -> None:
        self.sent += data
        self.pending += data

    def _run(self, units: list[Unit], style: Style) -> Generator[None, int, None]:
        code = yield
        if style is Style.EAGER or not 200 <= code <= 299:
            while True:
                yield
        owed = 0
        for unit in units:
            self._say(unit.line)
            owed += 1
            if style is Style.GROUPS and unit.group:
                continue
            while owed:
                code = yield
                owed -= 1
            for response in unit.responses:
                if 300 <= code <= 399:
                    self._say(response)
                    code = yield
            while unit.responses and 300 <= code <= 399:
                self._say(b"*\r\n")
                code = yield
            if unit.content is not None and 300 <= code <= 399:
                self._say(unit.content)
                owed = 1
            if style is Style.LOCKSTEP:
                while owed:
                    code = yield
                    owed -= 1
            if unit.line[:4].upper() == b"QUIT" and code == 221:
                break
        while owed:
            yield
            owed -= 1


class SimServer:
    """Answers what the strict receiver finds. ``choices`` are drawn numbers, one for each reply; when
    they are used up it says yes to everything. Replies are tagged with their number, counted from ``first``.

    ======  ==================================================================
    choice  reply
    ======  ==================================================================
    0       yes
    1 to 8  other replies, mostly refusals: see `_code`
    9       421, and the connection is closed
    10      the connection is closed without a reply
    11      as 0, and the connection is closed after the reply
    12      as 0, and 421 follows that nothing asked for
    ======  ==================================================================

    It is honest: a command out of order gets 503, whatever was drawn (RFC 5321 §4.1.4). If ``greeting`` is
    None, it closes the connection at once.
    """

    def __init__(
        self,
        choices: list[int],
        *,
        pipelining: bool = True,
        greeting: bytes | None = b"",
        first: int = 0,
        chunking: bool = False,
    ) -> None:
        self.first = first
        self.received = bytearray()
        self.pending = bytearray(b"" if greeting is None else greeting or b"220 mx.example ESMTP\r\n")
        self.bdat = Bdat.CHUNK if chunking else Bdat.LINE
        """What BDAT is to it. It offers CHUNKING and BINARYMIME if it counts the octets."""
        self.receiver = StrictReceiver(self._reply, self.bdat)
        self.codes: list[int] = []
        self.replies: list[bytes] = []
        self.misplaced: list[int] = []
        """The numbers of the replies to what came out of order."""
        self.closed = not self.pending.startswith(b"220")
        self.spoke_unasked = False
        """True if it has said something else than its replies, which may pass for one."""
        self._greeted = False  # EHLO or HELO was accepted
        self._envelope = 0  # MAIL and RCPT that were accepted
        self._choices = choices
        self._pipelining = pipelining

    def receive(self, data: bytes) -> None:
        self.received += data
        for octet in data:
            if not self.closed:
                self.receiver.feed(bytes((octet,)))

    @property
    def may_get_more(self) -> bool:
        """Returns True if a line may be sent after the last one before its reply has been read."""
        last = self.receiver.items[-1] if self.receiver.items else None
        if last is None or not self._pipelining:
            return False
        return last.kind in ("message", "chunk") or last.data[:4].upper() in (b"MAIL", b"RCPT", b"RSET")

    @property
    def owes(self) -> bool:
        """Returns True if a reply to something has not been read yet."""
        return bool(self.pending) and not _GOING.endswith(self.pending)

    def _reply(self, item: Item) -> int:
        number = len(self.codes)
        choice = self._choices[number] if number < len(self._choices) else 0
        code = 421 if choice == 9 else self._code(item, choice)
        if choice != 9 and not self._in_order(item, choice):
            code = 503
            self.misplaced.append(self.first + number)
        self.codes.append(code)
        self.closed = code in (421, 221) or choice in (10, 11, 12)
        self._follow(item, code)
        tag = b"srv%d" % (self.first + number)
        if item.kind == "command" and item.data[:4].upper() == b"EHLO" and code == 250:
            offered = [b"SIZE", b"8BITMIME", b"STARTTLS", b"AUTH PLAIN LOGIN"]
            offered += [b"CHUNKING", b"BINARYMIME"] if self.bdat is Bdat.CHUNK else []
            lines = [tag, *offered, *([b"PIPELINING"] if self._pipelining else [])]
        else:
            lines = [tag, b"more"] if choice == 4 else [tag]
        reply = b"".join(b"%d-%s\r\n" % (code, line) for line in lines[:-1])
        reply += b"%d %s\r\n" % (code, lines[-1])
        self.replies.append(reply)
        if choice == 10:
            return 0  # it has gone without a word
        self.pending += reply
        if choice == 12 and code not in (221, 421):
            self.pending += _GOING
        return code

    def _follow(self, item: Item, code: int) -> None:
        verb = _verb(item)
        refused_chunk = item.kind == "chunk" and code >= 400
        if item.kind == "message" or refused_chunk or (verb in (b"RSET", b"EHLO", b"HELO") and code < 300):
            self._envelope = 0
            self._greeted |= verb != b"RSET" and item.kind == "command"
        elif verb in (b"MAIL", b"RCPT") and code < 300:
            self._envelope += 1

    def _in_order(self, item: Item, choice: int) -> bool:
        """Returns False for what real servers answer 503. One that draws 2 takes a message to nobody."""
        verb = _verb(item)
        if verb == b"MAIL":
            return self._greeted and not self._envelope
        if verb == b"RCPT":
            return bool(self._envelope)
        if item.in_chunks:
            return self._envelope > 1
        return verb != b"DATA" or self._envelope > 1 or choice == 2

    def _code(self, item: Item, choice: int) -> int:
        verb = _verb(item)
        if verb == b"DATA":
            return {5: 250, 6: 451, 7: 554, 8: 503}.get(choice, 354)
        if verb == b"AUTH" or item.kind == "auth line":
            return {0: 235, 1: 334, 2: 334, 6: 454, 7: 535, 8: 504}.get(choice, 235)
        if verb == b"QUIT":
            return {6: 451, 7: 503}.get(choice, 221)
        return {3: 251, 6: 451, 7: 550, 8: 503}.get(choice, 250)


def _verb(item: Item) -> bytes:
    return item.data[:4].upper() if item.kind == "command" else b""
