"""The steps of a client in a dialogue through a proxy with rules, without a network."""

from __future__ import annotations

from abc import abstractmethod
from binascii import b2a_base64
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import attrs

from sansio_smtp.arguments import check_type
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config
from sansio_smtp.ends.transaction import Envelope
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
from sansio_smtp.questions import LogIn, LoginQuestion
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.host import Failure, Held, Host
from sansio_smtp.rules.ruleset import RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.rules.verdicts import Accept, Verdict
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import canonical
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.reply_reader import ReplyReader

from .chunks import Chunker, fixed, whole
from .copied import HEADING
from .dialogue import Dialogue, stuffed
from .noting_host import NotingHost
from .peers import Accepted, FakeServer
from .recorded import RecordedProxy

__all__ = ["Said", "Step", "Steps", "willing_server"]

Said: TypeAlias = Verdict | None
"""The result of a step: the verdict of a rule, or None if no rule gave one."""
Step: TypeAlias = Coroutine[Any, Any, Said]
"""A step that is still to be taken."""
R = TypeVar("R")

_MOST: Final = 1 << 20
"""Octets of one reply that the client reads."""

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


def _check_content(content: object) -> None:
    check_type(content, (bytes, bytearray), "the content of a message is bytes", "as of text.encode()")


def client_at(ip: str) -> ClientInfo:
    """A client with this address; on a unix socket if it is empty."""
    host = f"[{ip}]" if ":" in ip else ip
    return ClientInfo(address=f"{host}:49152" if ip else "unix")


@attrs.define(eq=False, repr=False)
class Steps(Generic[R]):
    """One client's dialogue, step by step. Each step returns the verdict that a rule gave in it, or None;
    `reply` is the reply to the client.

    As a context manager, it adds the dialogue to an error that leaves the block.
    """

    rules: RuleSet
    _known: ClientInfo
    _make_server: Callable[[], FakeServer]
    _inner: Host | None
    _config: Config | None
    _on_error: OnError | None
    _cut: Chunker = whole

    conn: Connection = attrs.field(init=False)
    """The connection as the rules see it."""
    replies: list[Reply] = attrs.field(factory=list[Reply], init=False)
    """All replies to the client, the greeting first. `Reply.origin` says who has decided each."""
    servers: list[tuple[str | None, FakeServer]] = attrs.field(
        factory=list[tuple[str | None, FakeServer]], init=False
    )
    """The servers that were connected, by the name that a rule gave them; None is the usual one."""
    completed: list[BodyComplete] = attrs.field(factory=list[BodyComplete], init=False)
    """For each message that went to a server: its size, and the declarations of MAIL that edits broke."""
    closed: bool = attrs.field(default=False, init=False)
    """True if the client's connection is closed. Then all steps except `quit` raise `LocalProtocolError`."""
    _host: NotingHost = attrs.field(init=False)
    _proxy: RecordedProxy = attrs.field(init=False)
    _session: RuleSession = attrs.field(init=False)
    _reader: ReplyReader = attrs.field(factory=lambda: ReplyReader(_MOST), init=False)
    _server: FakeServer | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)
    """True if the rules of phase disconnect were asked."""

    def __attrs_post_init__(self) -> None:
        self.conn = Connection.of(self._known, "test")
        self._host = NotingHost(self._inner)
        self._proxy = RecordedProxy(
            self._config or Config(reconnect=True), self.rules.ask, client=self._known
        )
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

    @property
    def script(self) -> str:
        """All that has happened, as a dialogue script that `play` can play."""
        return self._proxy.dialogue

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: the last reply is {self.reply}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            error.add_note(f"{HEADING}\n\n{self.script}")

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

    def message(self, content: bytes, pieces: int | None = None, *, exact: bool = False) -> R:
        """DATA, the content, and its end; bare newlines in ``content`` become CRLF, unless it is ``exact``.
        With ``pieces`` it arrives in segments of that many octets. Refused or not, `reply` is the last
        reply."""
        _check_content(content)
        wire = stuffed(content if exact else canonical(content))
        cut = self._cut if pieces is None else fixed(pieces)

        async def say() -> None:
            await self._say(b"DATA\r\n")
            if self._is_asked_for_content:
                await self._say(wire, cut)

        return self._step(self._open(say))

    def command(self, line: str | bytes) -> R:
        """Any command line."""
        return self.octets(Command.of(line).raw + b"\r\n")

    def octets(self, octets: bytes) -> R:
        """Any octets, as they are: also those that no honest client sends."""

        async def say() -> None:
            await self._say(octets)

        return self._step(self._open(say))

    def send(self, envelope: Envelope, content: bytes) -> R:
        """MAIL, each RCPT, and the message if one of the recipients is accepted, else RSET. The content is
        sent as it is, dot-stuffed."""

        check_type(
            envelope,
            Envelope,
            "send takes an Envelope and a message",
            'with addresses: s.mail("ann@example.com"), s.rcpt("bob@example.net"), s.message(content)',
        )
        _check_content(content)

        async def say() -> None:
            mail = envelope.mail or Command.of("MAIL FROM:<>")
            await self._say(mail.raw + b"\r\n")
            accepted = [await self._accepted(each) for each in envelope.recipients] if self.ok else []
            await self._say(b"DATA\r\n" if any(accepted) else b"RSET\r\n")
            if self._is_asked_for_content:
                await self._say(stuffed(content))

        return self._step(self._open(say))

    def say(self, dialogue: Dialogue) -> R:
        """All turns of a client, up to the end of the connection."""
        check_type(
            dialogue,
            Dialogue,
            "say takes a Dialogue",
            'for one command: s.command("NOOP"); to play a dialogue script: play(text)',
        )

        async def say() -> None:
            if not dialogue.waits:
                await self._say(dialogue.octets)
                return
            for turn in dialogue.turns:
                await self._say(turn.line + b"\r\n")
                if self._is_asked_for_content:
                    await self._say(stuffed(turn.content or b""))

        return self._step(self._open(say))

    def quit(self) -> R:
        """QUIT, unless the connection is closed already, and then the end of the connection."""

        async def say() -> None:
            if not self.closed:
                await self._say(b"QUIT\r\n")
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

    async def _say(self, octets: bytes, cut: Chunker | None = None) -> None:
        for piece in (cut or self._cut)(octets):
            if not self.closed:
                await self._take(self._proxy.receive_from(CLIENT, piece))
                await self._listen()

    async def _accepted(self, command: Command) -> bool:
        await self._say(command.raw + b"\r\n")
        return self.ok

    @property
    def _is_asked_for_content(self) -> bool:
        return not self.closed and self.reply is not None and self.reply.code == 354

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
            self._hear(event)
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

    def _hear(self, event: SendToClient) -> None:
        self._reader.feed(event.data)
        while (reply := self._reader.next_reply()) is not None:
            self.replies.append(attrs.evolve(reply, origin=event.origin))
