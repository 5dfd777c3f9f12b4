"""Dialogues with TLS operations: two simulated peers, and a driver that shakes hands for `Twins`.

Each peer knows what it has said in plain text that it may not say: octets that are *injected* come in plain
text after STARTTLS or after its 220, where an attacker can put them. Nothing of them may ever be acted on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
from hypothesis import strategies as st
from twins import DRAWN, Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    Close,
    Config,
    Connect,
    Event,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
    TlsInfo,
    WaitingFor,
)
from sansio_smtp.config import ClientTls, UpstreamTls

__all__ = ["INJECTED", "Act", "Plan", "TlsWorld", "plans"]

INJECTED = b"injected"
_BEFORE_TLS = (b"EHLO", b"STARTTLS", b"QUIT")
_INFO = TlsInfo(version="TLSv1.3", verified=True)


@attrs.frozen
class Act:
    """A line of the client, sent when the one before it is answered."""

    line: bytes
    content: bytes = b""
    """What it sends after 354."""
    injected: bytes = b""
    """What comes in plain text after STARTTLS."""
    handshake: bool = True
    """False: the handshake after STARTTLS fails."""


@attrs.frozen
class Plan:
    """What both peers do."""

    acts: list[Act]
    config: Config
    offers: list[bytes] = attrs.field(factory=list[bytes])
    """For each connection to a server what it answers to STARTTLS, such as ``b"220 go"``; empty: it does not
    offer it. What follows after a line end is injected. Later ones offer nothing."""
    fails: bool = False
    """True: the handshake with the server fails."""


class _Client:
    def __init__(self, acts: list[Act]) -> None:
        self.acts = deque(acts)
        self.act: Act | None = None
        self.pending = bytearray()
        self.received = bytearray()
        self.codes: list[int] = []
        self.encrypted = False
        self._unread = b""

    def receive(self, data: bytes) -> None:
        self.received += data
        self._unread += data
        while (end := self._unread.find(b"\r\n")) >= 0:
            line, self._unread = self._unread[:end], self._unread[end + 2 :]
            if line[3:4] != b"-":
                self._answered(int(line[:3]))

    def _answered(self, code: int) -> None:
        self.codes.append(code)
        act = self.act
        if act is not None and act.content and code == 354:
            self.pending += act.content
            self.act = attrs.evolve(act, content=b"")
        elif act is None or not act.line.startswith(b"STARTTLS") or code != 220:
            self.says()

    def says(self) -> None:
        """Its next line, if there is one."""
        self.act = self.acts.popleft() if self.acts else None
        if self.act is not None:
            self.pending += self.act.line + b"\r\n" + self.act.injected


class _Server:
    def __init__(self, level: UpstreamTls, answer: bytes) -> None:
        self.level = level
        self.answer = answer
        self.pending = bytearray(b"220 mx.example\r\n")
        self.received = bytearray()
        self.encrypted = self.greeted = self.in_mail = self.in_content = self.shaking = False
        self.must_greet = self.of_before = False
        """The client has begun anew: EHLO or HELO is due; the transaction is of before."""
        self._unread = b""

    def receive(self, data: bytes) -> None:
        assert not self.shaking, f"{data!r} in plain text, within the handshake with the server"
        self.received += data
        self._unread += data
        while (end := self._unread.find(b"\r\n")) >= 0:
            line, self._unread = self._unread[:end], self._unread[end + 2 :]
            self._line(line)

    def _line(self, line: bytes) -> None:
        verb = line.partition(b" ")[0].upper()
        if self.in_content:
            if line == b".":
                self.in_content = self.in_mail = False
                self.pending += b"250 kept\r\n"
            return
        if not self.encrypted and self.level.required:
            assert verb in _BEFORE_TLS, f"{line!r} in plain text, where TLS is required"
        if verb in (b"EHLO", b"HELO", b"RSET"):
            self.greeted |= verb != b"RSET"
            self.in_mail = self.of_before = False
        if verb == b"EHLO":
            offer = b"STARTTLS" if self.answer and not self.encrypted else b"SIZE 1000"
            self.pending += b"250-mx.example\r\n250 " + offer + b"\r\n"
        elif verb == b"STARTTLS":
            assert self.answer
            assert not self.encrypted
            self.shaking = self.answer.startswith(b"220")
            self.pending += self.answer + b"\r\n"
        elif verb == b"MAIL":
            assert self.greeted or not self.must_greet, "MAIL before EHLO"
            assert not self.of_before, "MAIL within a mail transaction of before"
            self.pending += b"503 no\r\n" if self.in_mail else b"250 ok\r\n"
            self.in_mail = True
        elif verb == b"DATA" and self.in_mail:
            self.in_content = True
            self.pending += b"354 go\r\n"
        elif verb == b"QUIT":
            self.pending += b"221 bye\r\n"
        else:
            self.pending += (
                b"503 no\r\n" if verb in (b"RCPT", b"DATA") and not self.in_mail else b"250 ok\r\n"
            )

    def client_begins_anew(self) -> None:
        self.greeted, self.must_greet, self.of_before = False, True, self.in_mail

    def encrypts(self) -> None:
        self.shaking = False
        self.encrypted = self.must_greet = True
        self.greeted = self.in_mail = False
        self._unread = b""


@attrs.define
class TlsWorld:
    """One dialogue under way. ``sizes`` and ``turns`` are drawn: how much arrives, and who acts."""

    plan: Plan
    sizes: list[int] = attrs.field(factory=list[int])
    turns: list[int] = attrs.field(factory=list[int])
    proxy: Twins = attrs.field(init=False)
    client: _Client = attrs.field(init=False)
    servers: list[_Server] = attrs.field(init=False)
    shaking: set[Side] = attrs.field(factory=set[Side], init=False)
    closed: set[Side] = attrs.field(factory=set[Side], init=False)
    eof: bool = attrs.field(default=False, init=False)
    handshakes: list[Side] = attrs.field(factory=list[Side], init=False)
    """The sides with which TLS has begun, in order."""
    steps: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.proxy = DRAWN(self.plan.config)
        self.client = _Client(self.plan.acts)
        self.servers = [self._server(0)]

    def _server(self, number: int) -> _Server:
        offers = self.plan.offers
        return _Server(self.plan.config.upstream_tls, offers[number] if number < len(offers) else b"")

    def run(self) -> TlsWorld:
        """To the end: something can always be done, and it ends (P11)."""
        while not self.proxy.closed:
            options = self._options()
            assert options, f"stalled: {self.proxy.states}"
            assert self.steps < 5_000
            number = self.steps
            turn = self.turns[number] if number < len(self.turns) else 0
            size = self.sizes[number] if number < len(self.sizes) else 1 << 20
            self.steps += 1
            self._take(options[turn % len(options)](size))
        assert self.closed == {CLIENT, SERVER}
        return self

    def _options(self) -> list[Callable[[int], list[Event]]]:
        options: list[Callable[[int], list[Event]]] = []
        assert (self.proxy.waiting_for is WaitingFor.HANDSHAKE) == bool(self.shaking)
        readable = self.proxy.may_read - self.closed
        assert not readable & self.shaking, "a side may be read in its handshake"
        if CLIENT in self.shaking:
            options.append(self._shake_client)
        elif CLIENT in readable and not self.eof and self.client.pending:
            options.append(self._from_client)
        if SERVER in self.shaking:
            options.append(self._shake_server)
        elif SERVER in readable and self.servers[-1].pending:
            options.append(self._from_server)
        if not options and CLIENT in readable and not self.eof:
            options.append(self._client_ends)
        return options

    def _from_client(self, size: int) -> list[Event]:
        return self.proxy.receive_from(CLIENT, _cut(self.client.pending, size))

    def _from_server(self, size: int) -> list[Event]:
        return self.proxy.receive_from(SERVER, _cut(self.servers[-1].pending, size))

    def _client_ends(self, _: int) -> list[Event]:
        self.eof = True
        return self.proxy.eof_from(CLIENT)

    def _shake_client(self, _: int) -> list[Event]:
        """What has come in plain text meanwhile is taken for the handshake, which fails."""
        self.shaking.discard(CLIENT)
        client = self.client
        if client.pending or (client.act is not None and not client.act.handshake):
            return self.proxy.tls_failed(CLIENT, "no TLS")
        client.encrypted = True
        self.servers[-1].client_begins_anew()
        client._unread = b""
        events = self.proxy.tls_started(CLIENT, _INFO)
        client.says()
        return events

    def _shake_server(self, _: int) -> list[Event]:
        self.shaking.discard(SERVER)
        server = self.servers[-1]
        if server.pending or self.plan.fails:
            return self.proxy.tls_failed(SERVER, "no TLS")
        server.encrypts()
        return self.proxy.tls_started(SERVER, _INFO)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, SendToClient):
                assert CLIENT not in self.shaking | self.closed, "octets to a client that is not to get any"
                self.client.receive(event.data)
            elif isinstance(event, SendToServer):
                assert SERVER not in self.shaking | self.closed, "octets to a server that is not to get any"
                self.servers[-1].receive(event.data)
            elif isinstance(event, StartTLS):
                assert event.side not in self.shaking | self.closed
                self.shaking.add(event.side)
                self.handshakes.append(event.side)
            elif isinstance(event, Close):
                self.closed.add(event.side)
                self.shaking.discard(event.side)
            elif isinstance(event, Connect):
                self.closed.discard(SERVER)
                self.servers.append(self._server(len(self.servers)))

    def outcome(self) -> object:
        """What both peers got, and when TLS began: the same for every cut."""
        return (
            bytes(self.client.received),
            [bytes(server.received) for server in self.servers],
            self.handshakes,
        )


def _cut(pending: bytearray, size: int) -> bytes:
    data = bytes(pending[:size])
    del pending[:size]
    return data


_MAIL = [
    Act(b"MAIL FROM:<a@me.example>"),
    Act(b"RCPT TO:<b@mx.example>"),
    Act(b"DATA", b"x\r\n..\r\n.\r\n"),
]
_USUAL = st.sampled_from(
    [
        *([Act(line)] for line in (b"EHLO c", b"HELO c", b"NOOP", b"RSET", b"AUTH PLAIN AGEAYg==")),
        *(_MAIL, _MAIL, _MAIL[:1], _MAIL[:2]),
    ]
)
_STARTTLS = st.sampled_from(
    [Act(b"STARTTLS")] * 6 + [Act(b"STARTTLS", handshake=False), Act(b"starttls"), Act(b"STARTTLS x")]
)
_AFTER = [
    b"NOOP injected\r\n",
    b"MAIL FROM:<injected@x>\r\nRCPT TO:<b@x>\r\n",
    b"\x16",
    b"\r\n",
    b"EHLO injected",
]
_YES, _NO = b"220 go", b"454 not now"


@st.composite
def plans(draw: st.DrawFn, *, injects: bool) -> Plan:
    """``injects``: there is a STARTTLS on one leg at least after which something comes in plain text."""
    acts = [act for part in draw(st.lists(_USUAL, max_size=3)) for act in part]
    by_client = injects and draw(st.booleans())
    starttls = draw(_STARTTLS)
    if by_client:
        starttls = Act(b"STARTTLS", injected=draw(st.sampled_from(_AFTER)))
    acts.append(starttls)
    acts += [act for part in draw(st.lists(_USUAL, min_size=1, max_size=3)) for act in part]
    if draw(st.booleans()):
        acts.append(draw(_STARTTLS))
    level = draw(st.sampled_from(UpstreamTls))
    offers = draw(st.lists(st.sampled_from([_YES, _YES, _YES, _NO, b""]), max_size=2))
    if injects and not by_client:
        level = draw(st.sampled_from([UpstreamTls.MAY, UpstreamTls.ENCRYPT, UpstreamTls.VERIFY]))
        acts = [Act(b"EHLO c"), *acts]
        offers = [
            draw(st.sampled_from([b"220 go\r\n250 injected", b"220 go\r\n2", b"220-go\r\n220 on\r\n\r"]))
        ]
    tls = draw(st.sampled_from([ClientTls.MAY, ClientTls.MAY, ClientTls.ENCRYPT]))
    fails = draw(st.sampled_from([False] * 5 + [True]))
    return Plan(acts, Config(tls=tls, upstream_tls=level), offers, fails)
