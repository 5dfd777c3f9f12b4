"""For tests of rules: two messages through a proxy whose rule gives one verdict at one place, and the
expected result for any way in which the octets come."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from types import coroutine
from typing import Any, Final

import attrs
from dialogue_writer import WritingTwins
from pairs import FLAG

from sansio_smtp import (
    CLIENT,
    Close,
    Command,
    Config,
    LoginMode,
    LoginQuestion,
    MessageAnswered,
    Reply,
    SendToClient,
)
from sansio_smtp.events import SendToServer
from sansio_smtp.rules import Connection, Held, Host, Rule, RuleSession, RuleSet
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.later import awaited
from sansio_smtp.testing import FakeClient, FakeServer, Message, bytewise, converse, whole
from sansio_smtp.testing.verdicts import said, verdict_for

AUTH = "AUTH PLAIN AGFubgBzZWNyZXQ="
FIRST = Message(
    "one@me.example",
    ("bob@mx.example", "eve@mx.example"),
    b"Subject: pets\r\n\r\nA dog is\r\nno cat\r\n.\r\nat all\r\n",
)
SECOND = Message("two@me.example", ("bob@mx.example",), b"Subject: more\r\n\r\nNo cat\r\n")
ADDED = b"X-Whole: yes\r\n"
"""The field that the other rule adds to each header section."""

WORDS: Final = {
    "EHLO me.example": "EHLO",
    AUTH: "AUTH",
    "AUTH EXTERNAL =": "AUTH",
    "MAIL FROM:<one@me.example>": "MAIL<one>",
    "MAIL FROM:<two@me.example>": "MAIL<two>",
    "RCPT TO:<bob@mx.example>": "RCPT<bob>",
    "RCPT TO:<eve@mx.example>": "RCPT<eve>",
}
"""Command line → its short form in `Expected`; other lines are not changed."""

KINDS = ("sync", "async", "threaded")


@attrs.frozen
class Way:
    """How octets and verdicts come. This makes no difference, except that the verdict on a held message comes
    later."""

    held: bool = False
    """True if another rule takes whole messages, so that each is held until it is complete."""
    octets: bool = False
    """True if everything comes octet by octet."""
    client_pipelines: bool = False
    server_pipelines: bool = False

    def __str__(self) -> str:
        names = [field.name for field in attrs.fields(Way) if getattr(self, field.name)]
        return "+".join(names) or "plain"


WAYS = [Way(*flags) for flags in product(FLAG, repeat=4)]

Says = Callable[..., Any]
"""Takes the arguments of a phase."""


@coroutine
def pause() -> Generator[None, None, None]:
    """Lets the driver continue with something else."""
    yield


class Surroundings(Host):
    """A host that awaits rules for a while."""

    def __init__(self, late: bool) -> None:
        """``late``: True if an awaited rule takes too long."""
        super().__init__()
        self.late = late
        self.awaited: list[Rule] = []
        self.decisions: list[tuple[Rule, Any]] = []

    async def call(self, rule: Rule, *arguments: object) -> object:
        self.awaited.append(rule)
        await pause()
        if self.late:
            raise TimeoutError("no verdict within 30 s")
        result = rule.function(*arguments)  # a thread would call this
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
    """The result of a run."""

    client: FakeClient
    host: Surroundings
    proxy: WritingTwins
    session: RuleSession
    servers: list[tuple[str, FakeServer]]
    """The servers by name, in the order of their connections; the first one is ``home``."""
    closed: dict[str, bool]

    @property
    def told(self) -> list[Reply]:
        return self.client.replies

    @property
    def held(self) -> list[Held]:
        return self.host.held


@contextmanager
def run(
    rules: list[Rule],
    way: Way,
    kind: str,
    on_error: OnError = "defer",
    *,
    auth: bool = False,
    late: bool = False,
) -> Iterator[Ran]:
    """Sends two messages, then QUIT. Prints the dialogue if this or the body raises."""
    if way.held:
        rules = [*rules, Rule("message", write_header, "test.beside")]
    ruleset = RuleSet(rules)
    host = Surroundings(late)
    # A rule about logins to the proxy is asked only if the proxy itself logs in.
    mode = LoginMode.TRANSLATE if ruleset.by_phase["login"] else LoginMode.RELAY
    proxy = WritingTwins(Config(reconnect=True, login_mode=mode), ruleset.ask)
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
        if isinstance(question, LoginQuestion):
            return verdict_for(question, said("login EXTERNAL | empty"))
        if kind == "sync":
            assert not session.waits_for(question)
        return finish(session.judge(question)) if session.waits_for(question) else session.judge_now(question)

    def answered(event: MessageAnswered) -> None:
        rest = session.delivered(event)
        if rest is not None:
            finish(awaited(rest))

    with proxy.printed_on_failure():
        refused = finish(session.connect())
        if isinstance(refused, Reply):
            refuse(proxy, refused, client)
        else:
            cut = bytewise if way.octets else whole
            server = connect(refused)
            converse(
                client,
                server,
                proxy,
                cut=cut,
                judge=judge,
                connect=connect,
                late=kind != "sync",
                answered=answered,
            )
        finish(session.disconnect())
        yield ran


def refuse(proxy: WritingTwins, reply: Reply, client: FakeClient) -> None:
    """The client is refused before there is a server."""
    for event in proxy.refuse(reply):
        assert not isinstance(event, SendToServer)
        if isinstance(event, SendToClient):
            client.receive(event.data)
        elif isinstance(event, Close) and event.side is CLIENT:
            client.closed_by_peer()


def authenticated(command: Command) -> Reply | None:
    return Reply.of(235, "authenticated", enhanced="2.7.0") if command.verb == b"AUTH" else None


# The expected result


@attrs.frozen
class Expected:
    """The expected replies and commands, in words, so that tables of them are readable."""

    client_hears: str
    """The codes of the client's replies; ``said`` is the reply of the verdict."""
    servers_hear: tuple[str, ...]
    """For each connection the name of the server, then its commands as in `WORDS`. ``DATA`` is an accepted
    message, ``DATA!`` a refused DATA, ``ABORT`` a connection reset in the middle of a message."""
    held: bool = False
    """True if the first message is in quarantine."""
    at_least: bool = False
    """True if the server may have got more commands, if they were sent in groups."""

    def check(self, ran: Ran, said: Reply | None, first: bytes, second: bytes) -> None:
        """``first`` and ``second``: the content of the messages, if they are delivered."""
        assert in_words(ran.told, self.client_hears, said) == self.client_hears
        assert ran.client.gone
        assert ran.proxy.closed
        assert [name for name, _ in ran.servers] == [text.split()[0] for text in self.servers_hear]
        for text, (_, server) in zip(self.servers_hear, ran.servers, strict=True):
            self._check_server(text.split()[1:], server, first, second)
        assert [held.message for held in ran.held] == [FIRST.content] * self.held
        for held in ran.held:
            assert held.tx.mail_from is not None
            assert held.tx.mail_from.address == FIRST.sender
            assert [to.address for to in held.tx.rcpts] == list(FIRST.recipients)

    def _check_server(self, words: list[str], server: FakeServer, first: bytes, second: bytes) -> None:
        server_hears = [WORDS.get(line.decode(), line.decode()) for line in server.commands]
        expected = [word.rstrip("!") for word in words if word != "ABORT"]
        if self.at_least:
            assert " ".join(server_hears[: len(expected)]) == " ".join(expected)
        else:
            assert " ".join(server_hears) == " ".join(expected)
            assert server.aborted == ("ABORT" in words)
        taken = list(deliveries(words, first, second))
        assert [(got.sender, got.recipients, got.content) for got in server.accepted] == taken


def in_words(replies: list[Reply], expected: str, said: Reply | None) -> str:
    """Replies in the form of ``expected``. A reply that should be ``said`` but is not is written in full."""
    words = [str(reply.code) for reply in replies]
    for number, (word, reply) in enumerate(zip(expected.split(), replies, strict=False)):
        if word == "said":
            words[number] = "said" if reply == said else f"({reply})"
    return " ".join(words)


def deliveries(
    words: list[str], first: bytes, second: bytes
) -> Generator[tuple[str, tuple[str, ...], bytes], None, None]:
    """The messages that a server with these commands accepts."""
    message, recipients = FIRST, list[str]()
    for word, following in pairwise([*words, ""]):
        if word.startswith("MAIL"):
            message, recipients = FIRST if word == "MAIL<one>" else SECOND, []
        elif word.startswith("RCPT"):
            recipients.append(f"{word[5:-1]}@mx.example")
        elif word == "DATA" and following != "ABORT":
            yield message.sender, tuple(recipients), first if message is FIRST else second
