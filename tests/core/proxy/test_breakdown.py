"""The way out after a fault of the library, wherever it is: faults are planted in every part.

Each function of every part is made to raise in the middle of whole dialogues. However far it had come, the
client is told once, both sides are closed, and nothing more goes to a server.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from itertools import product
from typing import Any

import attrs
import pytest

from core.scene import PLAIN, Scene
from core.spools import MemorySpool
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Chunking, ClientTls, Config, Dialect, LoginMode, SendClient, Tap, UpstreamTls
from sansio_smtp.ends.access import ANYBODY, Access, access_of
from sansio_smtp.ends.client import ClientConnection
from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.ends.extensions import Offer
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.ends.transaction import Transaction
from sansio_smtp.errors import InternalError
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    AwaitReply,
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
from sansio_smtp.networks import Networks
from sansio_smtp.proxy import own_replies
from sansio_smtp.proxy.client_login import ClientLogin
from sansio_smtp.proxy.command_flow import CommandFlow
from sansio_smtp.proxy.content_pipeline import ContentPipeline
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.proxy.forwarding import Forwarding
from sansio_smtp.proxy.keeping import Keeping
from sansio_smtp.proxy.lane import Lane
from sansio_smtp.proxy.login_flow import LoginFlow
from sansio_smtp.proxy.message_flow import MessageFlow
from sansio_smtp.proxy.message_store import MessageStore
from sansio_smtp.proxy.own_commands import OwnCommands
from sansio_smtp.proxy.passing import Passing
from sansio_smtp.proxy.passing_asked import AskedPassing
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.proxy.readings import Readings
from sansio_smtp.proxy.setup_flow import SetupFlow
from sansio_smtp.proxy.upstream import Upstream
from sansio_smtp.questions import (
    Answer,
    BodyQuestion,
    ClientQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    LoginQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.testing.conversation import converse
from sansio_smtp.testing.peers import FakeClient, FakeServer, Message
from sansio_smtp.testing.verdicts import said, verdict_for
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.content import ContentWriter
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
BYE = Reply.of(421, "bye")
COPY = Command.of("RCPT TO:<copy@x>")
LETTER = b"A: b\r\n\r\none\r\n.two\r\n" + b"x" * 100 + b"\r\n"
LOCAL = ClientInfo(address="127.0.0.1:50000")
TRUSTED = Networks.parse(["127.0.0.0/8"])
SERVER_OFFERS = access_of(
    Config(tls=ClientTls.MAY, accept_xclient=TRUSTED, accept_xforward=TRUSTED),
    LOCAL,
)
FAREWELLS = {own_replies.FAULT.raw, own_replies.LEAVING.raw}
PARTS = [
    *(
        Proxy,
        Readings,
        Downstream,
        Forwarding,
        Upstream,
        CommandFlow,
        MessageFlow,
        ContentPipeline,
        MessageStore,
    ),
    *(
        ServerConnection,
        ClientConnection,
        Exchange,
        Transaction,
        Offer,
        ContentWriter,
        OwnCommands,
        SetupFlow,
        LoginFlow,
        ClientLogin,
        Lane,
        Passing,
        AskedPassing,
        Keeping,
    ),
]


class PlantedError(Exception):
    """What no code of the library raises."""


class Guarded(Proxy):
    """As a driver calls it: what comes out of it as an exception is answered with `broke`."""

    def __init__(self, *arguments: Any) -> None:
        self.broken: list[list[Event]] = []
        self.passes = 0
        self.sent: list[Event] = []
        """What the input has passed on."""
        self.looks_after: tuple[int, ...] = ()
        super().__init__(*arguments)

    def guarded(self, do: Callable[[], list[Event]]) -> list[Event]:
        self.sent = []
        try:
            events = do()
            while self.has_more:
                events += Proxy.more(self)
        except PlantedError:
            self.broken.append([*self.sent, *self.broke()])
            return self.broken[-1]
        return events

    @property
    def may_read(self) -> frozenset[Side]:
        """A driver does not look while lines wait: that gives them to the general path."""
        return frozenset((SERVER,)) if self.has_rest else super().may_read

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return self.guarded(lambda: self.passed(side, data) or Proxy.receive_from(self, side, data))

    def passed(self, side: Side, data: bytes) -> list[Event]:
        """What comes of an input that is only passed on; nothing if it is another one."""
        octets = Proxy.pass_on(self, side, data)
        if octets is None:
            return []
        self.passes += 1
        if self.passes in self.looks_after:
            assert self.states is not None
        answered = Proxy.take_answered(self) if self.answers else None
        sent = SendToServer(octets) if side is CLIENT else SendToClient(octets)
        self.sent = [sent] if answered is None else [answered, sent]
        if octets[:4] == b"221 ":
            self.sent += [Close(SERVER), Close(CLIENT)]  # as a driver does, even if `closed` fails
        if side is CLIENT or not self.has_rest:
            return self.sent
        line = Proxy.pass_rest(self)
        rest = Proxy.receive_rest(self) if line is None else [SendToServer(line)]
        return [*self.sent, *rest]

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        return self.guarded(lambda: Proxy.tls_started(self, side, info))

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        return self.guarded(lambda: Proxy.answer(self, question, verdict))


@attrs.define
class Talk:
    """A whole dialogue, with verdicts; ``judge`` decides by the question alone."""

    ask: frozenset[str] = frozenset()
    judge: Callable[[Any], Any] = lambda _: Continue()
    config: Config = attrs.field(factory=Config)
    messages: int = 2
    recipients: tuple[str, ...] = ("b@x", "c@x")
    lines: tuple[str, ...] = ()
    pipelines: bool = True
    hello: str = "EHLO me"
    dialect: Dialect = Dialect.SMTP
    """What the server speaks."""
    looks_after: tuple[int, ...] = ()
    """So many inputs have been passed on when levels are read."""
    ahead: bool = False
    """True: verdicts are given ahead."""
    refuses: tuple[bytes, ...] = ()
    challenges: bool = False
    """True: the server takes a login in two steps, and refuses the first one."""
    offers: Access = ANYBODY
    offers_under_tls: Access = ANYBODY
    keywords: tuple[str, ...] = ("PIPELINING", "8BITMIME")
    chunk_size: int | None = None
    parameters: str = ""
    """Those of MAIL."""
    spools: list[MemorySpool] = attrs.field(factory=list[MemorySpool], init=False)

    def play(self) -> tuple[Guarded, list[Event]]:
        proxy = Guarded(self.config, self.ask, self.make_spool, LOCAL)
        if self.ahead:
            proxy.ask_ahead(self.judge)
        proxy.server_connected(self.config.upstream_tls, self.dialect)
        proxy.looks_after = self.looks_after
        client = FakeClient(
            [Message("a@x", self.recipients, LETTER, self.parameters)] * self.messages,
            self.pipelines,
            self.hello,
            self.lines,
            chunk_size=self.chunk_size,
        )
        return proxy, converse(
            client, self.server(), proxy, judge=self.judge, connect=lambda _: self.server(), prompt=True
        )

    def server(self) -> FakeServer:
        replies = {b"AUTH": Reply.of(235, "ok"), **dict.fromkeys(self.refuses, NO)}
        if self.challenges:
            outcomes = iter((NO, Reply.of(235, "ok"), Reply.of(235, "ok")))
            return FakeServer(
                ("AUTH LOGIN",),
                judge=lambda command: (
                    Reply.of(334, "TmFtZTo=")
                    if command.verb == b"AUTH"
                    else next(outcomes)
                    if command.kind is Kind.AUTH_LINE
                    else None
                ),
            )
        return FakeServer(
            self.keywords,
            judge=lambda command: replies.get(command.verb),
            dialect=self.dialect,
            access=self.offers,
            access_under_tls=self.offers_under_tls,
        )

    def make_spool(self) -> MemorySpool:
        self.spools.append(MemorySpool())
        return self.spools[-1]


def asked(*table: tuple[type, bytes | None, Any]) -> Callable[[Any], Any]:
    """The verdict of the first row that fits: type of question, verb, verdict."""

    def judge(question: Any) -> Any:
        for kind, verb, verdict in table:
            if isinstance(question, kind) and (verb is None or verb_of(question) == verb):
                return verdict
        return Continue()

    return judge


def log_in(question: Any) -> Any:
    is_login = isinstance(question, LoginQuestion)
    return verdict_for(question, said("login LOGIN | - | ann")) if is_login else Continue()


def verb_of(question: Any) -> bytes | None:
    return question.command.verb if question.command else None


def places(*names: str) -> frozenset[str]:
    return frozenset(names)


CHUNKING = ("PIPELINING", "CHUNKING")

TALKS: dict[str, Callable[[], Talk]] = {
    "relayed": lambda: Talk(lines=("AUTH PLAIN AGFubgBz", "STARTTLS", "VRFY x"), config=Config(trace=True)),
    "passed on": lambda: Talk(lines=("NOOP",), pipelines=False),
    "limited": lambda: Talk(config=Config(max_message_size=100_000)),
    "passed on, and looked at": lambda: Talk(pipelines=False, looks_after=(7, 11, 14, 16)),
    "passed on after questions": lambda: Talk(
        places("MAIL", "RCPT", "DATA", "HEADERS", "IN_TURN"),
        asked((CommandQuestion, b"DATA", Inspect(places("HEADERS")))),
        pipelines=False,
        looks_after=(3, 7),
        ahead=True,
    ),
    "groups passed on line by line": lambda: Talk(
        places("MAIL", "RCPT", "DATA", "IN_TURN"),
        asked((CommandQuestion, b"DATA", Inspect(frozenset()))),
        recipients=("b@x",),
        looks_after=(1,),
        ahead=True,
    ),
    "groups of which a line does not pass": lambda: Talk(
        places("MAIL", "RCPT", "DATA", "IN_TURN"),
        asked((CommandQuestion, b"RCPT", Answer(NO))),
        recipients=("b@x",),
        ahead=True,
    ),
    "not passed on after questions": lambda: Talk(
        places("MAIL"), asked((CommandQuestion, b"MAIL", Answer(NO))), pipelines=False, ahead=True
    ),
    "edited": lambda: Talk(
        places("HEADERS", "BODY_LINES", "REPLY", "IN_TURN", "COMMAND"),
        asked(
            (HeadersQuestion, None, Replace(b"N: o\r\n\r\n")),
            (BodyQuestion, None, Replace(b".edited\r\n")),
            (CommandQuestion, b"MAIL", ReplaceCommand(Command.of("MAIL FROM:<z@x>"))),
        ),
        Config(tap=Tap.LINES),
    ),
    "refused": lambda: Talk(
        places("HEADERS"), asked((HeadersQuestion, None, Answer(NO))), Config(reconnect=True)
    ),
    "held": lambda: Talk(
        places("MESSAGE", "DATA"), asked((CommandQuestion, b"DATA", Continue((COPY,)))), Config(max_held=50)
    ),
    "held and refused": lambda: Talk(places("MESSAGE"), lambda _: Answer(NO)),
    "held, DATA refused": lambda: Talk(places("MESSAGE"), refuses=(b"DATA",)),
    "without a copy": lambda: Talk(
        places("DATA", "RCPT"),
        asked((CommandQuestion, b"DATA", Continue((COPY, COPY))), (CommandQuestion, b"RCPT", Answer(OK))),
        refuses=(b"RCPT",),
    ),
    "routed": lambda: Talk(
        places("RCPT", "MAIL", "EHLO"),
        asked((CommandQuestion, b"RCPT", Route("other")), (CommandQuestion, b"EHLO", Answer(OK))),
    ),
    "routed in vain": lambda: Talk(
        places("RCPT"), asked((CommandQuestion, b"RCPT", Route("other"))), refuses=(b"MAIL",)
    ),
    "swallowed": lambda: Talk(places("DATA"), asked((CommandQuestion, b"DATA", Swallow(OK)))),
    "answered": lambda: Talk(
        places("DATA", "MAIL"),
        asked((CommandQuestion, b"DATA", Answer(NO)), (CommandQuestion, b"MAIL", Answer(OK))),
    ),
    "disconnected": lambda: Talk(places("RCPT"), asked((CommandQuestion, None, Disconnect(BYE)))),
    "disconnected in content": lambda: Talk(places("HEADERS"), lambda _: Disconnect(BYE)),
    "reply replaced": lambda: Talk(
        places("REPLY"), lambda question: ReplaceReply(Reply.of(question.reply.code, "other"))
    ),
    "encrypted": lambda: Talk(
        config=Config(tls=ClientTls.MAY, upstream_tls=UpstreamTls.ENCRYPT, auth_without_tls=False),
        lines=("STARTTLS", "AUTH PLAIN AGFubgBz"),
        offers=SERVER_OFFERS,
    ),
    "encrypted within a transaction": lambda: Talk(
        config=Config(tls=ClientTls.MAY, reconnect=True), lines=("MAIL FROM:<early@x>", "STARTTLS")
    ),
    "logged in, then encrypted": lambda: Talk(
        config=Config(tls=ClientTls.MAY, reconnect=True), lines=("AUTH PLAIN AGFubgBz", "STARTTLS")
    ),
    "not encrypted": lambda: Talk(
        config=Config(upstream_tls=UpstreamTls.MAY), refuses=(b"STARTTLS",), offers=SERVER_OFFERS
    ),
    "not encrypted, as it must be": lambda: Talk(
        config=Config(upstream_tls=UpstreamTls.VERIFY), refuses=(b"STARTTLS",), offers=SERVER_OFFERS
    ),
    "requires TLS": lambda: Talk(lines=("MAIL FROM:<a@x> REQUIRETLS",)),
    "TLS first": lambda: Talk(config=Config(tls=ClientTls.ENCRYPT), lines=("BDAT 4", "STARTTLS")),
    "named": lambda: Talk(
        places("CLIENT_CHANGED"),
        asked((ClientQuestion, None, Route("other"))),
        Config(accept_xclient=TRUSTED, accept_xforward=TRUSTED, send_client=SendClient.AUTO, reconnect=True),
        lines=("NOOP", "XFORWARD ADDR=192.0.2.9", "XCLIENT ADDR=192.0.2.1 LOGIN=ann"),
        offers=SERVER_OFFERS,
    ),
    "forwarded": lambda: Talk(
        config=Config(accept_xforward=TRUSTED, send_client=SendClient.XFORWARD),
        lines=("XFORWARD ADDR=192.0.2.9",),
        offers=SERVER_OFFERS,
    ),
    "not forwarded": lambda: Talk(
        config=Config(send_client=SendClient.XFORWARD), refuses=(b"XFORWARD",), offers=SERVER_OFFERS
    ),
    "the proxy logs in": lambda: Talk(
        places("NOOP", "LOGIN"),
        log_in,
        Config(login_mode=LoginMode.INJECT),
        lines=("AUTH PLAIN AGFubgBz", "NOOP"),
        challenges=True,
    ),
    "the proxy logs in for the client": lambda: Talk(
        judge=log_in,
        config=Config(login_mode=LoginMode.TRANSLATE, tls=ClientTls.MAY),
        lines=("AUTH PLAIN AGFubgBz", "STARTTLS"),
        challenges=True,
    ),
    "a reply for each recipient": lambda: Talk(
        config=Config(client_dialect=Dialect.LMTP), hello="LHLO me", dialect=Dialect.LMTP
    ),
    "the server is kept": lambda: Talk(config=Config(keep=True)),
    "the server is not kept": lambda: Talk(config=Config(keep=True), lines=("XTEMPERATURE 21",)),
    "in chunks": lambda: Talk(
        places("HEADERS"), config=Config(max_chunk=20), keywords=CHUNKING, chunk_size=30, lines=("BDAT 0",)
    ),
    "in chunks, binary and held": lambda: Talk(
        places("MESSAGE"),
        config=Config(max_chunk=20),
        keywords=(*CHUNKING, "BINARYMIME"),
        chunk_size=30,
        parameters="BODY=BINARYMIME",
    ),
    "in chunks, refused by the server": lambda: Talk(
        config=Config(max_chunk=20), keywords=CHUNKING, chunk_size=30, refuses=(b"BDAT",)
    ),
    "in chunks, refused by a rule": lambda: Talk(
        places("HEADERS"), lambda _: Answer(NO), keywords=CHUNKING, chunk_size=30
    ),
    "in chunks, accepted by a rule": lambda: Talk(
        places("HEADERS"), lambda _: Answer(OK), keywords=CHUNKING, chunk_size=30
    ),
    "in chunks, converted": lambda: Talk(config=Config(chunking=Chunking.ALWAYS), chunk_size=30),
    "chunks that were not offered": lambda: Talk(lines=("BDAT 0",)),
    "reply disconnects": lambda: Talk(places("REPLY"), asked((ReplyQuestion, b"MAIL", Disconnect(BYE)))),
}

PLACES = [
    (part, name)
    for part in PARTS
    for name, value in vars(part).items()
    if inspect.isfunction(value)
    and not name.startswith("__")
    and name != "broke"
    and "attrs" not in value.__code__.co_filename
]


def plant(patch: pytest.MonkeyPatch, part: type, name: str, count: Callable[[], None]) -> None:
    """``count`` is called at each call of the function, before it does anything."""
    original = getattr(part, name)

    def counting(*arguments: Any, **named: Any) -> Any:
        count()
        return original(*arguments, **named)

    patch.setattr(part, name, counting)


@cache
def reached() -> dict[tuple[type, str], set[str]]:
    """Each function → the dialogues in which it is called."""
    found: dict[tuple[type, str], set[str]] = {place: set() for place in PLACES}
    for talk, make in TALKS.items():
        with pytest.MonkeyPatch.context() as patch:
            for place in PLACES:
                plant(patch, *place, partial(found[place].add, talk))
            proxy, _ = make().play()
        assert not proxy.broken
    return found


def faults(place: tuple[type, str]) -> Iterator[tuple[Talk, Guarded, list[Event]]]:
    """Every dialogue that the planted fault ends: from the first call on, and at the third one alone."""
    for name, is_faulty in product(reached()[place], (lambda call: call >= 1, lambda call: call == 3)):
        calls = 0

        def count(is_faulty: Callable[[int], bool] = is_faulty) -> None:
            nonlocal calls
            calls += 1
            if is_faulty(calls):
                raise PlantedError

        talk = TALKS[name]()
        with pytest.MonkeyPatch.context() as patch, suppress(PlantedError):  # the peers are made of ends too
            plant(patch, *place, count)
            proxy, events = talk.play()
            if proxy.broken:
                yield talk, proxy, events


def test_the_dialogues_reach_every_function() -> None:
    """Except other inputs, and what a peer did against the protocol; the way out is the same."""
    unreached = {f"{part.__name__}.{name}" for (part, name), talks in reached().items() if not talks}
    assert unreached <= OTHERWISE


OTHERWISE = {
    "Passing.settle",  # another name of catch_up
    "AskedPassing.let_go",  # after the last input
    # For a caller that uses an end by itself.
    "Proxy._with_rest",  # before the reply that it waits for
    *("ClientConnection._line", "ClientConnection._no_content_now", "ClientConnection.send_message"),
    "ServerConnection.send_reply",
    # With `Config.account` alone.
    *("Downstream._refused", "Exchange.came_with", "MessageFlow._look_for_id", "MessageFlow.account_of"),
    "Passing.has_come",
    *("Forwarding.leave_failed", "Forwarding.lose", "Proxy._server_failed", "Upstream.lose"),
    *("Proxy._early", "Proxy.drain"),
    *("ClientConnection._broken", "ClientConnection._unsolicited", "ClientConnection.receive_eof"),
    *(
        "ContentPipeline._decode_pending",
        "ContentPipeline._pass",
        "ContentPipeline._refuse",
        "ContentPipeline._refuse_edited",
        "ContentPipeline._refuse_with",
    ),
    *(
        "ContentWriter._check_nul",
        "ContentWriter.count",
        "Downstream.end_with",
        "Exchange.go_on",
        "Forwarding._refuse_beyond",
        "Forwarding.drop_errands",
    ),
    *(
        "MessageFlow.passed",
        "Passing.forget_answered",
        "Proxy.forget_answered",
        "MessageStore.replace",
        "Proxy._client_ended",
        "Proxy._fail",
        "Proxy._idle",
        "Proxy._message_at_server",
    ),
    *("Proxy.client_lost", "Proxy.eof_from", "Proxy.refuse", "Proxy.server_unreachable", "Proxy.shutdown"),
    *("ClientLogin._go_on", "ClientLogin._refuse", "LoginFlow._give_up", "LoginFlow._give_up_server"),
    *("LoginFlow._masked", "LoginFlow.go_on", "Downstream.drop_attempt"),
    *("Proxy.timed_out", "ServerConnection._auth_line"),
    *("ServerConnection._violation", "ServerConnection.receive_eof", "ContentPipeline._relay"),
    *("ServerConnection._next_line", "ServerConnection._refused", "ServerConnection._refuse_chunks"),
    *("MessageFlow.abandon", "CommandFlow._goes_with_chunks", "ContentPipeline._count"),
    *(
        "Proxy.tls_failed",
        "SetupFlow.tls_failed",
        "Proxy.server_connected",
        "Proxy.prefer",
        "Upstream.use_level",
        *("Upstream.take_over", "Upstream.prove", "Forwarding.replace"),
        *("Keeping.lost", "Keeping.takes_place", "Keeping._replace"),
        *("ServerConnection._early_octets", "SetupFlow.not_reset", "SetupFlow.not_greeted"),
    ),
}

CLOSING = {
    *(
        (Downstream, "step"),
        (Downstream, "close"),
        (Forwarding, "close"),
        (Upstream, "step"),
        (Upstream, "close"),
    ),
    *((MessageFlow, "_forget"), (MessageFlow, "_drop_pipeline")),
    *((MessageStore, "close"), (MessageStore, "_give_back")),
    *((ServerConnection, "close"), (ClientConnection, "close")),
    (Readings, "_catch_up"),
}
"""What closes the parts, and what comes before they are read: if that fails each time they stay as they are,
or cannot be read; but the driver has its events."""


@pytest.mark.parametrize(
    ("part", "name"),
    [
        pytest.param(part, name, marks=[pytest.mark.slow] if number % 5 else [])
        for number, (part, name) in enumerate(PLACES)
    ],
)
def test_a_fault_anywhere(part: type, name: str) -> None:
    for talk, proxy, events in faults((part, name)):
        last = proxy.broken[0]
        assert not [
            event for event in last if isinstance(event, SendToServer | AwaitReply | Connect | Ask | StartTLS)
        ]
        check_client(events)
        check_server(events)
        if (part, name) in CLOSING:
            continue
        assert proxy.closed
        assert proxy.may_read == set()
        assert proxy.buffered == 0
        assert all(spool.closed for spool in talk.spools)
        assert proxy.broke() == []


def check_client(events: list[Event]) -> None:
    """It is told once, or has been told its last reply; each message is accounted for as it was told."""
    told = [event.data for event in events if isinstance(event, SendToClient)]
    farewells = [data for data in told if data in FAREWELLS]
    goodbyes = [data for data in told if data[:3] in (b"421", b"221")]
    assert len(farewells) <= 1
    assert len(farewells) == 1 or len(goodbyes) == 1 or is_silent(events)
    assert len(goodbyes) <= 1
    assert [event.side for event in events if isinstance(event, Close)].count(CLIENT) == 1
    for event, following in zip(events, [*events[1:], None], strict=True):
        if isinstance(event, MessageAnswered):
            assert isinstance(following, SendToClient)
            assert following.data == event.reply.raw


def is_silent(events: list[Event]) -> bool:
    """Returns True if the dialogue ends within the client's TLS handshake, when no reply can reach it."""
    about = [event for event in events if isinstance(event, SendToClient) or event == StartTLS(CLIENT)]
    return about[-1:] == [StartTLS(CLIENT)]


def check_server(events: list[Event]) -> None:
    """It is closed, once for each connection."""
    connected = True
    for event in events:
        if isinstance(event, Connect):
            assert not connected
            connected = True
        elif isinstance(event, Close | Release) and event.side is SERVER:
            assert connected
            connected = False
    assert not connected


# One by one


def break_(scene: Scene, part: type, name: str, do: Callable[[], object]) -> list[str]:
    """The input meets a fault; what `broke` gives."""
    with pytest.MonkeyPatch.context() as patch:

        def raising(*_: object, **__: object) -> None:
            raise PlantedError

        patch.setattr(part, name, raising)
        with pytest.raises(PlantedError):
            do()
    return scene.took(scene.proxy.broke())


LEAVING = "C: 421 4.3.0 internal error, try again later"
FAULT = "C: 451 4.3.0 internal error, try again later"


def test_before_the_greeting_the_client_is_greeted_with_it() -> None:
    scene = Scene()
    shown = break_(scene, Downstream, "send_reply", lambda: scene.server("220 mx"))
    assert shown == [LEAVING, "abort S", "close C"] or shown == [LEAVING, "close S", "close C"]


def test_a_client_that_waits_for_a_reply_gets_one() -> None:
    scene = Scene().greeted()
    shown = break_(scene, Forwarding, "forward", lambda: scene.client("NOOP"))
    assert shown == [FAULT, "close S", "close C"]


def test_a_client_that_waits_for_none_is_told_that_the_service_leaves() -> None:
    scene = Scene().greeted()
    assert scene.took(scene.proxy.broke()) == [LEAVING, "close S", "close C"]
    scene = Scene().in_content()
    shown = break_(scene, MessageFlow, "content", lambda: scene.client("x"))
    assert shown == [LEAVING, "abort S", "close C"]


def test_what_was_decided_for_the_client_is_told_and_nothing_goes_to_the_server() -> None:
    scene = Scene().greeted(*PLAIN)
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>")
    shown = break_(scene, Forwarding, "_send", lambda: scene.server("250 a"))
    assert shown == ["C: 250 a", FAULT, "close S", "close C"]


def test_an_illegal_joint_state_is_such_a_fault() -> None:
    """`InternalError` comes out of the input, and names the rule that is broken."""
    scene = Scene().in_content()
    scene.client("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MessageFlow, "close", lambda _: None)
        with pytest.raises(InternalError, match="gate SHUT does not go with message STREAMING"):
            scene.proxy.timed_out()
    assert scene.took(scene.proxy.broke()) == [
        "C: 421 4.4.2 timeout: mail data not ended by <CR><LF>.<CR><LF>, closing",
        "abort S",
        "close C",
    ]


def test_a_message_is_accounted_for_as_the_client_is_told() -> None:
    for name, do in (("fill", "250 taken"), ("send_reply", "250 taken")):
        scene = Scene().in_content()
        scene.client("x", ".")
        shown = break_(scene, Downstream, name, lambda scene=scene, do=do: scene.server(do))  # type: ignore[misc]
        assert shown == ["answered 451", FAULT, "close S", "close C"], name


def test_a_message_that_was_to_end_does_not() -> None:
    """Its end-of-data was in the list that nobody got."""
    scene = Scene().in_content()
    scene.client("x")
    shown = break_(scene, MessageFlow, "_forget", lambda: scene.client("."))
    assert shown == ["complete 3", "answered 451", FAULT, "abort S", "close C"]


@pytest.mark.parametrize(
    "do",
    [
        lambda proxy: proxy.eof_from(CLIENT),
        lambda proxy: proxy.client_lost(),
        lambda proxy: proxy.timed_out(),
        lambda proxy: proxy.shutdown(now=True),
        lambda proxy: proxy.server_unreachable(),
        lambda proxy: proxy.refuse(BYE),
    ],
)
@pytest.mark.parametrize(
    ("part", "name"),
    [(Forwarding, "close"), (Upstream, "close"), (MessageFlow, "close"), (CommandFlow, "close")],
)
def test_a_fault_while_a_dialogue_is_ended_from_outside(
    part: type, name: str, do: Callable[[Proxy], list[Event]]
) -> None:
    scene = Scene().greeted()
    shown = break_(scene, part, name, lambda: do(scene.proxy))
    assert [text[:4] for text in shown if text.startswith("C:")] in (["C: 4"], [])
    assert shown[-1] == "close C"
    assert [text for text in shown if text.endswith(" S")] in (["close S"], ["abort S"])
    assert scene.proxy.closed


def test_a_dialogue_that_is_over_has_nothing_more_to_say() -> None:
    scene = Scene().greeted()
    scene.took(scene.proxy.eof_from(CLIENT))
    assert scene.proxy.broke() == []


def test_a_client_whose_server_was_reset() -> None:
    scene = Scene("HEADERS").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    assert scene.took(scene.proxy.broke()) == [LEAVING, "close C"]
