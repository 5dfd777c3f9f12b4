"""Writes what a proxy does in the notation of scripts, so that it can be compared with a script."""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp.events import (
    CLIENT,
    SERVER,
    BodyComplete,
    ClientChanged,
    Close,
    Event,
    MessageAnswered,
    Received,
    Release,
    ServerUnusable,
    Side,
    Violation,
)
from sansio_smtp.questions import (
    BODY_CHUNK,
    BODY_LINE,
    BODY_LINES,
    CLIENT_CHANGED,
    HEADERS,
    LOGIN,
    MESSAGE,
    REPLY,
    AnyQuestion,
    AttemptQuestion,
    BodyQuestion,
    ClientQuestion,
    CommandQuestion,
    HeadersQuestion,
    LoginQuestion,
    ReplyQuestion,
)

from .notation import escape, octets, written
from .script import Asked, Closed, Connected, Item, Sent, Shown, TlsDue
from .verdicts import HOME, SERVER_LOGIN

__all__ = ["Step", "asks", "ending", "lines_of", "matches", "shown", "wanted"]

_LETTER: Final = {CLIENT: "C", SERVER: "S"}
_BODY_PLACES: Final = (BODY_CHUNK, BODY_LINE)


@attrs.define
class Step:
    """What the proxy did, or what a script says that it does, since the last comparison."""

    sent: dict[Side, bytearray] = attrs.field(factory=lambda: {CLIENT: bytearray(), SERVER: bytearray()})
    closed: list[tuple[Side, str]] = attrs.field(factory=list[tuple[Side, str]])
    """Each side that was closed, and how: see `ending`."""
    tls_due: list[Side] = attrs.field(factory=list[Side])
    """Each side with which a TLS handshake begins."""
    connected: list[str | None] = attrs.field(factory=list[str | None])
    asked: list[str] = attrs.field(factory=list[str])
    shown: list[str] = attrs.field(factory=list[str])
    chunks: bytearray = attrs.field(factory=bytearray)

    def add_sent(self, side: Side, data: bytes) -> None:
        self.sent[side] += data

    def add_closed(self, side: Side, how: str) -> None:
        self.closed.append((side, how))

    def add_tls_due(self, side: Side) -> None:
        self.tls_due.append(side)

    def add_connected(self, upstream: str | None) -> None:
        self.connected.append(upstream)

    def add_asked(self, line: str) -> None:
        self.asked.append(line)

    def add_shown(self, text: str) -> None:
        self.shown.append(f"-> {text}")

    def add_chunk(self, data: bytes) -> None:
        self.chunks += data

    def add_expected(self, item: Item) -> None:
        """What a script says that the proxy does. Questions are added by `add_asked`."""
        if isinstance(item, Sent):
            self.add_sent(item.side, item.data)
        elif isinstance(item, Closed):
            self.add_closed(item.side, item.how)
        elif isinstance(item, TlsDue):
            self.add_tls_due(item.side)
        elif isinstance(item, Connected):
            self.add_connected(item.upstream)
        elif isinstance(item, Shown) and item.kind == "chunk":
            self.add_chunk(octets(item.text.removeprefix("chunk:").removeprefix(" ")))
        elif isinstance(item, Shown):
            self.add_shown(item.text)

    def notation(self) -> list[str]:
        """The lines, sorted by kind: only the order within one side matters."""
        lines: list[str] = []
        for side, data in self.sent.items():
            if data:
                lines += [f"-> {_LETTER[side]}: {text}".rstrip() for text in written(bytes(data))]
        if self.chunks:
            lines += [f"-> chunk: {text}".rstrip() for text in written(bytes(self.chunks))]
        lines += self.asked + self.shown
        lines += [f"-> tls {_LETTER[side]}" for side in self.tls_due]
        closed = sorted(self.closed, key=lambda item: item[0].value, reverse=True)
        lines += [f"-> {how} {_LETTER[side]}" for side, how in closed]
        return lines + [f"-> connect {upstream or HOME}" for upstream in self.connected]

    def seen_by(self, side: Side) -> tuple[bytearray, int]:
        """What the peer on this side can notice: the octets, and how often it was closed."""
        return self.sent[side], sum(closed is side for closed, _ in self.closed)


def ending(event: Close | Release) -> str:
    """How a side is closed: ``close``, ``abort`` if its connection is reset, ``release`` if it is given
    back."""
    if isinstance(event, Release):
        return "release"
    return "abort" if event.abort else "close"


def _place(question: AnyQuestion, ask: frozenset[str]) -> str:
    """The hook place as a script names it, for a command its verb."""
    if isinstance(question, CommandQuestion):
        return question.command.verb.decode()
    if isinstance(question, BodyQuestion):
        return next((place for place in _BODY_PLACES if place in ask), BODY_LINES)
    if isinstance(question, ReplyQuestion):
        return REPLY
    if isinstance(question, ClientQuestion):
        return CLIENT_CHANGED
    if isinstance(question, AttemptQuestion):
        return LOGIN
    if isinstance(question, LoginQuestion):
        return SERVER_LOGIN
    return HEADERS if isinstance(question, HeadersQuestion) else MESSAGE


def asks(question: AnyQuestion, ask: frozenset[str]) -> str:
    """The line for a question."""
    return f"? {_place(question, ask)} {_detail(question)}".rstrip()


def matches(pattern: Asked, question: AnyQuestion, ask: frozenset[str]) -> bool:
    """Returns True if a line of a script is about this question."""
    if pattern.place != _place(question, ask):
        return False
    if pattern.detail is None or pattern.detail == _detail(question):
        return True
    if isinstance(question, CommandQuestion):
        return pattern.detail == escape(question.command.argument)
    return isinstance(question, ReplyQuestion) and pattern.detail == str(question.reply.code)


def _detail(question: AnyQuestion) -> str:
    if isinstance(question, CommandQuestion):
        path = question.command.path
        if path and path.address:
            return escape(path.address.encode("utf-8", "surrogateescape"))
        return escape(question.command.argument)
    if isinstance(question, ReplyQuestion):
        return escape(question.reply.raw[:-2])
    if isinstance(question, ClientQuestion):
        return question.client.address
    if isinstance(question, AttemptQuestion):
        return f"{question.attempt.mechanism} {escape(question.attempt.name.encode())}"
    if isinstance(question, LoginQuestion):
        return _login_detail(question)
    text = _joined(bytes(question.data))
    if isinstance(question, BodyQuestion) and question.last:
        return f"<last> {text}" if question.data else "<last>"
    return text


def _login_detail(question: LoginQuestion) -> str:
    """For whom, with what, and after which refusal."""
    words = [" ".join(question.mechanisms)]
    if question.attempt is not None:
        words.append(f"for {escape(question.attempt.name.encode())}")
    if question.refused is not None:
        words.append(f"after {question.refused.code}")
    return ", ".join(word for word in words if word)


def _joined(data: bytes) -> str:
    r"""Decoded content on one line of notation: its last CRLF implied, the others written."""
    if data.endswith(b"\r\n") and data != b"\r\n":
        return escape(data[:-2])
    return escape(data) + "\\"


def shown(event: Event) -> tuple[str, str] | None:
    """An event that a script may show: its kind and its line."""
    if isinstance(event, BodyComplete):
        words = [f"complete {event.size}"]
        if event.edited:
            words.append("edited")
        if event.broken:
            words.append(f"broken={','.join(event.broken)}")
        return "complete", " ".join(words)
    if isinstance(event, MessageAnswered):
        return "answered", f"answered {event.reply.code}"
    if isinstance(event, Violation):
        return "violation", f"violation {_LETTER[event.side]}"
    if isinstance(event, ClientChanged):
        return "client", f"client {event.client.address}"
    if isinstance(event, ServerUnusable):
        return "unusable", f"unusable {event.why}"
    if isinstance(event, Received):
        return "received", f"received {_LETTER[event.side]}: {escape(event.shown)}"
    return None


def wanted(item: Asked) -> str:
    """The line of a script for a question."""
    return f"? {item.place} {item.detail or ''}".rstrip()


def lines_of(item: Item) -> list[str]:
    """The lines of a diff that an expectation may give."""
    if isinstance(item, Sent):
        return [f"-> {_LETTER[item.side]}: {text}".rstrip() for text in written(item.data)]
    if isinstance(item, Closed):
        return [f"-> {item.how} {_LETTER[item.side]}"]
    if isinstance(item, TlsDue):
        return [f"-> tls {_LETTER[item.side]}"]
    if isinstance(item, Connected):
        return [f"-> connect {item.upstream or HOME}"]
    if isinstance(item, Asked):
        return [wanted(item)]
    return [f"-> {item.text}"] if isinstance(item, Shown) else []
