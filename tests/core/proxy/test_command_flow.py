"""Commands that are asked about in their turn, and what may be said to DATA."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from each import each

from core.scene import Scene
from core.spools import MemorySpool
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, Event
from sansio_smtp.questions import Continue, Disconnect, Inspect, ReplaceCommand, Route, Swallow
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
BOB = Command.of("AUTH PLAIN AGJvYgBwdw==")
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


def test_verbs_that_are_not_in_the_table() -> None:
    scene = Scene("OTHER_VERBS").greeted()
    assert scene.client("XANY") == ["? CommandQuestion"]
    assert scene.answer(Continue()) == ["S: XANY"]
    assert scene.server("250 any") == ["C: 250 any"]
    assert scene.client("NOOP") == ["S: NOOP"]


def test_without_it_they_are_asked_about_as_they_come() -> None:
    scene = Scene("RCPT").greeted()
    assert scene.client(*GROUP) == ["S: MAIL FROM:<a>", "? CommandQuestion"]
    assert scene.question.envelope.mail is None


@each("verb", ["RCPT", "DATA"])
@each("end", ["eof", "421", "timeout", "now", "refuse"])
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
    assert scene.answer(Inspect(frozenset(("HEADERS",)))) == ["S: DATA"]
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


def test_a_login_that_was_asked_about() -> None:
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBzZWNyZXQ=")
    assert scene.answer(Continue()) == ["S: AUTH PLAIN AGFubgBzZWNyZXQ="]
    scene.server("235 ok")
    assert scene.proxy.login == "ann"


def test_a_command_goes_to_another_server() -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    assert scene.answer(Route("other")) == ["S: QUIT", "close S", "connect other"]


@pytest.mark.parametrize("verdict", [Continue((COPY,)), Inspect(frozenset(), (COPY,))])
def test_a_recipient_is_added_before_data(verdict: Continue | Inspect) -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    assert scene.answer(verdict) == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: DATA"]
    assert scene.server("354 go") == ["C: 354 go"]
    assert len(scene.proxy.envelope.recipients) == 1, "the client does not hear of it"


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_command_whose_turn_comes_when_the_server_was_left(reconnect: bool) -> None:
    """A held message is lost on its way, with the next transaction after it."""
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


@pytest.mark.parametrize(("verdict", "login"), [(Continue(), "ann"), (ReplaceCommand(BOB), "bob")])
def test_the_login_is_that_of_the_command_that_is_sent(
    verdict: Continue | ReplaceCommand, login: str
) -> None:
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBwdw==")
    scene.answer(verdict)
    scene.server("235 welcome")
    assert scene.proxy.login is not None
    assert scene.proxy.login == login
