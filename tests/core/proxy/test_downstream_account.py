"""What is told for a log that says what became of mail (`Config.account`)."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp import SERVER, Answer, CommandRefused, Config, MessageAnswered, Origin, Reply
from sansio_smtp.ends.exchanges import Content

ACCOUNT = Config(account=True)
NO = Reply.of(550, "not here", enhanced="5.1.1")
MESSAGE = ("Message-ID: <a@me>", "", "text", ".")


def opened(*ask: str) -> Scene:
    scene = Scene(*ask, config=ACCOUNT).greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    scene.settle()
    scene.server("250 a", "250 b")
    return scene


@pytest.mark.parametrize(
    ("line", "verb"), [("MAIL FROM:<x>", "MAIL"), ("RCPT TO:<x>", "RCPT"), ("DATA", "DATA")]
)
def test_a_command_that_the_server_refuses(line: str, verb: str) -> None:
    scene = opened()
    scene.client(line)
    assert scene.server("450 later") == [f"refused {verb} 450", "C: 450 later"]
    event = scene.event(CommandRefused)
    assert (event.command.raw.decode(), event.shown, event.reply.origin) == (line, "450 later", Origin.SERVER)
    assert [str(to) for to in event.envelope.recipients] == ["RCPT TO:<b>"]


def test_it_is_told_when_its_turn_comes() -> None:
    scene = Scene(config=ACCOUNT).greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "NOOP")
    told = scene.server("250 a", "250 b", "550 c", "500 noop")
    assert told == ["C: 250 a", "C: 250 b", "refused RCPT 550", "C: 550 c", "C: 500 noop"]


def test_a_verdict_that_refuses() -> None:
    scene = Scene("RCPT", config=ACCOUNT).greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    assert scene.answer(Answer(NO)) == ["refused RCPT 550", "C: 550 5.1.1 not here"]
    assert scene.event(CommandRefused).reply.origin is Origin.PROXY


def test_without_a_server_nothing_is_taken() -> None:
    scene = opened()
    scene.client("RCPT TO:<c>")
    told = scene.took(scene.proxy.eof_from(SERVER))
    lost = "C: 421 4.4.2 upstream server closed the connection"
    assert told == ["refused RCPT 421", lost, "close S", "close C"]


def test_secrets_in_a_refusal_are_masked() -> None:
    scene = Scene(config=ACCOUNT).greeted()
    scene.client("AUTH PLAIN AGFubgBzZWNyZXQ=")
    scene.server("235 ok")
    scene.client("MAIL FROM:<a>")
    scene.server("550 AGFubgBzZWNyZXQ= may not")
    assert scene.event(CommandRefused).shown == "550 ******** may not"
    scene.client("MAIL FROM:<a>")
    scene.server("550 no")
    assert scene.event(CommandRefused).masked is None


def test_without_the_setting_nothing_is_told() -> None:
    scene = Scene().greeted()
    scene.client("MAIL FROM:<a>")
    assert scene.server("550 no") == ["C: 550 no"]
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA")
    scene.server("250 a", "250 b", "354 go")
    scene.client(*MESSAGE)
    scene.server("250 ok")
    assert scene.event(MessageAnswered).content is None


def test_an_account_of_a_message_without_its_line() -> None:
    scene = opened()
    envelope, content = scene.proxy.envelope, Content(1, 1)
    answered = scene.proxy._downstream.answered(NO, envelope, content)
    assert (answered.envelope, answered.content) == (envelope, content)
