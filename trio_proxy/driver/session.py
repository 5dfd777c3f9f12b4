"""One client: its connection, one to the server, a core between them, and two pumps in a nursery."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, cast

import attrs
import structlog
import trio

from sansio_smtp import (
    CLIENT,
    SERVER,
    Ask,
    BodyComplete,
    Close,
    Config,
    Connect,
    Disconnect,
    Event,
    MessageAnswered,
    Proxy,
    Question,
    Reply,
    SendToClient,
    SendToServer,
    Side,
    Spool,
    Violation,
    WaitingFor,
)
from sansio_smtp.questions import AnyQuestion
from sansio_smtp.rules import Connection, RuleSession, RuleSet
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.transcript import Transcript, printable

from .streams import NOWHERE, Outbox, Stream

__all__ = ["Judge", "Session", "Settings"]

log = structlog.stdlib.get_logger("smtp_proxy")

Judge = Callable[[Question[Any]], Awaitable[Any]]
"""Takes an open question, returns its verdict."""

_CLOSING_SECONDS = 10.0
"""For the last reply to leave and the client to take it, all together."""
_SILENCE_SECONDS = 2.0
"""A client that was told to go and sends nothing for so long has nothing more in flight."""
_RULE_FAILED = Reply.of(451, "a rule of this proxy failed, try again later", enhanced="4.3.0")


@attrs.frozen(kw_only=True)
class Settings:
    """What every session of a server shares."""

    connect: Callable[[], Awaitable[Stream]]
    """Gives a connection to the upstream server; raises OSError."""
    connect_to: Callable[[str], Awaitable[Stream]] | None = None
    """The same for a server that a rule names."""
    config: Config = attrs.field(factory=Config)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    ask: frozenset[str] = frozenset()
    judge: Judge | None = None
    """Answers the questions that ``ask`` raises."""
    rules: Callable[[], AbstractContextManager[RuleSet]] | None = None
    """Gives the rules of a new session, for as long as it lasts; in place of ``ask`` and ``judge``."""
    rule_settings: RuleSettings = attrs.field(factory=RuleSettings)
    make_spool: Callable[[], Spool] | None = None
    """Makes room on disk for a message that is too large to be held in memory."""
    write_transcript: Callable[[str], None] | None = None
    seconds: dict[WaitingFor, float] = attrs.field(init=False)
    """`timeouts`, as the core names them."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "seconds", self.timeouts.table)  # frozen for everybody else


class Session:
    """Runs one client's dialogue from connect to close."""

    def __init__(self, client: Stream, peer: str, number: int, settings: Settings) -> None:
        self._settings = settings
        self._peer = peer
        self._log = log.bind(conn=f"c{number}", peer=peer)
        self._tells = self._log.is_enabled_for(logging.INFO)
        write = settings.write_transcript
        self._transcript = Transcript(number, write) if write else None
        self._lease = ExitStack()
        rules = self._lease.enter_context(settings.rules()) if settings.rules else None
        ask = settings.ask if rules is None else rules.ask
        self._proxy = Proxy(settings.config, ask, settings.make_spool)
        self._rules: RuleSession | None = None
        if rules is not None and rules.rules:
            host = RuleHost(settings.rule_settings, self._log, self._transcript)
            conn = Connection(peer, f"c{number}")
            self._rules = RuleSession(rules, self._proxy, conn, host, settings.rule_settings.on_error)
        self._outboxes = {CLIENT: Outbox(client)}
        self._to_close: dict[Side, bool] = {}  # side → whether it is reset
        self._turns: dict[Side, trio.Event] = {}  # pumps that wait until they may read
        self._untold: list[MessageAnswered] = []  # messages whose reply has not left yet
        self._scope = trio.CancelScope()
        self._last_scope = trio.CancelScope()  # of what the rules are told in the end
        self._nursery: trio.Nursery | None = None
        self._sends_more = False
        self._first: str | None = None  # the server of this session, if a rule named one when it began
        self._server_scope = trio.CancelScope()
        self._progress = -1
        self._deadline = 0.0

    async def run(self) -> None:
        """Returns when both connections are closed, whatever happened."""
        self._note(f"{self._peer} connected")
        started = trio.current_time()
        try:
            with self._scope:
                await self._connect()
                await self._relay()
            if not self._proxy.closed:
                self._time_out()
            self._note(f"closed after {trio.current_time() - started:.1f} s")
            with trio.move_on_after(_CLOSING_SECONDS):
                await self._finish()
        finally:
            self._close_server()
            self._outboxes[CLIENT].stream.close()
            self._tell_untold()
            if self._rules is not None:
                await self._disconnect(self._rules)
            self._lease.close()

    def shutdown(self, *, now: bool = False) -> None:
        """The service stops: see `Proxy.shutdown`."""
        self._apply(self._proxy.shutdown(now=now))
        if self._proxy.closed:
            self._scope.cancel(reason="the service is shutting down")
        if now:
            self._last_scope.cancel(reason="the service is shutting down")

    # The dialogue

    async def _connect(self) -> None:
        if self._rules is not None:
            said = await self._rules.connect()
            if isinstance(said, Reply):
                self._apply(self._proxy.refuse(said))
                return
            self._first = said
        await self._connect_to(None)

    async def _connect_to(self, upstream: str | None) -> None:
        """Connects to a server, or tells the client that there is none."""
        stream: Stream | None = None
        why = "timeout"
        with trio.move_on_after(self._settings.timeouts.connect):
            try:
                stream = await self._connection(upstream)
            except OSError as error:
                why = str(error)
        if stream is None:
            self._log.error("upstream server cannot be reached", error=why, **_named(upstream or self._first))
            self._apply(self._proxy.server_unreachable())
        elif self._proxy.closed:
            stream.abort()
        else:
            self._outboxes[SERVER] = Outbox(stream)

    async def _connection(self, upstream: str | None) -> Stream:
        settings = self._settings
        upstream = upstream or self._first
        if upstream is None:
            return await settings.connect()
        if settings.connect_to is None:
            raise OSError("no server but the usual one can be used here")
        return await settings.connect_to(upstream)

    async def _reconnect(self, upstream: str | None) -> None:
        """Another server takes the place of the one that was left."""
        await self._flush(CLIENT)
        await self._connect_to(upstream)
        await self._flush(CLIENT)
        if not self._proxy.closed:
            await self._pump(SERVER)

    def _leave_server(self) -> None:
        """Nothing more is read from it; what was sent to it is written, if it takes it now."""
        self._server_scope.cancel(reason="another server is asked for")
        self._server_scope = trio.CancelScope()
        outbox, self._outboxes[SERVER] = self._outboxes[SERVER], Outbox(NOWHERE)
        outbox.flush_now()
        outbox.stream.close()
        self._to_close.pop(SERVER, None)
        self._turns.pop(SERVER, None)

    async def _relay(self) -> None:
        if self._proxy.closed:
            return
        self._move_deadline()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._pump, SERVER)
            await self._pump(CLIENT)

    async def _pump(self, side: Side) -> None:
        """Reads one side as long as it may be read, and writes what comes of it to either side."""
        if side is CLIENT:
            await self._pump_from(CLIENT, self._outboxes[CLIENT])
        else:
            with self._server_scope:
                await self._pump_from(SERVER, self._outboxes[SERVER])

    async def _pump_from(self, side: Side, outbox: Outbox) -> None:
        proxy = self._proxy
        stream = outbox.stream
        while not proxy.closed and self._outboxes[side] is outbox:
            if side not in proxy.may_read:
                self._turns[side] = turn = trio.Event()
                await turn.wait()
                continue
            try:
                data = await stream.receive()
            except trio.ClosedResourceError:
                return  # detached from the server, with the client still to be served
            except OSError as error:
                self._log.info("connection lost", side=side.value, error=str(error))
                data = b""
            if data:
                self._apply(proxy.receive_from(side, data))
            else:
                self._end_of(side)
            if not self._written():
                await self._flush(side)
            if not data:
                return

    def _end_of(self, side: Side) -> None:
        proxy = self._proxy
        if side is SERVER and (proxy.awaiting is None or proxy.awaiting.verb != b"QUIT"):
            self._log.warning("upstream server closed the connection", waiting_for=proxy.waiting_for.value)
        elif side is CLIENT and proxy.waiting_for is WaitingFor.CONTENT:
            self._log.warning("client closed the connection in mid-message")
        self._apply(proxy.eof_from(side))

    async def _send_more(self) -> None:
        """A large message goes out piece by piece, as fast as the server takes it."""
        try:
            while self._proxy.has_more:
                await self._outboxes[SERVER].flush()
                if self._proxy.has_more:
                    self._apply(self._proxy.more())
        finally:
            self._sends_more = False
        await self._flush(CLIENT)

    async def _flush(self, side: Side) -> None:
        """Writes what came of a side's input, and waits until it is written: this is the back-pressure."""
        if not self._proxy.closed:
            server, client = self._outboxes[SERVER], self._outboxes[CLIENT]
            if not server.flush_now():
                if side is CLIENT:
                    await server.flush()
                elif self._nursery is not None:
                    # What the server's replies released. Were its pump to wait here for a server that itself
                    # waits for us to read, neither would ever go on (RFC 2920 §3.1). What can pile up is
                    # bounded by Config.max_pipelined.
                    self._nursery.start_soon(server.flush)
            if not client.flush_now():
                await client.flush()
        self._settle()

    def _written(self) -> bool:
        """Writes what the kernel takes at once, which nearly always is all. Whether nothing is left."""
        if not self._proxy.closed and not (
            self._outboxes[SERVER].flush_now() and self._outboxes[CLIENT].flush_now()
        ):
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        if self._proxy.closed:
            self._scope.cancel()
            return
        if self._untold and self._outboxes[CLIENT].broken is None:
            self._untold.clear()
        self._move_deadline()

    def _apply(self, events: list[Event]) -> None:
        """Does what the core decided, in its order; nothing here waits."""
        while events:
            question: AnyQuestion | None = None
            for event in events:
                kind = type(event)
                if kind is SendToClient:
                    self._outboxes[CLIENT].put(event.data)  # type: ignore[union-attr]
                elif kind is SendToServer:
                    self._outboxes[SERVER].put(event.data)  # type: ignore[union-attr]
                elif kind is Ask:
                    question = cast("Ask", event).question
                elif kind in _RARE:
                    self._apply_rare(event)
            if self._transcript is not None:
                self._transcript.events(events)
            if question is None:
                break
            if self._rules is None or self._rules.waits_for(question):
                if self._nursery is not None:
                    self._nursery.start_soon(self._judge, question)
                break
            events = self._judge_now(self._rules, question)
        if self._proxy.has_more and not self._sends_more and self._nursery is not None:
            self._sends_more = True
            self._nursery.start_soon(self._send_more)
        if self._turns:
            for side in self._proxy.may_read & self._turns.keys():
                self._turns.pop(side).set()

    def _apply_rare(self, event: Event) -> None:
        if isinstance(event, Close):
            self._to_close[event.side] = event.abort
            outbox = self._outboxes.get(event.side)
            if event.abort and outbox is not None:
                outbox.drop()
                outbox.stream.abort()
        elif isinstance(event, MessageAnswered):
            self._untold.append(event)
            if self._tells:
                self._tell(event)
        elif isinstance(event, Violation):
            self._log.warning(
                "protocol violation",
                side=event.side.value,
                error=event.error.args[0],
                octets=printable(event.error.evidence),
                state=event.error.phase.name if event.error.phase else "",
            )
        elif isinstance(event, BodyComplete):
            self._log.debug("message received", size=event.size, edited=event.edited, broken=event.broken)
            if untrue := [name for name in event.broken if name != "SIZE"]:  # which servers take as a hint
                self._log.warning("a rule's edit needs what MAIL does not declare", broken=untrue)
        elif isinstance(event, Connect) and self._nursery is not None:
            self._leave_server()
            self._nursery.start_soon(self._reconnect, event.upstream)

    def _judge_now(self, rules: RuleSession, question: AnyQuestion) -> list[Event]:
        asked = cast("Question[Any]", question)
        try:
            return self._proxy.answer(asked, rules.judge_now(question))
        except Exception:
            self._log.exception("rule failed, closing")
            return self._proxy.answer(asked, Disconnect(_RULE_FAILED))

    async def _judge(self, question: Question[Any]) -> None:
        judge: Any = self._settings.judge if self._rules is None else self._rules.judge
        try:
            verdict = await judge(question)
            events = self._proxy.answer(question, verdict)
        except Exception:
            # Never the unjudged command or message: it fails closed.
            self._log.exception("rule failed, closing")
            events = self._proxy.answer(question, Disconnect(_RULE_FAILED))
        self._apply(events)
        await self._flush(CLIENT)

    def _move_deadline(self) -> None:
        """A deadline moves with progress, not with octets: a slow drip does not hold a session open."""
        proxy = self._proxy
        if proxy.progress == self._progress:
            return
        self._progress = proxy.progress
        waiting_for = proxy.waiting_for
        if waiting_for is WaitingFor.COMMAND and proxy.envelope.mail is None:
            seconds = self._settings.timeouts.idle
        else:
            seconds = self._settings.seconds[waiting_for]
        due = trio.current_time() + seconds
        # Moving a deadline costs more than looking at it. It may be a little late, never early.
        if not due <= self._deadline <= due + seconds / 32:
            self._deadline = self._scope.deadline = due + seconds / 64

    # The end

    def _time_out(self) -> None:
        waiting_for = self._proxy.waiting_for
        server = self._outboxes.get(SERVER)
        stalled = waiting_for is WaitingFor.CONTENT and bool(server)
        self._log.warning("timeout", waiting_for="server to read" if stalled else waiting_for.value)
        self._apply(self._proxy.timed_out(stalled=stalled))

    async def _disconnect(self, rules: RuleSession) -> None:
        """Tells the rules, whatever has ended the session; but not for ever."""
        self._last_scope.deadline = trio.current_time() + _CLOSING_SECONDS
        self._last_scope.shield = True
        with self._last_scope:
            await rules.disconnect()
        if self._last_scope.cancelled_caught:
            self._log.warning("a disconnect rule did not end")

    async def _finish(self) -> None:
        """The last octets leave, and the client gets the time to read them: a socket that is closed with
        octets unread resets the connection, and the reply that says why would be lost with it."""
        self._close_server()  # which has nothing to do with how long the client takes
        outbox = self._outboxes[CLIENT]
        await outbox.flush()
        outbox.stream.finish_sending()
        if outbox.broken is not None:
            return
        self._untold.clear()
        try:
            with trio.move_on_after(_SILENCE_SECONDS) as silence:
                while await outbox.stream.receive():
                    silence.deadline = trio.current_time() + _SILENCE_SECONDS
        except OSError:
            pass  # the client is gone; nothing can be lost any more

    def _close_server(self) -> None:
        server = self._outboxes.get(SERVER)
        if server is None:
            return
        if self._to_close.get(SERVER, True):
            server.stream.abort()
        else:
            server.stream.close()

    def _tell_untold(self) -> None:
        for event in self._untold:
            # The only trace for whoever meets the message twice (RFC 1047).
            self._log.warning("message answered, client not told", reply=str(event.reply))

    def _tell(self, event: MessageAnswered) -> None:
        mail, recipients = event.envelope.mail, event.envelope.recipients
        reply = str(event.reply)
        self._log.info("message answered", reply=reply, mail=str(mail or ""), recipients=len(recipients))

    def _note(self, text: str) -> None:
        if self._transcript is not None:
            self._transcript.note(text)


_RARE = frozenset((Close, Connect, MessageAnswered, Violation, BodyComplete))


def _named(upstream: str | None) -> dict[str, str]:
    return {} if upstream is None else {"upstream": upstream}
