"""For tests of rules: two messages through a proxy whose rules say one thing at one place, in every way in
which octets may travel, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from itertools import pairwise, product
from types import coroutine
from typing import Any

import attrs

from sansio_smtp import CLIENT, Close, Command, Config, Proxy, Reply, SendToClient
from sansio_smtp.events import SendToServer
from sansio_smtp.rules import Connection, Held, Host, Rule, RuleSession, RuleSet
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.testing import FakeClient, FakeServer, Message, bytewise, converse, whole

AUTH = "AUTH PLAIN AGFubgBzZWNyZXQ="
FIRST = Message(
    "one@me.example",
    ("bob@mx.example", "eve@mx.example"),
    b"Subject: pets\r\n\r\nA dog is\r\nno cat\r\n.\r\nat all\r\n",
)
SECOND = Message("two@me.example", ("bob@mx.example",), b"Subject: more\r\n\r\nNo cat\r\n")
ADDED = b"X-Whole: yes\r\n"
"""What the rule beside writes at the end of each header section."""

LINES = {
    "EHLO": "EHLO me.example",
    "AUTH": AUTH,
    "MAIL1": "MAIL FROM:<one@me.example>",
    "MAIL2": "MAIL FROM:<two@me.example>",
    "BOB": "RCPT TO:<bob@mx.example>",
    "EVE": "RCPT TO:<eve@mx.example>",
}

KINDS = ("sync", "async", "threaded")


@attrs.frozen
class Way:
    """How things travel. It must make no difference, but for a message that is held."""

    held: bool = False
    """Whether a rule that wants whole messages stands beside."""
    octets: bool = False
    """Whether all comes octet by octet."""
    client_pipelines: bool = False
    server_pipelines: bool = False

    def __str__(self) -> str:
        names = [field.name for field in attrs.fields(Way) if getattr(self, field.name)]
        return "+".join(names) or "plain"


WAYS = [Way(*flags) for flags in product((False, True), repeat=4)]

Says = Callable[..., Any]
"""Takes the arguments of a phase."""


@coroutine
def pause() -> Generator[None, None, None]:
    """Lets the driver go on with something else."""
    yield


class Surroundings(Host):
    """Rules that have to be awaited are awaited for a while."""

    def __init__(self, late: bool) -> None:
        """``late``: whether a rule that is awaited takes too long."""
        super().__init__()
        self.late = late
        self.awaited: list[Rule] = []
        self.decisions: list[tuple[Rule, Any]] = []

    async def call(self, rule: Rule, *arguments: object) -> object:
        self.awaited.append(rule)
        await pause()
        if self.late:
            raise TimeoutError("no verdict within 30 s")
        result = rule.function(*arguments)  # which a thread would call
        return result if rule.threaded else await result

    def decided(self, rule: Rule, verdict: Any) -> None:
        self.decisions.append((rule, verdict))


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine to its end, however often it pauses."""
    try:
        while True:
            work.send(None)
    except StopIteration as done:
        return done.value


def rule(phase: str, says: Says, kind: str, on_error: OnError | None = None) -> Rule:
    if kind != "async":
        return Rule(phase, says, f"test.{phase}", threaded=kind == "threaded", on_error=on_error)

    async def later(*arguments: Any) -> Any:
        await pause()
        return says(*arguments)

    return Rule(phase, later, f"test.{phase}", is_async=True, on_error=on_error)


def write_header(tx: Any, msg: Any) -> None:
    msg.headers.add("X-Whole", "yes")


@attrs.define
class Ran:
    """What came of it."""

    client: FakeClient
    host: Surroundings
    proxy: Proxy
    session: RuleSession
    servers: list[tuple[str, FakeServer]]
    """By name, in the order in which they were connected; the one of the start is ``home``."""
    closed: dict[str, bool]

    @property
    def told(self) -> list[Reply]:
        return self.client.replies

    @property
    def held(self) -> list[Held]:
        return self.host.held


def run(
    rules: list[Rule],
    way: Way,
    kind: str,
    on_error: OnError = "defer",
    *,
    auth: bool = False,
    late: bool = False,
) -> Ran:
    """Has two messages sent, then QUIT."""
    if way.held:
        rules = [*rules, Rule("message", write_header, "test.beside")]
    ruleset = RuleSet(rules)
    host = Surroundings(late)
    proxy = Proxy(Config(reconnect=True), ruleset.ask)
    session = RuleSession(ruleset, proxy, Connection("192.0.2.1:49152"), host, on_error)
    client = FakeClient(
        (FIRST, SECOND), pipelined=way.client_pipelines, lines=[AUTH] if auth else [], hello="EHLO me.example"
    )
    ran = Ran(client, host, proxy, session, [], {})

    def connect(upstream: str | None) -> FakeServer:
        keywords = ["PIPELINING", "8BITMIME"] if way.server_pipelines else ["8BITMIME"]
        server = FakeServer(keywords, judge=authenticated)
        ran.servers.append((upstream or "home", server))
        return server

    def judge(question: Any) -> Any:
        if kind == "sync":
            assert not session.waits_for(question)
        return finish(session.judge(question)) if session.waits_for(question) else session.judge_now(question)

    refused = finish(session.connect())
    if isinstance(refused, Reply):
        for event in proxy.refuse(refused):
            assert not isinstance(event, SendToServer)
            if isinstance(event, SendToClient):
                client.receive(event.data)
            elif isinstance(event, Close) and event.side is CLIENT:
                client.closed_by_peer()
    else:
        converse(
            client,
            connect(refused),
            proxy,
            cut=bytewise if way.octets else whole,
            judge=judge,
            connect=connect,
            late=kind != "sync",
        )
    finish(session.disconnect())
    return ran


def authenticated(command: Command) -> Reply | None:
    return Reply.of(235, "authenticated", enhanced="2.7.0") if command.verb == b"AUTH" else None


# What must come of it


@attrs.frozen
class Expected:
    """``told``: the codes that the client hears, ``said`` standing for the verdict's reply. ``servers``: for
    each connection its name and what it hears: names of `LINES` or verbs; ``DATA`` is a message that is
    taken, ``DATA!`` a DATA that the server refuses, ``ABORT`` the end of one reset in mid-message."""

    told: str
    servers: tuple[str, ...]
    held: bool = False
    """Whether the first message is in quarantine."""
    at_least: bool = False
    """Whether the server may have heard more by then, if commands were sent in groups."""

    def check(self, ran: Ran, said: Reply | None, first: bytes, second: bytes) -> None:
        """``first`` and ``second``: the content of the messages, where they are delivered."""
        told = [said if word == "said" else int(word) for word in self.told.split()]
        assert [
            reply if isinstance(word, Reply) else reply.code
            for reply, word in zip(ran.told, told, strict=False)
        ] == told
        assert len(ran.told) == len(told)
        assert ran.client.gone
        assert ran.proxy.closed
        assert [name for name, _ in ran.servers] == [text.split()[0] for text in self.servers]
        for text, (_, server) in zip(self.servers, ran.servers, strict=True):
            self._check_server(text.split()[1:], server, first, second)
        assert [held.message for held in ran.held] == [FIRST.content] * self.held
        for held in ran.held:
            assert held.tx.mail_from is not None
            assert held.tx.mail_from.address == FIRST.sender
            assert [to.address for to in held.tx.rcpts] == list(FIRST.recipients)

    def _check_server(self, words: list[str], server: FakeServer, first: bytes, second: bytes) -> None:
        commands = [command.decode() for command in server.commands]
        expected = [LINES.get(word, word.rstrip("!")) for word in words if word != "ABORT"]
        assert commands[: len(expected)] == expected
        if not self.at_least:
            assert commands == expected
            assert server.aborted == ("ABORT" in words)
        taken = list(deliveries(words, first, second))
        assert [(got.sender, got.recipients, got.content) for got in server.accepted] == taken


def deliveries(
    words: list[str], first: bytes, second: bytes
) -> Generator[tuple[str, tuple[str, ...], bytes], None, None]:
    """The messages that a server takes that hears this."""
    sender, recipients = "", list[str]()
    for word, following in pairwise([*words, ""]):
        if word.startswith("MAIL"):
            sender, recipients = (FIRST if word == "MAIL1" else SECOND).sender, []
        elif word in ("BOB", "EVE"):
            recipients.append(f"{word.lower()}@mx.example")
        elif word == "DATA" and following != "ABORT":
            yield sender, tuple(recipients), first if sender == FIRST.sender else second
