"""`sansio_smtp.testing` where a dialogue has more than one server, and verdicts about messages."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from each import each

from sansio_smtp import (
    SERVER,
    Close,
    Command,
    Config,
    Connect,
    Continue,
    Event,
    Inspect,
    Proxy,
    Reply,
    Route,
    Side,
    Swallow,
)
from sansio_smtp.testing import (
    Chunker,
    FakeClient,
    FakeServer,
    Message,
    ScriptError,
    bytewise,
    converse,
    parse,
    play,
    whole,
)
from sansio_smtp.testing.script import Verdict
from sansio_smtp.testing.verdicts import Replacement

GREETED = "S: 220 mx\n    -> C: 220 mx\n"
LEFT = "    -> S: QUIT\n    -> close S\n    -> connect other\n"
JOINED = "S: 220 other\n    -> S: MAIL FROM:<a>\nS: 250 ok\n    -> C: 250 ok\n"
ROUTED = "# ask: MAIL\n" + GREETED + "C: MAIL FROM:<a>\n    ? MAIL a\n    ! route other\n" + LEFT + JOINED
ENVELOPE = (
    "C: MAIL FROM:<a>\n    -> S: MAIL FROM:<a>\nS: 250 ok\n    -> C: 250 ok\n"
    "C: RCPT TO:<b>\n    -> S: RCPT TO:<b>\nS: 250 ok\n    -> C: 250 ok\n"
)
DATA = "# ask: DATA, IN_TURN\n" + GREETED + ENVELOPE + "C: DATA\n    ? DATA\n"


def failure(text: str, *, late: bool = False, make: Any = Proxy) -> str:
    with pytest.raises(AssertionError) as caught:
        play(parse(text, "x.txt"), late=late, proxy=make)
    return str(caught.value)


# Notation


@each(
    ("text", "verdict"),
    [
        ("route other", Route("other")),
        ("route smtp://other:25", Route("smtp://other:25")),
        ("route home", Route(None)),
        ("swallow 250 2.0.0 thank you", Swallow(Reply.of(250, "2.0.0 thank you"))),
        ("swallow 550", Swallow(Reply.of(550, ""))),
        ("inspect", Inspect(frozenset())),
        ("inspect HEADERS,MESSAGE", Inspect(frozenset(("HEADERS", "MESSAGE")))),
        ("replace x", Replacement(b"x\r\n")),
        ("continue", Continue()),
    ],
)
def test_verdicts(text: str, verdict: object) -> None:
    (item,) = [item for item in parse(f"C: x\n    ! {text}\n").items if isinstance(item, Verdict)]
    assert item.verdict == verdict


def test_a_route_as_another_command() -> None:
    (_, item) = parse("C: x\n    ! route other RCPT TO:<c@mx>\n").items
    assert isinstance(item, Verdict)
    assert isinstance(item.verdict, Route)
    assert item.verdict.command is not None
    assert item.verdict.command.raw == b"RCPT TO:<c@mx>"


@pytest.mark.parametrize("word", ["continue", "inspect MESSAGE", "replace x"])
def test_recipients_that_a_verdict_adds(word: str) -> None:
    script = parse(f"C: x\n    ! add RCPT TO:<c>\n    ! add RCPT TO:<d>\n    ! {word}\n    ! continue\n")
    first, second = [item.verdict for item in script.items if isinstance(item, Verdict)]
    assert isinstance(first, Continue | Inspect | Replacement)
    assert [command.raw for command in first.recipients] == [b"RCPT TO:<c>", b"RCPT TO:<d>"]
    assert second == Continue()


@each(
    ("line", "what"),
    [
        ("! rout other", "did you mean 'route'"),
        ("! route", "needs a server"),
        ("! route other RCPT\\r\\n", "not a command|CR, LF"),
        ("! swallow 354 go", "2xx, 4xx or 5xx"),
        ("! swallow", "not a reply"),
        ("! inspect HEADRES", 'did you mean "HEADERS"'),
        ("! continue adding", "stands alone"),
        ("! add", "unknown verdict"),
        ("! add !", "not a command"),
        ("-> connect", "an indented line begins with"),
        ("-> connect two servers", "an indented line begins with"),
    ],
)
def test_mistakes(line: str, what: str) -> None:
    with pytest.raises(ScriptError, match=what) as caught:
        parse(f"C: x\n    {line}\n", "x.txt")
    assert str(caught.value).startswith("x.txt:2: ")


@pytest.mark.parametrize("word", ["answer 550 no", "route other", "swallow 250 ok", "disconnect 421 x"])
def test_verdicts_that_add_nobody(word: str) -> None:
    with pytest.raises(ScriptError, match="adds no recipient"):
        parse(f"C: x\n    ! add RCPT TO:<c>\n    ! {word}\n")


# Playing


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_dialogue_with_two_servers(cut: Chunker, late: bool) -> None:
    played = play(ROUTED, cut=cut, late=late)
    assert played.to_server == b"QUIT\r\nMAIL FROM:<a>\r\n"
    assert Connect("other") in played.events


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        (ROUTED.replace("connect other", "connect third"), "- -> connect third"),
        (ROUTED.replace("connect other", "connect home"), "- -> connect home"),
        (ROUTED.replace("    -> connect other\n", ""), "+ -> connect other"),
        (ROUTED.replace("    -> close S\n", ""), "+ -> close S"),
        (GREETED + "C: NOOP\n    -> S: NOOP\n    -> connect other\n", "- -> connect other"),
    ],
)
def test_wrong_servers(text: str, difference: str) -> None:
    assert difference in failure(text)


def test_a_difference_is_told_with_its_line() -> None:
    assert failure(ROUTED.replace("connect other", "connect third")).startswith("x.txt:9: ")


def test_the_server_that_was_left_is_not_heard() -> None:
    """Its remaining output is dropped."""
    limits = "# config: read_ahead=1\n# ask: MAIL, REPLY\n"
    asked = "S: 220 mx\n    ? REPLY 220\n    ! continue\n    -> C: 220 mx\nC: MAIL FROM:<a>\n    ? MAIL a\n"
    late = "S: 250 late\nS: 250 later\n    ! route other\n"
    play(limits + asked + late + LEFT + "<unreachable>\n" + UNREACHABLE)


UNREACHABLE = "    -> C: 421 4.4.1 upstream server cannot be reached, try again later\n    -> close S, C\n"


def test_a_server_may_be_closed_and_replaced_and_closed() -> None:
    """In one step, as the script sees it."""
    play(
        "# ask: MAIL\n"
        + GREETED
        + "C: MAIL FROM:<a>\n    ? MAIL\n    ! route other\n"
        + LEFT
        + "<unreachable>\n"
        + UNREACHABLE
    )


class Crowded(Proxy):
    """Asks for a server although one is connected."""

    def receive_from(self, side: Side, data: bytes) -> list[Event]:
        return [*super().receive_from(side, data), Connect("other")]


def test_two_servers_at_once() -> None:
    assert "while one is connected" in failure(GREETED, make=Crowded)


class Twice(Proxy):
    """Closes the server twice, although there is another one in between."""

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        return [*super().answer(question, verdict), Close(SERVER), Close(SERVER)]


def test_each_server_is_closed_once() -> None:
    assert "closed twice" in failure(ROUTED, make=Twice)


@pytest.mark.parametrize("late", [False, True])
def test_the_verdicts_on_data(late: bool) -> None:
    go = "    -> C: 354 end data with <CR><LF>.<CR><LF>\n"
    swallowed = "    ! swallow 250 ok\n    -> S: RSET\n" + go + "C: Hi\nC: .\n    -> C: 250 ok\nS: 250 ok\n"
    play(DATA + swallowed, late=late)
    added = "    ! add RCPT TO:<x>\n    ! inspect\n    -> S: RCPT TO:<x>\nS: 250 ok\n    -> S: DATA\n"
    play(DATA + added, late=late)
    assert "- -> S: DATA" in failure(DATA + added.replace("S: 250 ok", "S: 550 no"), late=late)


def test_questions_about_lines() -> None:
    text = (
        "# ask: BODY_LINES\n" + GREETED + ENVELOPE + "C: DATA\n    -> S: DATA\nS: 354 go\n    -> C: 354 go\n"
        "C: one\nC: two\n    ? BODY_LINES one\\r\\ntwo\n    ! replace 1\n    -> S: 1\n"
        "C: .\n    ? BODY_LINES <last>\n    ! continue\n    -> S: .\n"
    )
    play(text)
    assert "- ? BODY_LINES one" in failure(text.replace("one\\r\\ntwo", "one"))


def test_a_message_that_is_said_to_be_inspected_is_asked_about_so() -> None:
    play(
        DATA
        + "    ! inspect HEADERS\n    -> S: DATA\nS: 354 go\n    -> C: 354 go\n"
        + "C: A: b\nC:\n    ? HEADERS A: b\\r\\n\n    ! replace A: c\\r\\n\n    -> S: A: c\n    -> S:\n"
    )


# Peers

MESSAGES = [Message("a@me", ("b@mx", "c@mx"), b"one\r\n"), Message("z@me", ("b@mx",), b"two\r\n")]


class Servers:
    """Makes servers, and remembers them by name."""

    def __init__(self, *unreachable: str) -> None:
        self.made: list[tuple[str | None, FakeServer]] = []
        self.unreachable = unreachable

    def __call__(self, upstream: str | None) -> FakeServer | None:
        if upstream in self.unreachable:
            return None
        server = FakeServer()
        self.made.append((upstream, server))
        return server


def elsewhere(question: Any) -> Any:
    command = getattr(question, "command", None)
    return Route("other") if command is not None and command.raw == b"MAIL FROM:<a@me>" else Continue()


def talk(client: FakeClient, servers: Servers, judge: Any = elsewhere, **options: Any) -> list[Event]:
    proxy = Proxy(Config(reconnect=True), options.pop("ask", ("MAIL",)))
    first = servers(None)
    assert first is not None
    return converse(client, first, proxy, judge=judge, connect=servers, **options)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_converse_with_several_servers(cut: Chunker, pipelined: bool, prompt: bool, late: bool) -> None:
    client, servers = FakeClient(MESSAGES, pipelined), Servers()
    talk(client, servers, cut=cut, prompt=prompt, late=late)
    assert client.finished
    assert [(name, len(server.accepted)) for name, server in servers.made] == [
        (None, 0),
        ("other", 1),
        (None, 1),
    ]
    assert [server.commands[-1] for _, server in servers.made] == [b"QUIT"] * 3


def test_a_server_that_cannot_be_reached() -> None:
    client, servers = FakeClient(MESSAGES), Servers("other")
    talk(client, servers)
    assert client.replies[-1].code == 421
    assert client.gone


def test_a_server_that_nobody_can_make() -> None:
    proxy = Proxy(None, ("MAIL",))
    with pytest.raises(AssertionError, match="a connection to other is asked for"):
        converse(FakeClient(MESSAGES), FakeServer(), proxy, judge=elsewhere)


@pytest.mark.parametrize("late", [False, True])
def test_late_verdicts_come_when_nobody_has_more_to_say(late: bool) -> None:
    """By then the server has answered all earlier commands."""
    client = FakeClient(MESSAGES[1:], pipelined=True)
    answered: list[bool] = []

    def judge(question: Any) -> Any:
        answered.append(client.outcomes[-1].mail is not None)
        return Continue()

    converse(client, FakeServer(), Proxy(None, ("RCPT",)), judge=judge, late=late)
    assert answered == [late]
    assert client.finished


def test_a_verdict_that_comes_too_late_is_not_asked_for() -> None:
    """The server has closed meanwhile."""
    asked: list[Any] = []
    going = FakeServer(judge=lambda command: Reply.of(421, "bye") if command.verb == b"MAIL" else None)
    client = FakeClient(MESSAGES, pipelined=True)
    converse(client, going, Proxy(None, ("RCPT",)), judge=asked.append, late=True)  # type: ignore[arg-type]
    assert asked == []
    assert client.gone


def test_a_client_may_say_more_behind_its_greeting() -> None:
    def judge(command: Command) -> Reply | None:
        return Reply.of(235, "ok") if command.verb == b"AUTH" else None

    server = FakeServer(judge=judge)
    proxy = Proxy()
    client = FakeClient(MESSAGES, lines=["AUTH PLAIN AGFubgBz", "NOOP"])
    converse(client, server, proxy)
    assert server.commands[:3] == [b"EHLO me.example", b"AUTH PLAIN AGFubgBz", b"NOOP"]
    assert proxy.login == "ann"
    assert client.finished


def make(config: Config, ask: Collection[str]) -> Proxy:
    return Proxy(config, ask)


def test_a_proxy_may_be_made_by_the_test() -> None:
    play(ROUTED, proxy=make)
