"""Drives `Twins` between two simulated peers, as a driver would: it respects `may_read`, delivers what
it is told to deliver, and chooses the cuts and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from core.spools import MemorySpool
from hypothesis import strategies as st
from twins import DRAWN, Twins

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
    BodyChunk,
    BodyComplete,
    Close,
    Config,
    Connect,
    Continue,
    Event,
    MessageAnswered,
    Received,
    SendToClient,
    SendToServer,
    Side,
    Violation,
)
from sansio_smtp.questions import AnyQuestion, AnyVerdict

from .dialogues import Dialogue, Later
from .peers import REPLIES_OF_ONE, SimClient, SimServer
from .receivers import Item
from .scripts import Log, telling

Judge = Callable[[AnyQuestion], AnyVerdict]


def let_all_pass(_: AnyQuestion) -> AnyVerdict:
    return Continue()


@attrs.frozen
class Schedule:
    """Drawn numbers: how much arrives at each step, and who acts. Where they end, all that is there
    arrives, and the client comes before the server, before the verdict."""

    sizes: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    rest: int = 1 << 30
    verdicts_first: bool = False


@attrs.define
class World:
    """One dialogue under way, and all that was seen of it."""

    dialogue: Dialogue
    schedule: Schedule = attrs.field(factory=Schedule)
    ask: frozenset[str] = frozenset()
    judge: Judge = let_all_pass
    client_limit: int | None = None
    """The client is cut off after this many octets."""
    after_reply: Callable[[World], None] = lambda _: None
    room: int | None = None
    """Octets that fit into the spool of a message that is too large for memory; None: there is no spool."""
    readable: bool = True
    """True if the spool is."""
    make: Callable[..., Twins] = DRAWN
    """Makes the proxy."""

    proxy: Twins = attrs.field(init=False)
    client: SimClient = attrs.field(init=False)
    servers: list[SimServer] = attrs.field(init=False)
    """All that were ever connected; the last is the one that is, if any is."""
    upstreams: list[str | None] = attrs.field(factory=lambda: [None], init=False)
    """What the proxy called them."""
    connecting: bool = attrs.field(default=False, init=False)
    """True if another server is asked for that is not there yet."""
    spools: list[MemorySpool] = attrs.field(factory=list[MemorySpool], init=False)
    events: list[Event] = attrs.field(factory=list, init=False)
    question: AnyQuestion | None = attrs.field(default=None, init=False)
    closed: set[Side] = attrs.field(factory=set, init=False)
    eof: set[Side] = attrs.field(factory=set, init=False)
    told_at: dict[int, int] = attrs.field(factory=dict[int, int], init=False)
    """For each item of a server, by the number of its reply: how many replies the client had got by then."""
    log: Log = attrs.field(init=False, repr=False)
    """The dialogue in the notation of scripts."""
    read: tuple[Any, Any] | None = attrs.field(default=None, init=False, repr=False)
    """What `Account.of` has made of the dialogue so far, and of how much of it."""
    steps: int = attrs.field(default=0, init=False)
    arrived: int = attrs.field(default=0, init=False)  # octets of the client

    def __attrs_post_init__(self) -> None:
        dialogue = self.dialogue
        self.proxy = self.make(dialogue.config, self.ask, self._make_spool if self.room is not None else None)
        self.log = Log(self.ask, dialogue.config)
        self.client = SimClient(dialogue.units, dialogue.style)
        self.servers = [
            SimServer(
                dialogue.choices,
                pipelining=dialogue.pipelining,
                greeting=dialogue.greeting,
                chunking=dialogue.chunking,
            )
        ]

    def _make_spool(self) -> MemorySpool:
        assert self.room is not None
        self.spools.append(MemorySpool(self.room, self.readable))
        return self.spools[-1]

    @property
    def server(self) -> SimServer:
        """The one that is connected."""
        return self.servers[-1]

    def arrived_as(self, number: int) -> Item:
        """What the server has found for which it gave the reply of this number."""
        server, index = divmod(number, REPLIES_OF_ONE)
        return self.servers[server].receiver.items[index]

    def code_of(self, number: int) -> int:
        """The code of the reply of this number."""
        server, index = divmod(number, REPLIES_OF_ONE)
        return self.servers[server].codes[index]

    @property
    def items(self) -> list[list[Item]]:
        """What each server has found."""
        return [server.receiver.items for server in self.servers]

    @property
    def wires(self) -> list[bytes]:
        """What each server was sent."""
        return [bytes(server.received) for server in self.servers]

    @property
    def segments(self) -> list[list[Event]]:
        """The events, cut where another server takes the place of the one before."""
        segments: list[list[Event]] = [[]]
        for event in self.events:
            if isinstance(event, Connect):
                segments.append([])
            segments[-1].append(event)
        return segments

    def run(self) -> World:
        """To the end. P11 is checked on the way: something can always be done, and it ends."""
        with telling(self.log):
            while not self.proxy.closed:
                self.step()
                assert self.steps < 50_000, "the dialogue does not end"
        return self

    def step(self) -> None:
        options = self._options()
        assert options, f"nothing can be done: {self.proxy.states} {self.proxy.waiting_for}"
        turns, sizes = self.schedule.turns, self.schedule.sizes
        if self.question is not None and self.schedule.verdicts_first:
            options = [self.answer]
        turn = turns[self.steps] if self.steps < len(turns) else 0
        size = sizes[self.steps] if self.steps < len(sizes) else self.schedule.rest
        self.steps += 1
        self.take(options[turn % len(options)](size))

    def take(self, events: list[Event]) -> None:
        """Does at once what a list of events says."""
        self.events += events
        self.log.follows(events)
        for event in events:
            if isinstance(event, SendToClient):
                assert CLIENT not in self.closed, "sent to a closed client"
                self.client.receive(event.data)
            elif isinstance(event, SendToServer):
                assert SERVER not in self.closed, "sent to a closed server"
                assert not self.connecting, "sent to a server that is not there"
                server = self.server
                in_step = server.may_get_more or not server.owes or server.spoke_unasked
                assert in_step, "sent before the reply to the line before it (RFC 2920 §3.1)"
                self._server_receives(event.data)
            elif isinstance(event, Close):
                assert event.side not in self.closed, "closed twice"
                self.closed.add(event.side)
            elif isinstance(event, Connect):
                assert SERVER in self.closed, "two servers"
                self.closed.discard(SERVER)
                self.eof.discard(SERVER)
                self.upstreams.append(event.upstream)
                self.connecting = True
            elif isinstance(event, Ask):
                assert self.question is None, "two questions are open"
                self.question = event.question
        if self.proxy.closed:
            self.question, self.connecting = None, False
            assert self.closed == {CLIENT, SERVER}
            assert all(spool.closed for spool in self.spools)
        self._check_liveness()
        if any(isinstance(event, SendToClient | Close) for event in events):
            self.after_reply(self)

    def _server_receives(self, data: bytes) -> None:
        server = self.server
        known = len(server.codes)
        server.receive(data)
        for index in range(known, len(server.codes)):
            self.told_at[server.first + index] = len(self.client.codes)

    def _check_liveness(self) -> None:
        proxy = self.proxy
        readable = proxy.may_read - self.eof - self.closed
        going = self.question is not None or self.connecting or proxy.has_more
        assert proxy.closed or readable or going, "stalled"
        assert not proxy.closed or not proxy.may_read

    def _options(self) -> list[Callable[[int], list[Event]]]:
        options: list[Callable[[int], list[Event]]] = []
        readable = self.proxy.may_read - self.eof
        if CLIENT in readable and (self._client_pending() or self._client_lost()):
            options.append(self.from_client)
        if self.proxy.has_more:
            options.append(lambda _: self.proxy.more())
        if self.connecting:
            options.append(self.connect)
        elif SERVER in readable and (self.server.pending or self.server.closed):
            options.append(self.from_server)
        if self.question is not None:
            options.append(self.answer)
        if not options and CLIENT in readable:
            options.append(self.client_eof)  # it has no more to say and waits for nothing that can come
            waits = not self.client.done and self.client_limit is None and not self.proxy.closed
            assert not waits or self.dialogue.style.name == "EAGER", "the client waits for a reply for ever"
        return options

    def _client_pending(self) -> int:
        pending = len(self.client.pending)
        limit = self.client_limit
        return pending if limit is None else max(0, min(pending, limit - self.arrived))

    def _client_lost(self) -> bool:
        return self.client_limit is not None and self.arrived >= self.client_limit

    def from_client(self, size: int) -> list[Event]:
        count = min(size, self._client_pending())
        if not count:
            return self.client_eof(size)
        data = bytes(self.client.pending[:count])
        del self.client.pending[:count]
        self.arrived += count
        self.log.arrives(CLIENT, data)
        return self.proxy.receive_from(CLIENT, data)

    def client_eof(self, _: int) -> list[Event]:
        self.eof.add(CLIENT)
        self.log.happens("C: <eof>")
        return self.proxy.eof_from(CLIENT)

    def stop(self, how: str) -> None:
        """The dialogue is ended from outside: "timeout", "shutdown" or "now"."""
        proxy = self.proxy
        self.log.happens({"now": "<shutdown now>"}.get(how, f"<{how}>"))
        self.take(proxy.timed_out() if how == "timeout" else proxy.shutdown(now=how == "now"))

    def connect(self, _: int) -> list[Event]:
        """The server that is asked for is there, or cannot be reached."""
        number, later = len(self.servers), self.dialogue.later
        self.connecting = False
        what = later[number - 1] if number <= len(later) else Later()
        self.servers.append(
            SimServer(
                what.choices,
                pipelining=self.dialogue.pipelining,
                greeting=what.greeting,
                first=number * REPLIES_OF_ONE,
                chunking=self.dialogue.chunking,
            )
        )
        if what.reachable:
            return []
        self.log.happens("<unreachable>")
        return self.proxy.server_unreachable()

    def from_server(self, size: int) -> list[Event]:
        data = bytes(self.server.pending[:size])
        del self.server.pending[:size]
        if not data:
            self.eof.add(SERVER)
            self.log.happens("S: <eof>")
            return self.proxy.eof_from(SERVER)
        self.log.arrives(SERVER, data)
        return self.proxy.receive_from(SERVER, data)

    def answer(self, _: int) -> list[Event]:
        question, self.question = self.question, None
        assert question is not None
        verdict = self.judge(question)
        self.log.judged(verdict, question)
        return self.proxy.answer(question, verdict)

    @property
    def edited(self) -> bool:
        """True if a rule may have changed something."""
        return bool(self.ask) and self.judge is not let_all_pass

    def aborted(self) -> bool:
        return any(isinstance(event, Close) and event.abort for event in self.events)


def merged(events: list[Event], side: Side) -> list[object]:
    """What concerns one side, with adjacent sends and adjacent pieces of content made one."""
    out: list[object] = []
    for event in events:
        if isinstance(event, Close):
            if event.side is side:
                out.append(("close", event.abort))
        elif isinstance(event, Connect):
            if side is SERVER:
                out.append(("connect", event.upstream))
        elif isinstance(event, Violation):
            if event.side is side:
                out.append(("violation", event.error.reply_hint.raw))
        elif isinstance(event, Received):
            if event.side is side:
                out.append(("received", event.shown))
        elif isinstance(event, SendToServer | SendToClient):
            if isinstance(event, SendToServer) == (side is SERVER):
                _append(out, "send", event.data)
        elif isinstance(event, MessageAnswered):
            if side is CLIENT:
                out.append(("answered", event.reply.raw))
        elif side is SERVER and isinstance(event, AwaitReply):
            out.append(("await", event.command.raw, event.command.kind))
        elif side is CLIENT and isinstance(event, BodyComplete):
            out.append(("complete", event.size, event.edited, event.broken))
    return out


def without_lost_content(items: list[object]) -> list[object]:
    """Less what was sent of a message that was then thrown away: how much that is, is left open."""
    for at, item in enumerate(items):
        if (
            item == ("close", True)
            and at
            and isinstance(before := items[at - 1], tuple)
            and before[0] == "send"
        ):
            return [*items[: at - 1], *items[at:]]
    return items


def tapped(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, BodyChunk))


def _append(out: list[object], word: str, data: bytes) -> None:
    last = out[-1] if out else None
    if isinstance(last, tuple) and last[0] == word:
        out[-1] = (word, last[1] + data)
    else:
        out.append((word, data))


def bound(config: Config, segment: int) -> int:
    """The most that may be kept, if no segment is larger than ``segment`` octets."""
    unparsed = max(config.read_ahead, config.max_line + 2) + segment
    replies = max(config.max_reply, config.read_ahead) + segment
    commands = config.max_pipelined * config.max_line
    # A bare LF becomes CRLF: a piece of content doubles at the most.
    piece = 2 * unparsed
    content = max(config.max_header_section, config.max_body_line) + config.max_held
    return unparsed + replies + commands + content + config.max_body_line + 2 * piece


sizes = st.lists(st.sampled_from([1, 1, 1, 2, 3, 5, 7, 16, 64, 300, 1 << 20]), max_size=60).map(tuple)
turns = st.lists(st.integers(0, 2), max_size=60).map(tuple)
cuts = st.builds(Schedule, sizes)
OCTETS = Schedule(rest=1)
_drawn = st.builds(Schedule, sizes, turns)
schedules = st.one_of(_drawn, _drawn, _drawn, st.builds(Schedule, turns=turns, rest=st.just(1)))
AT_ONCE = Schedule(verdicts_first=True)
