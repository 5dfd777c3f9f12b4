"""Writes both legs of a dialogue as lines of text, with the arrows of swaks.

``C`` is the client's leg, ``U`` the upstream server's; ``<-`` arrives at the proxy, ``->`` leaves it. The
core has masked every secret already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs

from sansio_smtp import (
    CLIENT,
    END_OF_DATA,
    AwaitReply,
    BodyComplete,
    Connect,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
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
    _size: int = attrs.field(default=0, init=False)  # of the message that is on its way

    def note(self, text: str, mark: str = "===") -> None:
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03}"
        self.write(f"{stamp} c{self.number} {mark} {text if text.isprintable() else plain(text)}")

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self._lines("C <-" if event.side is CLIENT else "U <-", event.shown)
            elif isinstance(event, SendToClient) and event.shown is not None:
                self._lines("C ->", event.shown.removesuffix(b"\r\n"))
            elif isinstance(event, SendToServer) and event.shown is not None:
                self._lines("U ->", event.shown.removesuffix(b"\r\n"))
            elif isinstance(event, BodyComplete):
                self.note(f" [message {event.received:,} bytes]", "C <-")
                self._size, self._told = event.size, True
            elif isinstance(event, AwaitReply):
                if event.command is END_OF_DATA:
                    self.note(f" [message {self._size:,} bytes]", "U ->")
            elif isinstance(event, MessageAnswered):
                if not self._told:  # refused, or taken, before its end was reached
                    self.note(" [message]", "C <-")
                self._told = False
            elif isinstance(event, Connect):
                self.note(f"another connection: {event.upstream or 'the usual server'}")
            elif isinstance(event, Violation):
                self.note(f"{event.side.value} broke the protocol: {event.error}", "***")

    def _lines(self, mark: str, shown: bytes) -> None:
        for line in shown.split(b"\r\n"):
            self.note(f" {printable(line)}", mark)


def printable(octets: bytes) -> str:
    """Text that no terminal can be tricked with: control characters and stray octets are escaped."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
