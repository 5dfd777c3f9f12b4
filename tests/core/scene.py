"""A dialogue at the point where a test begins, and a short spelling of what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from typing import Any

from twins import Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    BodyChunk,
    BodyComplete,
    ClientChanged,
    ClientInfo,
    Close,
    CommandRefused,
    Config,
    Connect,
    Continue,
    Event,
    MessageAnswered,
    Received,
    Release,
    SendToClient,
    SendToServer,
    ServerUnusable,
    Side,
    StartTLS,
    TlsInfo,
    Violation,
)
from sansio_smtp.proxy.message_store import Room, Spool

PIPELINING = ("250-mx", "250 PIPELINING")
PLAIN = ("250 mx",)
TLS = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified=True, subject="CN=peer")


def spell(events: Iterable[Event]) -> list[str]:
    """Each event in one line; what goes out with ``|`` for a CRLF in it. AwaitReply is left out."""
    return [_spell(event) for event in events if not isinstance(event, AwaitReply)]


def _spell(event: Event) -> str:
    match event:
        case SendToClient() | SendToServer():
            side = "C" if isinstance(event, SendToClient) else "S"
            return f"{side}: " + event.data.decode("latin-1").removesuffix("\r\n").replace("\r\n", "|")
        case BodyComplete():
            words = ["complete", str(event.size), *(["edited"] if event.edited else []), *event.broken]
            return " ".join(words)
        case BodyChunk():
            return f"chunk {event.data!r}"
        case MessageAnswered():
            return f"answered {event.reply.code}"
        case CommandRefused():
            return f"refused {event.command.verb.decode()} {event.reply.code}"
        case Ask():
            return f"? {type(event.question).__name__}"
        case Received():
            return f"received {event.side!r} {event.shown.decode('latin-1')}"
        case Violation():
            return f"violation {event.side!r}"
        case Close():
            return f"{'abort' if event.abort else 'close'} {event.side.name[0]}"
        case Release():
            return f"release {event.side.name[0]}"
        case Connect():
            return f"connect {event.upstream or 'home'}"
        case StartTLS():
            return f"tls {event.side.name[0]}"
        case ClientChanged():
            return f"client {event.client.address}"
        case ServerUnusable():
            return f"unusable: {event.why}"
    raise AssertionError(event)


def lines(*text: str) -> bytes:
    return b"".join(line.encode("latin-1") + b"\r\n" for line in text)


class Scene:
    """A proxy, with the lane and without it, spoken to in lines; every step gives the spelling of its
    events."""

    def __init__(
        self,
        *ask: str,
        config: Config | None = None,
        make_spool: Callable[[], Spool] | None = None,
        client: ClientInfo | None = None,
        room: Room | None = None,
    ) -> None:
        self.proxy: Any = Twins(config, ask, make_spool, client, room)
        self.question: Any = None
        self.last: list[Event] = []

    def client(self, *text: str) -> list[str]:
        return self.took(self.proxy.receive_from(CLIENT, lines(*text))) if text else []

    def server(self, *text: str) -> list[str]:
        return self.took(self.proxy.receive_from(SERVER, lines(*text))) if text else []

    def answer(self, verdict: Any) -> list[str]:
        return self.took(self.proxy.answer(self.question, verdict))

    def encrypted(self, side: Side, info: TlsInfo | None = None) -> list[str]:
        """The TLS handshake with this side is complete."""
        return self.took(self.proxy.tls_started(side, info or TLS))

    def took(self, events: list[Event]) -> list[str]:
        self.last = events
        for event in events:
            if isinstance(event, Ask):
                self.question = event.question
        return spell(events)

    def event(self, kind: type[Any]) -> Any:
        """The one event of this type that came last."""
        (found,) = [event for event in self.last if isinstance(event, kind)]
        return found

    def settle(self) -> None:
        """Lets everything pass that is asked."""
        while self.proxy.waiting_for.value == "verdict":
            self.answer(Continue())

    def greeted(self, *ehlo: str) -> Scene:
        """After EHLO."""
        self.server("220 mx")
        self.settle()
        self.client("EHLO me")
        self.settle()
        self.server(*(ehlo or PIPELINING))
        self.settle()
        return self

    def introduced(self, *ehlo: str) -> Scene:
        """After the reply to the first EHLO that the server gets."""
        self.server("220 mx")
        self.client("EHLO me")
        self.server(*(ehlo or PIPELINING))
        return self

    def with_recipient(self, *ehlo: str, mail: str = "MAIL FROM:<a@me>") -> Scene:
        """After an accepted RCPT."""
        self.greeted(*ehlo)
        for line in (mail, "RCPT TO:<b@mx>"):
            self.client(line)
            self.settle()
            self.server("250 ok")
            self.settle()
        return self

    def in_content(self, *ehlo: str, mail: str = "MAIL FROM:<a@me>") -> Scene:
        """After 354."""
        self.with_recipient(*ehlo, mail=mail)
        self.client("DATA")
        self.settle()
        if self.proxy.waiting_for.value == "reply":
            self.server("354 go")
            self.settle()
        return self


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """All 2**(n-1) ways to cut n octets."""
    for flags in product((False, True), repeat=max(0, len(data) - 1)):
        cuts = [0, *(i + 1 for i, cut in enumerate(flags) if cut), len(data)]
        yield [data[start:end] for start, end in pairwise(cuts)]


def few_cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, one octet at a time, and one cut at each place."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for i in range(1, len(data)):
        yield [data[:i], data[i:]]


def strings(alphabet: bytes, longest: int) -> Iterator[bytes]:
    """All strings over an alphabet, up to a length."""
    for length in range(longest + 1):
        for octets in product(alphabet, repeat=length):
            yield bytes(octets)
