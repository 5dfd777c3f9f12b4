"""Target: the output of the proxy, read by other servers than ours. A client sends anything; the upstream
server is aiosmtpd, in this process, without a socket. Models of Postfix read the same octets. All must find
the same commands and messages, and each message that was accepted to the client must be there once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any, Final, Protocol

import attrs
from aiosmtpd.smtp import SMTP, Envelope, Session
from properties.receivers import Bdat, Item, Receiver, Replier, StrictReceiver

from sansio_smtp import CLIENT, SERVER, Proxy
from sansio_smtp.config import Dialect, LoginMode, UpstreamTls
from sansio_smtp.events import Connect, Event, SendToServer
from sansio_smtp.testing import Chunker, bytewise, drawn, whole

from .checks import check, replies_of
from .tape import MARK, Tape, scripts, tape_of
from .target import Target
from .world import World

__all__ = [
    "DELIVERY",
    "Aiosmtpd",
    "Delivery",
    "PostfixReceiver",
    "Server",
    "deliver",
    "is_simple",
    "messages_in",
]

_LINE_LIMIT: Final = 2_048
logging.getLogger("mail").setLevel(logging.CRITICAL)  # aiosmtpd says much of what clients do wrong


class PostfixReceiver(Receiver):
    """Reads as Postfix does: a line ends at LF; a record also ends after 2048 octets, without ending the
    line.

    Up to 3.8, and still for trusted clients, every CR before that LF is dropped, so that many lines become a
    single dot (``strict`` is False). Since 3.9 only a dot between two CRLFs ends a message; a single dot on a
    line with another end is dropped (``smtpd_forbid_bare_newline = normalize``).
    """

    def __init__(self, replier: Replier, bdat: Bdat = Bdat.CHUNK, *, strict: bool) -> None:
        super().__init__(replier, bdat)
        self._strict = strict
        self._line = bytearray()
        self._message = bytearray()
        self._goes_on = False  # the record before this one did not end its line
        self._after_crlf = True

    def _octet(self, octet: int) -> None:
        self._line.append(octet)
        if octet == 10:
            line = bytes(self._line[:-1])
            self._line.clear()
            self._record(line, whole=True)
        elif len(self._line) >= _LINE_LIMIT and self.mode == "content":
            line = bytes(self._line)
            self._line.clear()
            self._record(line, whole=False)

    def _record(self, line: bytes, *, whole: bool) -> None:
        by_crlf = line.endswith(b"\r")
        if whole:
            line = (line[:-1] if by_crlf else line) if self._strict else line.rstrip(b"\r")
        if self.mode != "content":
            self._after_crlf = True
            self._line_found("auth line" if self.mode == "auth line" else "command", line)
            return
        goes_on, self._goes_on = self._goes_on, not whole
        after_crlf, self._after_crlf = self._after_crlf, by_crlf
        if not goes_on and line.startswith(b"."):
            if line == b"." and whole:
                if self._strict and not (by_crlf and after_crlf):
                    return
                message = bytes(self._message)
                self._message.clear()
                self._found("message", message)
                return
            line = line[1:]
        self._message += line + (b"\r\n" if whole else b"")


# aiosmtpd without a socket


@attrs.define(eq=False)
class _Handler:
    messages: list[tuple[str, list[str], bytes]] = attrs.field(factory=list[tuple[str, list[str], bytes]])

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content
        assert content is not None
        self.messages.append((str(envelope.mail_from), list(envelope.rcpt_tos), content))
        return "250 2.0.0 kept"


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.out = bytearray()
        self.over = False

    def write(self, data: Any) -> None:
        self.out += data

    def close(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return self.over

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 25) if name == "peername" else default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _LongLines(SMTP):
    line_length_limit = 1_000_000


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


class Aiosmtpd:
    """A server of its own for one connection."""

    def __init__(self) -> None:
        self.handler, self.wire = _Handler(), _Wire()
        loop = _loop()
        asyncio.set_event_loop(loop)
        self._smtp = _LongLines(self.handler, enable_SMTPUTF8=True, hostname="mx.example", loop=loop)
        self._smtp.connection_made(self.wire)
        self._run()

    @property
    def over(self) -> bool:
        return self.wire.over

    @property
    def kept(self) -> list[bytes]:
        return [content for _, _, content in self.handler.messages]

    def receive(self, data: bytes) -> None:
        if not self.wire.over:
            self._smtp.data_received(data)
            self._run()

    def take(self, *, owed: bool) -> bytes:
        out = bytes(self.wire.out)
        self.wire.out.clear()
        return out

    def leave(self) -> None:
        self._smtp.connection_lost(None)
        self._run()

    def _run(self) -> None:
        for _ in range(6):  # it waits for nothing but octets
            _loop().call_soon(_loop().stop)
            _loop().run_forever()


class Server(Protocol):
    """A server with one connection."""

    over: bool
    """True if it has closed the connection."""

    def receive(self, data: bytes) -> None: ...

    def take(self, *, owed: bool) -> bytes:
        """Takes its output. ``owed``: it must send something, so waiting is allowed."""
        ...

    def leave(self) -> None:
        """The connection is closed."""


@attrs.define(eq=False)
class Delivery(World):
    """A world in which the servers answer for themselves."""

    connect: Callable[[], Server]
    servers: list[Server] = attrs.field(factory=list[Server], init=False)

    def begin(self) -> None:
        self.servers.append(self.connect())
        self._listen(owed=True)

    def _listen(self, *, owed: bool) -> bool:
        server = self.servers[-1]
        said = server.take(owed=owed)
        if said:
            self.waiting[SERVER].extend(self.cut(said))
        if server.over and SERVER not in self.ended:
            self.waiting[SERVER].append(None)
            said = said or b"<eof>"
        return bool(said)

    def _pump(self) -> None:
        super()._pump()
        while SERVER not in self.gone | self.ended and self.proxy.awaiting is not None:
            if not self._listen(owed=True):
                break
            super()._pump()

    def _took(self, event: Event) -> None:
        super()._took(event)
        if isinstance(event, SendToServer):
            self.servers[-1].receive(event.data)
        elif isinstance(event, Connect):
            self.begin()


def deliver(
    tape: Tape, cut: Chunker, make: Callable[..., Any] = Proxy, connect: Callable[[], Server] = Aiosmtpd
) -> Delivery:
    """Plays what the client says on a tape, against a server."""
    world = Delivery(tape, cut, make, connect)
    world.begin()
    world._pump()
    try:
        world.play()
        if CLIENT not in world.gone and not world.proxy.closed:
            world.disturbed = True
            world.finish()
    finally:
        for server in world.servers:
            server.leave()
    return world


def is_simple(tape: Tape) -> bool:
    """True if only a client sends octets on it, with settings in which receivers know their meaning."""
    settings = tape.settings
    config = settings.config
    simple = config.client_dialect is Dialect.SMTP and config.upstream_dialect is Dialect.SMTP
    simple &= config.upstream_tls is UpstreamTls.NONE
    simple &= config.login_mode is LoginMode.RELAY and not settings.ask and not settings.whole_only
    return simple and all(record.letter == "c" for record in tape.records)


def _try(data: bytes) -> bool:
    tape = Tape.read(data)
    if not is_simple(tape):
        return False
    tape = attrs.evolve(tape, settings=attrs.evolve(tape.settings, client=None))
    one = deliver(tape, whole)
    other = deliver(tape, drawn(Random(tape.cuts)) if tape.cuts else bytewise)
    for world in (one, other):
        check(world)
        _check_servers(world)
    assert list(map(_kept, one.servers)) == list(map(_kept, other.servers)), (
        "P1: the cuts change what arrives"
    )
    return True


def _check_servers(world: Delivery) -> None:
    accepted = 0
    for number, server in enumerate(world.servers):
        codes = [code for code, _ in replies_of(bytes(world.from_servers[number]))][1:]
        messages = messages_in(bytes(world.to_servers[number]), codes)
        kept = _kept(server)
        taken = [data for data in messages if data in kept]
        assert kept == taken, f"aiosmtpd keeps {kept}, and was sent {messages}"
        accepted += len(kept)
    told = _told_accepted(world)
    assert told <= accepted, f"P8: the client was told that {told} are accepted, and {accepted} are"


def messages_in(octets: bytes, codes: list[int]) -> list[bytes]:
    """The messages in the octets for a server, which all models must find."""
    found = {kind: _read(make, octets, codes) for kind, make in _MODELS.items()}
    for kind, items in found.items():
        assert items == found["strict"], f"{kind} reads {items}, and it is {found['strict']}"
    return [item.data for item in found["strict"] if item.kind == "message"]


def _kept(server: Server) -> list[bytes]:
    assert isinstance(server, Aiosmtpd)
    return server.kept


def _told_accepted(world: Delivery) -> int:
    return sum(b"250 2.0.0 kept" in reply for _, reply in replies_of(bytes(world.to_client)))


def _read(make: Callable[[Replier], Receiver], octets: bytes, codes: list[int]) -> list[Item]:
    left = iter(codes)
    reader = make(lambda _: next(left, 0))
    reader.feed(octets)
    return reader.items


_MODELS: Final[dict[str, Callable[[Replier], Receiver]]] = {
    "strict": lambda replier: StrictReceiver(replier, Bdat.CHUNK),
    "Postfix 3.7": lambda replier: PostfixReceiver(replier, strict=False),
    "Postfix 3.9": lambda replier: PostfixReceiver(replier, strict=True),
}


_ENDS: Final = (
    b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r",
    b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\n",
)  # fmt: skip
"""Octets that some servers have read as end-of-data."""


def _seeds() -> Iterator[bytes]:
    """The octets of the clients in dialogue scripts, with the settings of their script."""
    for script, text in scripts():
        tape = tape_of(script, text)
        said = [record.text for record in Tape.read(tape).records if record.letter == "c"]
        if said and not script.ask:
            yield tape[:3] + b"".join(MARK + b"c" + each for each in said)
    hello = b"\0\0\1" + MARK + b"cEHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" + MARK + b"c"
    evil = b"MAIL FROM:<evil@x>\r\nRCPT TO:<v@x>\r\nDATA\r\nbad\r\n.\r\nQUIT\r\n"
    for end in _ENDS:
        yield hello + b"A: b\r\n\r\nx" + end + evil + b".\r\n" + MARK + b"cQUIT\r\n"


DELIVERY: Final = Target(
    "delivery",
    "what leaves the proxy, read by aiosmtpd and as Postfix reads it: the same messages, each once",
    _try,
    _seeds,
    words=(
        b"EHLO x\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@x>\r\n", b"DATA\r\n", b"RSET\r\n", b"QUIT\r\n",
        b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n", b"\r\r\n", MARK + b"c", *_ENDS,
    ),
)  # fmt: skip
