"""The steps of a client in a dialogue through a proxy with rules, without a network."""

from __future__ import annotations

from abc import abstractmethod
from binascii import b2a_base64
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeAlias, TypeVar

import attrs

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config
from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.received import Pause
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    BodyComplete,
    Close,
    Connect,
    Event,
    MessageAnswered,
    SendToClient,
    SendToServer,
)
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import LogIn, LoginQuestion
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.host import Failure, Held, Host
from sansio_smtp.rules.ruleset import Rule, RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.rules.verdicts import Accept, Hold, Verdict
from sansio_smtp.rules.views import Transaction
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import ContentWriter, canonical
from sansio_smtp.wire.replies import Reply

from .peers import Accepted, FakeServer

__all__ = ["Said", "Step", "Steps", "willing_server"]

Said: TypeAlias = Verdict | None
"""The result of a step: the verdict of a rule, or None if no rule gave one."""
Step: TypeAlias = Coroutine[Any, Any, Said]
"""A step that is still to be taken."""
R = TypeVar("R")

_KEYWORDS: Final = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "DSN", "AUTH PLAIN LOGIN")


def willing_server() -> FakeServer:
    """A server that accepts every command, login and message."""

    def judge(command: Command) -> Reply | None:
        return Reply.of(235, "authenticated", enhanced="2.7.0") if command.verb == b"AUTH" else None

    return FakeServer(keywords=_KEYWORDS, judge=judge)


class _External:
    """The login of the proxy at a server that accepts every login."""

    name = "EXTERNAL"
    initial: bytes | None = b""
    complete = True

    def respond(self, challenge: bytes) -> bytes:
        raise ValueError("there is nothing more to say")

    def forget(self) -> None:
        """There is no secret."""


class _Host(Host):
    """Notes verdicts, held messages and failures, and passes every call on to another host."""

    def __init__(self, inner: Host | None) -> None:
        super().__init__()
        self.inner = inner or Host()
        self.waits = self.inner.waits
        self.verdicts: list[Verdict] = []

    async def call(self, rule: Rule, *arguments: object) -> object:
        return await self.inner.call(rule, *arguments)

    def enter(self, rule: Rule) -> None:
        self.inner.enter(rule)

    def leave(self) -> None:
        self.inner.leave()

    def changes(self, rule: Rule, find: Callable[[], list[str]]) -> list[str]:
        return self.inner.changes(rule, find)

    def failed(self, rule: Rule, error: BaseException) -> str:
        incident = self.inner.failed(rule, error)
        self.failures.append(Failure(rule, error, incident))
        return incident

    def decided(self, rule: Rule, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self.inner.decided(rule, verdict)

    def edited(self, rule: Rule, change: str) -> None:
        self.inner.edited(rule, change)

    async def hold(self, tx: Transaction, message: bytes, verdict: Hold) -> None:
        await self.inner.hold(tx, message, verdict)
        self.held.append(Held(tx, message, verdict))


def client_at(ip: str) -> ClientInfo:
    """A client with this address; on a unix socket if it is empty."""
    host = f"[{ip}]" if ":" in ip else ip
    return ClientInfo(address=f"{host}:49152" if ip else "unix")


@attrs.define(eq=False)
class Steps(Generic[R]):
    """One client's dialogue, step by step. Each step returns the verdict that a rule gave in it, or None;
    `reply` is the reply to the client."""

    rules: RuleSet
    _known: ClientInfo
    _make_server: Callable[[], FakeServer]
    _inner: Host | None
    _config: Config | None
    _on_error: OnError | None

    conn: Connection = attrs.field(init=False)
    """The connection as the rules see it."""
    replies: list[Reply] = attrs.field(factory=list[Reply], init=False)
    """All replies to the client, the greeting first."""
    servers: list[tuple[str | None, FakeServer]] = attrs.field(
        factory=list[tuple[str | None, FakeServer]], init=False
    )
    """The servers that were connected, by the name that a rule gave them; None is the usual one."""
    completed: list[BodyComplete] = attrs.field(factory=list[BodyComplete], init=False)
    """For each message that went to a server: its size, and the declarations of MAIL that edits broke."""
    closed: bool = attrs.field(default=False, init=False)
    """True if the client's connection is closed. Then all steps except `quit` raise `LocalProtocolError`."""
    _host: _Host = attrs.field(init=False)
    _proxy: Proxy = attrs.field(init=False)
    _session: RuleSession = attrs.field(init=False)
    _client: ClientConnection = attrs.field(factory=ClientConnection, init=False)
    _server: FakeServer | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)
    """True if the rules of phase disconnect were asked."""

    def __attrs_post_init__(self) -> None:
        self.conn = Connection.of(self._known, "test")
        self._host = _Host(self._inner)
        self._proxy = Proxy(self._config or Config(reconnect=True), self.rules.ask, client=self._known)
        self._session = RuleSession(self.rules, self._proxy, self.conn, self._host, self._on_error or "defer")

    @property
    def ip(self) -> str:
        """The client's address as the rules see it."""
        return self.conn.ip

    @property
    def reply(self) -> Reply | None:
        """The last reply to the client."""
        return self.replies[-1] if self.replies else None

    @property
    def ok(self) -> bool:
        """True if the last reply was a 2xx reply."""
        return self.reply is not None and self.reply.severity == 2

    @property
    def delivered(self) -> list[Accepted]:
        """The messages that servers accepted, oldest first for each server."""
        return [message for _, server in self.servers for message in server.accepted]

    @property
    def held(self) -> list[Held]:
        """The messages that rules put into quarantine."""
        return self._host.held

    @property
    def failures(self) -> list[Failure]:
        """The rules that failed."""
        return self._host.failures

    # Steps

    def connect(self) -> R:
        """The first step. `session` has done it already."""
        return self._step(self._connect)

    def helo(self, name: str, verb: str = "EHLO") -> R:
        """EHLO, or HELO."""
        return self.command(f"{verb} {name}")

    def auth(self, login: str, password: str = "secret", mechanism: str = "PLAIN") -> R:
        """AUTH with an initial response: that of PLAIN, else ``login`` as it is."""
        response = f"\0{login}\0{password}" if mechanism == "PLAIN" else login
        octets = response.encode("utf-8", "surrogateescape")
        return self.command(f"AUTH {mechanism} {b2a_base64(octets, newline=False).decode() or '='}")

    def mail(self, address: str, parameters: str = "") -> R:
        """MAIL, with parameters as in ``"SIZE=1000 BODY=8BITMIME"``; an empty address is the null path."""
        return self.command(f"MAIL FROM:<{address}> {parameters}".rstrip())

    def rcpt(self, address: str, parameters: str = "") -> R:
        """RCPT."""
        return self.command(f"RCPT TO:<{address}> {parameters}".rstrip())

    def message(self, content: bytes, pieces: int = 65_536) -> R:
        """DATA, the content, and its end; bare newlines in ``content`` become CRLF. It arrives in segments of
        ``pieces`` octets. Refused or not, `reply` is the last reply."""

        async def say() -> None:
            await self._say(self._client.send_command(Command.of("DATA")))
            if self.reply is None or self.reply.severity != 3:
                return
            writer = ContentWriter()
            wire = writer.feed(canonical(content)) + writer.finish()
            wire = self._client.send_content(wire) + self._client.send_end_of_data()
            for at in range(0, len(wire), pieces):
                await self._say(wire[at : at + pieces])

        return self._step(self._open(say))

    def command(self, line: str | bytes) -> R:
        """Any command line."""

        async def say() -> None:
            await self._say(self._client.send_command(Command.of(line)))

        return self._step(self._open(say))

    def quit(self) -> R:
        """QUIT, unless the connection is closed already, and then the end of the connection."""

        async def say() -> None:
            if not self.closed:
                await self._say(self._client.send_command(Command.of("QUIT")))
            await self._end()

        return self._step(say)

    def disconnect(self) -> R:
        """The client closes its connection without QUIT."""

        async def go() -> None:
            await self._take(self._proxy.eof_from(CLIENT))
            await self._end()

        return self._step(self._open(go))

    @abstractmethod
    def _step(self, do: Callable[[], Coroutine[Any, Any, None]]) -> R: ...

    async def _perform(self, do: Callable[[], Coroutine[Any, Any, None]]) -> Said:
        host = self._host
        verdicts_before, failures_before = len(host.verdicts), len(host.failures)
        await do()
        self._session.learn()
        if self._on_error is None:
            for failure in host.failures[failures_before:]:
                raise failure.error
        # A refusal ends a step. Rules of other phases may have given Accept in the same step.
        said = host.verdicts[verdicts_before:]
        return next((each for each in said if not isinstance(each, Accept)), said[-1] if said else None)

    def _open(self, do: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        if self.closed:
            raise LocalProtocolError(f"the connection is closed; the last reply was: {self.reply}")
        return do

    # The wire

    async def _connect(self) -> None:
        said = await self._session.connect()
        if isinstance(said, Reply):
            await self._take(self._proxy.refuse(said))
        else:
            if said is not None:
                self._proxy.prefer(said)
            self._join(said)
            await self._listen()

    async def _end(self) -> None:
        self.closed = True
        if not self._told:
            self._told = True
            await self._session.disconnect()

    def _join(self, upstream: str | None) -> None:
        self._server = self._make_server()
        self.servers.append((upstream, self._server))

    async def _say(self, octets: bytes) -> None:
        if not self.closed:
            await self._take(self._proxy.receive_from(CLIENT, octets))
            await self._listen()

    async def _listen(self) -> None:
        """Gives the proxy what the server sends, until the server sends nothing more."""
        while self._server is not None and (octets := self._server.take()):
            await self._take(self._proxy.receive_from(SERVER, octets))

    async def _take(self, events: list[Event]) -> None:
        while events:
            question: Any = None
            for event in events:
                if isinstance(event, Ask):
                    question = event.question
                elif isinstance(event, MessageAnswered):
                    await self._answered(event)
                else:
                    self._took(event)
            if question is None:
                return
            is_login = isinstance(question, LoginQuestion)
            verdict: Any = LogIn(_External()) if is_login else await self._session.judge(question)
            events = self._proxy.answer(question, verdict)

    async def _answered(self, event: MessageAnswered) -> None:
        rest = self._session.delivered(event)
        if rest is not None:
            await rest

    def _took(self, event: Event) -> None:
        if isinstance(event, SendToClient):
            self._hear(event.data)
        elif isinstance(event, SendToServer):
            assert self._server is not None
            self._server.receive(event.data)
        elif isinstance(event, Close):
            self._close(event)
        elif isinstance(event, Connect):
            self._join(event.upstream)
        elif isinstance(event, BodyComplete):
            self.completed.append(event)

    def _close(self, event: Close) -> None:
        if event.side is CLIENT:
            self.closed = True
        elif self._server is not None:
            self._server.closed_by_peer()
            self._server = None

    def _hear(self, octets: bytes) -> None:
        self._client.receive_data(octets)
        while not isinstance(event := self._client.next_event(), Pause):
            assert isinstance(event, ReplyReceived)
            self.replies.append(event.reply)
