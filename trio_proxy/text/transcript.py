"""Writes both legs of a dialogue as lines of text, with the arrows of swaks.

``C`` is the client's leg, ``U`` the upstream server's; ``<-`` arrives at the proxy, ``->`` leaves it. On a
leg in TLS that is ``<~`` and ``~>``. The core has masked every secret already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs

from sansio_smtp import (
    CLIENT,
    END_OF_DATA,
    SERVER,
    AwaitReply,
    BodyComplete,
    ClientChanged,
    Connect,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    ServerUnusable,
    Side,
    TlsInfo,
    Violation,
)

from .masking import plain

__all__ = ["Transcript", "printable"]


@attrs.define(eq=False)
class Transcript:
    """Writes the transcript of one connection, a line at a time, through ``write``."""

    number: int
    write: Callable[[str], None]
    _told: bool = attrs.field(default=False, init=False)
    _size: int = attrs.field(default=0, init=False)  # of the current message
    _encrypted: set[Side] = attrs.field(factory=set[Side], init=False)
    _day: str = attrs.field(default="", init=False)

    def connected(self, text: str) -> None:
        """Writes the first line, with the date and the time zone. A later line says if the date has
        changed."""
        self._day = _day(time.localtime())
        self.note(f"{text}, {self._day}")

    def secured(self, side: Side, info: TlsInfo) -> None:
        """TLS has begun with this side."""
        self._encrypted.add(side)
        words = [f"{side.value}: {info.version}", info.cipher]
        words += [f"for {info.server_name}"] if info.server_name else []
        words += ["certificate verified"] * info.verified + ([info.subject] if info.subject else [])
        self.note(", ".join(word for word in words if word))

    def note(self, text: str, mark: str = "===") -> None:
        now = time.time()
        local = time.localtime(now)
        stamp = time.strftime("%H:%M:%S", local) + f".{int(now * 1000) % 1000:03}"
        if self._day and (day := _day(local)) != self._day:
            self._day = day
            self.write(f"{stamp} c{self.number} === {day}")
        self.write(f"{stamp} c{self.number} {mark} {text if text.isprintable() else plain(text)}")

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self._lines(self._mark(event.side, "<-"), event.shown)
            elif isinstance(event, SendToClient) and event.shown is not None:
                self._lines(self._mark(CLIENT, "->"), event.shown.removesuffix(b"\r\n"))
            elif isinstance(event, SendToServer) and event.shown is not None:
                self._lines(self._mark(SERVER, "->"), event.shown.removesuffix(b"\r\n"))
            elif isinstance(event, BodyComplete):
                self.note(f" [message {event.received:,} bytes]", self._mark(CLIENT, "<-"))
                self._size, self._told = event.size, True
            elif isinstance(event, AwaitReply):
                if event.command is END_OF_DATA:
                    self.note(f" [message {self._size:,} bytes]", self._mark(SERVER, "->"))
            elif isinstance(event, MessageAnswered):
                if not self._told:  # refused or accepted before its end
                    self.note(" [message]", self._mark(CLIENT, "<-"))
                self._told = False
            elif isinstance(event, ClientChanged):
                client = event.client
                self.note(f"the client is {client.address}, as {client.proxy_ip or 'a proxy'} says")
            elif isinstance(event, ServerUnusable):
                self.note(f"the server cannot be used: {event.why}", "***")
            elif isinstance(event, Connect):
                self._encrypted.discard(SERVER)
                self.note(f"another connection: {event.upstream or 'the usual server'}")
            elif isinstance(event, Violation):
                self.note(f"{event.side.value} broke the protocol: {event.error}", "***")

    def _mark(self, side: Side, arrow: str) -> str:
        if side in self._encrypted:
            arrow = arrow.replace("-", "~")
        return f"{'C' if side is CLIENT else 'U'} {arrow}"

    def _lines(self, mark: str, shown: bytes) -> None:
        for line in shown.split(b"\r\n"):
            self.note(f" {printable(line)}", mark)


def _day(local: time.struct_time) -> str:
    zone = time.strftime("%z", local)
    return time.strftime("%Y-%m-%d ", local) + f"{zone[:3]}:{zone[3:]}"


def printable(octets: bytes) -> str:
    """Text that is safe for a terminal: control characters and invalid octets are escaped."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
