"""Plays a tape against a proxy, as a driver would, and checks everything possible after each input. Octets of
a side wait until the proxy may read it. So everything that may be read is read before the next record,
however the octets are cut. The client's octets are read before the server's next segment, because a reply may
let the client go on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
from core.spools import MemorySpool
from properties.harness import bound

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Config,
    Connect,
    Continue,
    Disconnect,
    Event,
    Reply,
    SendToClient,
    SendToServer,
    Side,
    TlsInfo,
)
from sansio_smtp.config import UpstreamTls
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import Release, StartTLS
from sansio_smtp.joint_states import contradiction
from sansio_smtp.questions import AnyQuestion, LoginQuestion
from sansio_smtp.testing import Chunker
from sansio_smtp.testing.verdicts import said, verdict_for
from sansio_smtp.wire.commands import Command

from .tape import Record, Tape

__all__ = ["World"]

_TLS: Final = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified=True)
_REFUSAL: Final = Reply.of(421, "refused by the driver", enhanced="4.3.2")
_REPLY: Final = re.compile(rb"(?:([2-5][0-9][0-9])-[^\r\n]*\r\n)*[2-5][0-9][0-9](?: [^\r\n]*)?\r\n")
_MOST_RECORDS: Final = 200


@attrs.define(eq=False)
class World:
    """One play of a tape."""

    tape: Tape
    cut: Chunker
    make: Callable[..., Any]
    """Makes the proxy."""

    proxy: Any = attrs.field(init=False)
    to_client: bytearray = attrs.field(factory=bytearray, init=False)
    to_servers: list[bytearray] = attrs.field(factory=lambda: [bytearray()], init=False)
    """The octets for each server, in the order of their connections."""
    from_client: bytearray = attrs.field(factory=bytearray, init=False)
    """The inputs that the proxy got."""
    from_servers: list[bytearray] = attrs.field(factory=lambda: [bytearray()], init=False)
    events: list[Event] = attrs.field(factory=list[Event], init=False)
    waiting: dict[Side, deque[bytes | None]] = attrs.field(init=False)
    gone: set[Side] = attrs.field(factory=set[Side], init=False)
    ended: set[Side] = attrs.field(factory=set[Side], init=False)
    shaking: set[Side] = attrs.field(factory=set[Side], init=False)
    connecting: bool = attrs.field(default=False, init=False)
    heard: bool = attrs.field(default=False, init=False)
    """True if the connected server has sent octets, so that its connection can no longer be set up."""
    disturbed: bool = attrs.field(default=False, init=False)
    """True if there were other records than octets, their ends and verdicts."""
    question: AnyQuestion | None = attrs.field(default=None, init=False)
    segment: int = attrs.field(default=1, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.tape.settings
        known = {} if settings.client is None else {"client": settings.client}
        spool = {"make_spool": MemorySpool} if self.tape.cuts & 0x40 else {}
        self.proxy = self.make(settings.config, settings.ask, **known, **spool)
        self.waiting = {CLIENT: deque(), SERVER: deque()}

    @property
    def config(self) -> Config:
        return self.tape.settings.config

    def play(self) -> World:
        for record in self.tape.records[:_MOST_RECORDS]:
            self._happens(record)
            if self.proxy.closed:
                break
        return self

    def finish(self) -> None:
        """Checks that the session ends, in any state, when both sides are gone, and sends nothing after
        that."""
        self.disturbed = True
        for _ in range(50):
            if self.question is None:
                break
            self._judge(Disconnect(Reply.of(451, "enough")))
        for side in (SERVER, CLIENT):
            if side not in self.gone and side not in self.shaking:
                self._take(self.proxy.eof_from(side))
        if not self.proxy.closed:
            self._take(self.proxy.timed_out())
        assert self.proxy.closed, "it does not end"
        for side in (CLIENT, SERVER):
            assert not self.proxy.receive_from(side, b"NOOP\r\n") and not self.proxy.eof_from(side)
        assert not self.proxy.timed_out() and not self.proxy.shutdown() and not self.proxy.client_lost()

    # Records

    def _happens(self, record: Record) -> None:
        letter = record.letter
        if letter in "cs":
            side = CLIENT if letter == "c" else SERVER
            self.waiting[side].extend(self.cut(record.text))
        elif letter in "CS":
            self.waiting[CLIENT if letter == "C" else SERVER].append(None)
        else:
            act = _ACTS.get(letter)
            if act is not None:
                act(self, record.text)
        self._pump()

    def _pump(self) -> None:
        """Gives the proxy all that it may read, the client first."""
        while self._give(CLIENT) or self._send_more() or self._give(SERVER):
            pass

    def _send_more(self) -> bool:
        """Lets the proxy send the next piece of a message, if it has one. Returns False if it has none."""
        proxy = self.proxy
        if not proxy.has_more or SERVER in self.gone:
            return False
        self._take(proxy.more())
        return True

    def _give(self, side: Side) -> bool:
        """Gives the proxy the next segment of a side. Returns False if there is none, or it may not be read
        now."""
        queue = self.waiting[side]
        if not queue or not self._may_take(side, queue[0]):
            return False
        data = queue.popleft()
        if data is None:
            self.ended.add(side)
            self._take(self.proxy.eof_from(side))
        elif side not in self.ended:
            self.segment = max(self.segment, len(data))
            (self.from_client if side is CLIENT else self.from_servers[-1]).extend(data)
            self._heard(side)
            self._take(self.proxy.receive_from(side, data))
        return True

    def _may_take(self, side: Side, data: bytes | None) -> bool:
        if side in self.gone:
            self.waiting[side].clear()
            return False
        if side in self.proxy.may_read:
            return True
        return side in self.shaking and data is None

    def _heard(self, side: Side) -> None:
        if side is SERVER:
            self.heard, self.connecting = True, False

    def _verdict(self, text: bytes) -> None:
        if self.question is None:
            return
        try:
            *added, word = text.decode("utf-8").split("\n")
            recipients = tuple(Command.of(line.removeprefix("add ")) for line in added)
            verdict = verdict_for(self.question, said(word, recipients))
        except (ValueError, LocalProtocolError):
            verdict = Continue()
        self._judge(verdict)

    def _judge(self, verdict: Any) -> None:
        question, self.question = self.question, None
        try:
            events = self.proxy.answer(question, verdict)
        except LocalProtocolError:
            other = (
                Disconnect(Reply.of(454, "no login")) if isinstance(question, LoginQuestion) else Continue()
            )
            assert not isinstance(verdict, Continue) or verdict.recipients, "Continue fits every question"
            events = self.proxy.answer(question, other)
        self._take(events)

    def _tls_started(self, side: Side) -> None:
        if side in self.shaking:
            self.disturbed = True
            self.shaking.discard(side)
            self.waiting[side].clear()
            self._take(self.proxy.tls_started(side, _TLS))

    def _tls_failed(self, side: Side) -> None:
        if side in self.shaking:
            self.disturbed = True
            self.shaking.discard(side)
            self.waiting[side].clear()
            self._take(self.proxy.tls_failed(side, "it was not wanted"))

    def _connected(self, text: bytes) -> None:
        if self.heard or SERVER in self.gone:
            return
        level, _, kept = text.decode("latin-1").partition(" ")
        if level in [each.value for each in UpstreamTls]:
            self.disturbed = True
            self.proxy.server_connected(UpstreamTls(level), kept=kept == "kept" and self.config.keep)

    def _unreachable(self) -> None:
        if not self.heard and SERVER not in self.gone:
            self._input(self.proxy.server_unreachable)

    def _input(self, call: Callable[[], list[Event]]) -> None:
        self.disturbed = True
        self._take(call())

    # Events

    def _take(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            self._took(event)
        proxy = self.proxy
        snapshot = proxy.snapshot()
        assert (wrong := contradiction(snapshot)) is None, f"{wrong}: {snapshot}"
        if proxy.closed:
            assert self.gone == {CLIENT, SERVER}, "closed, and a side is open"
            self.question = None
        else:
            going = self.question is not None or self.shaking or self.connecting or proxy.has_more
            readable = proxy.may_read - self.ended - self.gone
            assert readable or going or self.ended, f"stalled: {snapshot}"
        assert proxy.buffered <= bound(self.config, self.segment), "more is kept than the limits allow"
        assert proxy.waiting_for is not None and proxy.envelope is not None

    def _took(self, event: Event) -> None:
        if isinstance(event, SendToClient):
            self._sent(CLIENT, event.data)
            self.to_client += event.data
        elif isinstance(event, SendToServer):
            assert not self.connecting, "sent to a server that has not greeted"
            self._sent(SERVER, event.data)
            self.to_servers[-1] += event.data
        elif isinstance(event, Close | Release):
            assert event.side not in self.gone, f"the {event.side.value} is closed twice"
            self.gone.add(event.side)
            self.shaking.discard(event.side)
        elif isinstance(event, StartTLS):
            assert event.side not in self.gone and event.side not in self.shaking
            self.shaking.add(event.side)
        elif isinstance(event, Connect):
            assert SERVER in self.gone, "two servers"
            self.gone.discard(SERVER)
            self.ended.discard(SERVER)
            self.waiting[SERVER].clear()
            self.to_servers.append(bytearray())
            self.from_servers.append(bytearray())
            self.connecting, self.heard = True, False
        elif isinstance(event, Ask):
            assert self.question is None, "two questions are open"
            self.question = event.question
        assert repr(event)

    def _sent(self, side: Side, data: bytes) -> None:
        assert data, "an empty send"
        assert side not in self.gone, f"sent after close: {data!r}"
        assert side not in self.shaking, f"sent in a TLS handshake: {data!r}"


def _refuse(world: World, _: bytes) -> None:
    world._input(lambda: world.proxy.refuse(_REFUSAL))


_ACTS: Final[dict[str, Callable[[World, bytes], None]]] = {
    "v": World._verdict,
    "k": World._connected,
    "u": lambda world, _: world._unreachable(),
    "L": lambda world, _: world._input(world.proxy.client_lost),
    "t": lambda world, _: world._input(world.proxy.timed_out),
    "T": lambda world, _: world._input(lambda: world.proxy.timed_out(stalled=True)),
    "d": lambda world, _: world._input(world.proxy.shutdown),
    "D": lambda world, _: world._input(lambda: world.proxy.shutdown(now=True)),
    "h": lambda world, _: world._tls_started(CLIENT),
    "j": lambda world, _: world._tls_started(SERVER),
    "H": lambda world, _: world._tls_failed(CLIENT),
    "J": lambda world, _: world._tls_failed(SERVER),
    "r": _refuse,
    "b": lambda world, _: world._input(world.proxy.broke),
}
