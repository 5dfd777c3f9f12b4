"""Servers that fail while others take over (`Config.failover`).

Nothing is lost or doubled, no message has a second try after its dot (RFC 1047), and clients notice nothing
before a recipient was accepted. Each server fails at a drawn one of its replies, in a drawn way, or never.
The client tries a message again until it is accepted for all recipients. Each try is a message of its own: of
those that the servers have, it is known what the client was told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from random import Random
from typing import Final

import attrs
from hypothesis import event, given
from hypothesis import strategies as st
from twins import DRAWN, Twins

from sansio_smtp import CLIENT, SERVER, Close, Config, Connect, Dialect, SendToClient, SendToServer, Side
from sansio_smtp.config import UpstreamTls

from .budget import FEW

EHLO: Final = {Dialect.SMTP: b"EHLO", Dialect.LMTP: b"LHLO"}
MOST: Final = 8
"""Servers that fail."""


class How(Enum):
    """What a server does in place of a reply."""

    LOST = "lost"
    LEAVES = "421"
    NONSENSE = "no reply"
    REPLIES = "the reply, then lost"


@attrs.frozen
class Plan:
    """How a server fails."""

    dialect: Dialect
    at: int = 0
    """The number of the reply. The greeting is 0."""
    how: How | None = None
    """None: it never fails."""
    keeps: bool = False
    """True if it has the message whose reply is lost."""


plans = st.builds(Plan, st.sampled_from(Dialect), st.integers(0, 12), st.sampled_from(How), st.booleans())


@attrs.define
class Server:
    """One connection to a server."""

    plan: Plan
    count: int = 0  # of replies
    failed: bool = False
    greeted: bool = False
    partial: bytes = b""
    mail: bytes = b""
    recipients: list[bytes] = attrs.field(factory=list[bytes])
    content: list[bytes] | None = None
    kept: list[tuple[bytes, bytes]] = attrs.field(factory=list[tuple[bytes, bytes]])
    """Which try, for which recipient."""
    dots: list[bytes] = attrs.field(factory=list[bytes])
    """The messages whose end it has heard."""

    def greets(self) -> Iterator[bytes]:
        return self._says(b"220 mx")

    def hears(self, data: bytes) -> Iterator[bytes]:
        """Its replies; an empty one is the end of the connection."""
        *lines, self.partial = (self.partial + data).split(b"\r\n")
        for line in lines:
            if not self.failed:
                yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[bytes]:
        verb = line[:4]
        if self.content is not None:
            if line == b".":
                yield from self._message(b"".join(self.content))
            else:
                self.content.append(line)
        elif verb == EHLO[self.plan.dialect]:
            self.greeted, self.mail = True, b""
            yield from self._says(b"250-mx\r\n250 PIPELINING")
        elif verb == b"MAIL":
            assert self.greeted
            assert not self.mail, "MAIL in a transaction"
            self.mail, self.recipients = line, []
            yield from self._says(b"250 ok")
        elif verb == b"RCPT":
            assert self.mail, "RCPT without MAIL"
            self.recipients.append(line)
            yield from self._says(b"250 ok")
        elif verb == b"DATA":
            assert self.recipients, "DATA without RCPT"
            self.content = []
            yield from self._says(b"354 go on")
        elif verb == b"RSET":
            self.mail = b""
            yield from self._says(b"250 ok")
        else:
            assert verb == b"QUIT", line
            yield from self._says(b"221 bye")

    def _message(self, content: bytes) -> Iterator[bytes]:
        recipients, self.mail, self.content = self.recipients, b"", None
        self.dots.append(content)
        replies = [recipients] if self.plan.dialect is Dialect.SMTP else [[each] for each in recipients]
        for those in replies:
            if self._fails_now and self.plan.how is not How.REPLIES:
                has_it = self.plan.keeps and self.plan.how is not How.LEAVES
            else:
                has_it = not self.failed or self.plan.keeps
            self.kept += [(content, each) for each in those if has_it]
            if not self.failed:
                yield from self._says(b"250 kept")

    @property
    def _fails_now(self) -> bool:
        return not self.failed and self.plan.how is not None and self.count == self.plan.at

    def _says(self, reply: bytes) -> Iterator[bytes]:
        how = self.plan.how if self._fails_now else None
        self.failed = self.failed or how is not None
        self.count += 1
        if how in (None, How.REPLIES):
            yield reply + b"\r\n"
        elif how is not How.LOST:
            yield b"421 bye\r\n" if how is How.LEAVES else b"?\r\n"
        if how is not None:
            yield b""


@attrs.define
class World:
    """All servers, and the sessions that use one after the other."""

    plans: deque[Plan]
    random: Random
    config: Config
    servers: list[Server] = attrs.field(factory=list[Server])

    def connects(self) -> Server:
        plan = self.plans.popleft() if self.plans else Plan(self.random.choice(list(Dialect)))
        self.servers.append(Server(plan))
        return self.servers[-1]


class Session:
    """One client with its proxy, and the server of that."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._proxy: Twins = DRAWN(world.config)
        self._ways: dict[Side, deque[bytes]] = {CLIENT: deque(), SERVER: deque()}
        self._closed: set[Side] = set()
        self._heard = b""
        self.lost = False
        self._connect()

    def ask(self, data: bytes, count: int) -> list[int]:
        """Sends this. Returns the codes of as many replies, or of fewer if the session is over."""
        if data:
            self._ways[CLIENT].append(data)
        self._run()
        codes = [int(line[:3]) for line in self._heard.split(b"\r\n")[:-1] if line[3:4] == b" "]
        self._heard = b""
        is_more = self.lost and codes[count:] == [421]  # which answers nothing
        assert len(codes) == count or is_more or (self.lost and len(codes) < count), codes
        return codes[:count]

    def _connect(self) -> None:
        self._server = self._world.connects()
        self._proxy.server_connected(UpstreamTls.NONE, self._server.plan.dialect)
        self._ways[SERVER] = deque(self._server.greets())

    def _run(self) -> None:
        """To where both sides wait for the client."""
        proxy = self._proxy
        while ready := [side for side, way in self._ways.items() if way and side in proxy.may_read]:
            side = self._random.choice(ready)
            data = self._ways[side].popleft()
            if not data:
                self._take(proxy.eof_from(side))
                continue
            cut = self._random.choice((len(data), self._random.randint(1, len(data))))
            if data[cut:]:
                self._ways[side].appendleft(data[cut:])
            self._take(proxy.receive_from(side, data[:cut]))
        assert not self._ways[CLIENT] or proxy.closed, "the client may not be read"

    def _take(self, events: Sequence[object]) -> None:
        for each in events:
            if isinstance(each, SendToClient):
                self._heard += each.data
            elif isinstance(each, SendToServer):
                assert SERVER not in self._closed
                self._ways[SERVER].extend(self._server.hears(each.data))
            elif isinstance(each, Close):
                self._closed.add(each.side)
                self._ways[each.side].clear()
                self.lost = self.lost or each.side is CLIENT
            elif isinstance(each, Connect):
                self._closed.discard(SERVER)
                self._connect()


@attrs.define
class Client:
    """Sends messages, each until it is accepted for all its recipients, in as many sessions as needed."""

    world: World
    is_pipelining: bool
    tries: int = 0
    told: dict[tuple[bytes, bytes], int] = attrs.field(factory=dict[tuple[bytes, bytes], int])
    """Try and recipient → the reply to the message for it; 0: none came, before the dot."""
    _session: Session | None = None

    def send(self, recipients: Sequence[bytes]) -> None:
        left = [*recipients]
        while left:
            self.tries += 1
            assert self.tries < 100
            tried = b"try %d" % self.tries
            self.told |= dict.fromkeys(((tried, to) for to in left), 0)
            self._try(tried, left)
            left = [to for to in left if self.told[tried, to] != 250]
            if left:
                self._session = None

    def quit(self) -> None:
        if self._session is not None:
            assert self._session.ask(b"QUIT\r\n", 1) in ([221], [421])  # which a server may say

    def _try(self, tried: bytes, recipients: Sequence[bytes]) -> None:
        session = self._session
        dialect = self.world.config.client_dialect
        if session is None:
            session = self._session = Session(self.world)
            assert session.ask(b"", 1) == [220], "noticed at the greeting"
            assert session.ask(EHLO[dialect] + b" me\r\n", 1) == [250], "noticed at EHLO"
        lines = [b"MAIL FROM:<a@me>\r\n", *(to + b"\r\n" for to in recipients), b"DATA\r\n"]
        codes: list[int] = []
        for group in [b"".join(lines)] if self.is_pipelining else lines:
            codes += session.ask(group, group.count(b"\r\n"))
            if session.lost:
                break
        accepted = codes[1:2] == [250]
        if session.lost:
            assert accepted, f"noticed before a recipient was accepted: {codes}"
            event(f"lost after {len(codes)} replies")
            return
        assert codes == [250] * (len(lines) - 1) + [354]
        count = 1 if dialect is Dialect.SMTP else len(recipients)
        replies = session.ask(tried + b"\r\n.\r\n", count)
        assert replies
        event(f"replies to a message: {replies}")
        if len(replies) < len(recipients):
            replies += replies[-1:] * (len(recipients) - len(replies))
        self.told |= {(tried, to): code for to, code in zip(recipients, replies, strict=True)}


@FEW
@given(
    st.lists(plans, max_size=MOST),
    st.lists(st.integers(1, 2), min_size=1, max_size=4),
    st.sampled_from(Dialect),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_nothing_is_lost_or_doubled(
    drawn: list[Plan], messages: list[int], dialect: Dialect, is_pipelining: bool, seed: int
) -> None:
    config = Config(reconnect=True, failover=MOST, client_dialect=dialect)
    world = World(deque(drawn), Random(seed), config)
    client = Client(world, is_pipelining)
    for number, count in enumerate(messages):
        client.send([b"RCPT TO:<%d-%d@mx>" % (number, each) for each in range(count)])
    client.quit()
    kept = [each for server in world.servers for each in server.kept]
    dots = [tried for server in world.servers for tried in server.dots]
    assert len(dots) == len(set(dots)), "a message has a second try after its dot"
    assert len(kept) == len(set(kept)), "doubled"
    told = client.told
    assert {each for each, code in told.items() if code == 250} <= set(kept), "lost"
    refused = {each for each, code in told.items() if code in (0, 421)}
    sure = {each for server in world.servers if server.plan.how is not How.NONSENSE for each in server.kept}
    assert not refused & sure, "kept, though the client was told that it is refused before the dot"
