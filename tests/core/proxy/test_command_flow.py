"""Commands that are asked about in their turn, and what may be said to DATA."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.scene import PLAIN, Scene
from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, Event
from sansio_smtp.questions import Answer, Continue, Disconnect, Inspect, ReplaceCommand, Swallow
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
GO_AHEAD = "C: 354 end data with <CR><LF>.<CR><LF>"
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"
GROUP = ("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA")


def test_each_command_is_asked_about_when_those_before_it_are_answered() -> None:
    """So that the envelope does not depend on when the server answers."""
    scene = Scene("MAIL", "RCPT", "DATA", "IN_TURN").greeted()
    assert scene.client(*GROUP) == ["? CommandQuestion"]
    assert scene.answer(Continue()) == ["S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["C: 250 a", "? CommandQuestion"]
    assert scene.question.envelope.mail.raw == b"MAIL FROM:<a>"
    assert scene.answer(Continue()) == ["S: RCPT TO:<b>", "? CommandQuestion"]
    assert scene.answer(Continue()) == ["S: RCPT TO:<c>"]
    assert scene.server("250 b") == ["C: 250 b"]
    assert CLIENT not in scene.proxy.may_read
    assert scene.server("550 c") == ["C: 550 c", "? CommandQuestion"]
    assert [command.raw for command in scene.question.envelope.recipients] == [b"RCPT TO:<b>"]
    assert scene.answer(Continue()) == ["S: DATA"]


def test_without_it_they_are_asked_about_as_they_come() -> None:
    scene = Scene("RCPT").greeted()
    assert scene.client(*GROUP) == ["S: MAIL FROM:<a>", "? CommandQuestion"]
    assert scene.question.envelope.mail is None


@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
@pytest.mark.parametrize("end", ["eof", "421", "timeout", "now", "refuse"])
def test_when_the_dialogue_ends_meanwhile_nobody_is_asked(verb: str, end: str) -> None:
    scene = Scene(verb, "IN_TURN").greeted()
    scene.client(*GROUP)
    proxy = scene.proxy
    if end == "421":
        shown = scene.server("421 bye")
    else:
        ends: dict[str, Callable[[], list[Event]]] = {
            "eof": lambda: proxy.eof_from(SERVER),
            "timeout": proxy.timed_out,
            "now": lambda: proxy.shutdown(now=True),
            "refuse": lambda: proxy.refuse(Reply.of(421, "no")),
        }
        shown = scene.took(ends[end]())
    assert [text[:5] for text in shown] == ["C: 42", "close", "close"]
    assert proxy.closed
    assert scene.took(proxy.eof_from(CLIENT)) == []


def test_a_disconnect_meanwhile() -> None:
    scene = Scene("RCPT", "REPLY", "IN_TURN")
    scene.server("220 mx")
    scene.answer(Continue())
    scene.client(*GROUP)
    scene.server("250 a")
    assert scene.answer(Disconnect(NO)) == ["C: 550 no", "close S", "close C"]


def test_a_message_may_be_inspected_otherwise_than_ask_says() -> None:
    scene = Scene("DATA", "MESSAGE").with_recipient()
    scene.client("DATA")
    assert scene.answer(Inspect(frozenset())) == ["S: DATA"]
    scene.server("354 go")
    assert scene.client("Hi", ".") == ["S: Hi", "complete 4", "S: ."]
    scene.server("250 taken")
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    assert scene.answer(Inspect(frozenset(("HEADERS", "RCPT")))) == ["S: DATA"]
    scene.server("354 go")
    assert scene.client("") == ["? HeadersQuestion"]


def test_the_next_message_is_inspected_as_ask_says() -> None:
    scene = Scene("DATA", "MESSAGE").with_recipient()
    scene.client("DATA")
    scene.answer(Inspect(frozenset()))
    scene.server("554 no")
    scene.client("DATA")
    assert scene.answer(Continue()) == [GO_AHEAD]


def test_a_message_may_be_dropped() -> None:
    """The server never sees it, nor DATA."""
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    assert scene.answer(Swallow(OK)) == ["S: RSET", GO_AHEAD]
    assert scene.client("Hi", ".", "MAIL FROM:<c>") == ["answered 250", "C: 250 ok", "S: MAIL FROM:<c>"]
    assert scene.server("250 reset") == []
    assert scene.server("250 c") == ["C: 250 c"]


def test_data_replaced_is_data_still() -> None:
    scene = Scene("DATA").with_recipient()
    scene.client("DATA now")
    assert scene.answer(ReplaceCommand(Command.of("DATA"))) == ["S: DATA"]


@pytest.mark.parametrize("verdict", [Continue((COPY,)), Inspect(frozenset(), (COPY,))])
def test_a_recipient_is_added_before_data(verdict: Continue | Inspect) -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    assert scene.answer(verdict) == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: DATA"]
    assert scene.server("354 go") == ["C: 354 go"]
    assert len(scene.proxy.envelope.recipients) == 1, "the client does not hear of it"


def test_an_added_recipient_that_is_refused() -> None:
    """The message never goes without it."""
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    scene.answer(Continue((COPY, COPY)))
    assert scene.server("550 x") == ["S: RSET", NO_COPY]
    assert scene.server("550 x") == []
    assert scene.server("250 reset") == []
    assert scene.client("DATA") == ["? CommandQuestion"]


def test_an_added_recipient_that_is_refused_to_a_server_that_takes_no_groups() -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient(*PLAIN)
    scene.client("DATA")
    assert scene.answer(Continue((COPY, COPY))) == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("451 x") == ["S: RSET", NO_COPY]


def test_an_added_recipient_over_which_the_server_leaves() -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    scene.answer(Continue((COPY,)))
    assert scene.server("421 bye") == ["C: 421 bye", "close S", "close C"]


def test_an_added_recipient_of_a_held_message() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    assert scene.answer(Continue((COPY,))) == ["complete 4", "S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: DATA"]
    assert scene.server("354 go") == ["S: Hi", "S: ."]


def test_an_added_recipient_of_a_held_message_that_is_refused() -> None:
    """The server is reset before it sees what the client has sent behind the message."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    scene.answer(Continue((COPY,)))
    assert scene.client("MAIL FROM:<c>") == []
    shown = scene.server("550 x")
    assert [text for text in shown if text.startswith("S:")] == ["S: RSET", "S: MAIL FROM:<c>"]
    assert shown[-1] == NO_COPY
    assert scene.server("250 reset", "250 c") == ["C: 250 c"]


@pytest.mark.parametrize(
    ("lines", "login"),
    [
        ((("AUTH PLAIN AGFubgBz", "235 ok"),), "ann"),
        ((("AUTH PLAIN AGFubgBz", "535 no"),), None),
        ((("AUTH PLAIN", "334 "), ("AGFubgBz", "235 ok")), "ann"),
        ((("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("YW5u", "334 UGFzc3dvcmQ6"), ("eA==", "235 ok")), "ann"),
        ((("AUTH GSSAPI YII=", "235 ok"),), None),
        ((("AUTH PLAIN AGFubgBz", "535 no"), ("AUTH PLAIN AGJvYgBz", "235 ok")), "bob"),
        ((("AUTH PLAIN AGFubgBz", "235 ok"), ("AUTH PLAIN AGJvYgBz", "503 once")), "ann"),
    ],
)
def test_login(lines: tuple[tuple[str, str], ...], login: str | None) -> None:
    """The identity that the server has accepted, where the mechanism says it in clear."""
    scene = Scene().greeted()
    for client, server in lines:
        scene.client(client)
        scene.server(server)
    assert scene.proxy.login == login


def test_login_is_the_identity_that_the_server_was_shown() -> None:
    """Nobody has verified what the client said where a verdict put something else in its place."""
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    assert scene.answer(ReplaceCommand(Command.of("AUTH PLAIN AGJvYgBz"))) == ["S: AUTH PLAIN AGJvYgBz"]
    scene.server("235 ok")
    assert scene.proxy.login == "bob"


@pytest.mark.parametrize("auth", [(), ("AUTH PLAIN AGFubgBz", "535 no")])
def test_a_session_goes_on_behind_a_refused_message(auth: tuple[str, ...]) -> None:
    scene = refused(auth)
    assert scene.client("MAIL FROM:<c>") == ["connect home"]
    assert scene.proxy.may_read == {CLIENT, SERVER}
    assert scene.server("220 mx") == ["S: EHLO me"]


@pytest.mark.parametrize("line", ["AUTH PLAIN AGFubgBz", "AUTH GSSAPI YII="])
def test_a_session_that_has_logged_in_does_not(line: str) -> None:
    scene = refused((line, "235 ok"))
    assert scene.client("MAIL FROM:<c>") == [
        "C: 421 4.3.2 upstream connection ended with the refused message",
        "close C",
    ]


def refused(auth: tuple[str, ...]) -> Scene:
    """Behind a message that was refused while it streamed."""
    scene = Scene("HEADERS", config=Config(reconnect=True)).greeted()
    if auth:
        client, server = auth
        scene.client(client)
        scene.server(server)
    for line in ("MAIL FROM:<a>", "RCPT TO:<b>"):
        scene.client(line)
        scene.server("250 ok")
    scene.client("DATA")
    scene.server("354 go")
    scene.client("A: b", "", ".")
    assert scene.answer(Answer(NO)) == ["abort S", "answered 550", "C: 550 no"]
    return scene


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_command_whose_turn_comes_when_the_server_was_left(reconnect: bool) -> None:
    """A held message is lost on its way, with the next transaction behind it."""
    spool = MemorySpool()
    config = Config(max_held=10, reconnect=reconnect)
    scene = Scene("MESSAGE", "MAIL", "IN_TURN", config=config, make_spool=lambda: spool).in_content()
    scene.client("x" * 20, ".", "MAIL FROM:<c>")
    scene.answer(Continue())
    spool.readable = False
    assert scene.server("354 go")[-1] == "? CommandQuestion"
    shown = scene.answer(Continue())
    assert shown[0] == (
        "connect home" if reconnect else "C: 421 4.3.2 upstream connection ended with the refused message"
    )


def test_hello_is_what_the_server_last_took() -> None:
    scene = Scene().greeted()
    assert scene.proxy.hello is not None
    assert scene.proxy.hello.raw == b"EHLO me"
    scene.client("EHLO other")
    scene.server("550 no")
    assert scene.proxy.hello.raw == b"EHLO me"
