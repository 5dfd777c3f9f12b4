"""Lets a client and a server talk through a `Proxy`, without a network: the wire between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import attrs

from sansio_smtp.client_info import TlsInfo
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Connect,
    Event,
    MessageAnswered,
    Release,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
)
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import AnyQuestion, AnyVerdict, Continue, Question

from .chunks import Chunker, whole
from .peers import Peer

__all__ = ["converse"]

_TLS: Final = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified=True, subject="CN=peer")


def converse(
    client: Peer,
    server: Peer,
    proxy: Proxy,
    *,
    cut: Chunker = whole,
    judge: Callable[[AnyQuestion], AnyVerdict] = lambda _: Continue(),
    connect: Callable[[str | None], Peer | None] | None = None,
    prompt: bool = False,
    late: bool = False,
    answered: Callable[[MessageAnswered], None] = lambda _: None,
) -> list[Event]:
    """Lets client and server talk through a proxy until no side has anything to send; returns all events.

    The proxy handles everything that the peers have sent before a peer answers, so that a peer notices octets
    that come too early. With ``prompt`` the peers answer after every piece, as on a network without delay.
    ``connect`` makes the server that `Connect` asks for, or returns None if it cannot be reached. With
    ``late``, questions are answered only when both peers have nothing more to send. ``answered``
    is called when a message is answered. Raises `AssertionError`
    if a side has something to send and the proxy never reads it.
    """
    return _Wire(client, server, proxy, cut, judge, connect, prompt, late, answered).run()


@attrs.define(eq=False)
class _Wire:
    client: Peer
    server: Peer
    proxy: Proxy
    cut: Chunker
    judge: Callable[[AnyQuestion], AnyVerdict]
    connect: Callable[[str | None], Peer | None] | None
    prompt: bool
    late: bool
    answered: Callable[[MessageAnswered], None]
    question: Question[Any] | None = None
    events: list[Event] = attrs.field(factory=list[Event])
    waiting: dict[Side, deque[bytes]] = attrs.field(factory=lambda: {SERVER: deque(), CLIENT: deque()})
    open: set[Side] = attrs.field(factory=lambda: {CLIENT, SERVER})
    handshakes: list[Side] = attrs.field(factory=list[Side])

    def run(self) -> list[Event]:
        while self._hand_over() or self._listen() or self._shake_hands() or self._judge():
            pass
        for side in self.open:
            assert not self.waiting[side], f"stalled: the {side.value} has something to say and is not read"
        return self.events

    def _hand_over(self) -> bool:
        """Gives the proxy one piece of what the peers have sent. Returns False if there is none to read."""
        for side, pieces in self.waiting.items():
            if pieces and side in self.proxy.may_read:
                self._take(self.proxy.receive_from(side, pieces.popleft()))
                if self.prompt:
                    self._listen()
                return True
        return False

    def _listen(self) -> bool:
        """Takes what the peers have to send, the client first. Returns False if that is nothing."""
        said = False
        for side, peer in ((CLIENT, self.client), (SERVER, self.server)):
            if side in self.open and (data := peer.take()):
                self.waiting[side].extend(self.cut(data))
                said = True
        return said

    def _take(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, SendToClient):
                self.client.receive(event.data)
            elif isinstance(event, SendToServer):
                self.server.receive(event.data)
            elif isinstance(event, Close | Release):
                self.open.discard(event.side)
                self.waiting[event.side].clear()
                (self.client if event.side is CLIENT else self.server).closed_by_peer()
            elif isinstance(event, Connect):
                self._connect(event)
            elif isinstance(event, MessageAnswered):
                self.answered(event)
            elif isinstance(event, StartTLS):
                self.handshakes.append(event.side)
            elif isinstance(event, Ask):
                self.question = cast("Question[Any]", event.question)
                if not self.late:
                    self._judge()

    def _shake_hands(self) -> bool:
        """Completes a TLS handshake. Returns False if none is due."""
        if not self.handshakes:
            return False
        side = self.handshakes.pop()
        if side in self.open:
            (self.client if side is CLIENT else self.server).tls_started()
            self._take(self.proxy.tls_started(side, _TLS))
        return True

    def _judge(self) -> bool:
        """Answers the open question. Returns False if there is none."""
        question, self.question = self.question, None
        if question is None or self.proxy.closed:
            return False
        self._take(self.proxy.answer(question, self.judge(cast("AnyQuestion", question))))
        return True

    def _connect(self, event: Connect) -> None:
        if self.connect is None:
            raise AssertionError(
                f"a connection to {event.upstream} is asked for, and there is none to be had"
            )
        assert SERVER not in self.open, "a server is asked for while one is connected"
        server = self.connect(event.upstream)
        if server is None:
            self._take(self.proxy.server_unreachable())
        else:
            self.server = server
            self.open.add(SERVER)
