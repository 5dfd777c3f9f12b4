"""What is told for a log that says what became of mail (`Config.account`)."""

from __future__ import annotations

import pytest
from twins import Twins

from core.scene import Scene, lines
from sansio_smtp import CLIENT, SERVER, Answer, CommandRefused, Config, MessageAnswered, Origin, Reply
from sansio_smtp.ends.exchanges import Content
from sansio_smtp.questions import HEADERS, Replace, Swallow

ACCOUNT = Config(account=True)
NO = Reply.of(550, "not here", enhanced="5.1.1")
MESSAGE = ("Message-ID: <a@me>", "", "text", ".")
CAME = sum(len(line) + 2 for line in MESSAGE[:-1])


def opened(*ask: str) -> Scene:
    scene = Scene(*ask, config=ACCOUNT).greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    scene.settle()
    scene.server("250 a", "250 b")
    return scene


def in_data(*ask: str) -> Scene:
    scene = opened(*ask)
    scene.client("DATA")
    scene.server("354 go")
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


def test_content_that_is_relayed() -> None:
    scene = in_data()
    scene.client(*MESSAGE)
    assert scene.server("250 ok") == ["answered 250", "C: 250 ok"]
    assert scene.event(MessageAnswered).content == Content(CAME, CAME, b"<a@me>")


def test_content_that_is_edited() -> None:
    scene = in_data(HEADERS)
    scene.client(*MESSAGE)
    scene.answer(Replace(b"X: y\r\n\r\n"))
    scene.server("250 ok")
    assert scene.event(MessageAnswered).content == Content(CAME, 14, b"<a@me>")


def test_content_that_is_refused_or_dropped() -> None:
    scene = in_data(HEADERS)
    scene.client(*MESSAGE)
    assert scene.answer(Answer(NO))[-2:] == ["answered 550", "C: 550 5.1.1 not here"]
    assert scene.event(MessageAnswered).content == Content(CAME, 0, b"<a@me>")
    scene = opened("DATA")
    scene.client("DATA")
    scene.answer(Swallow(Reply.of(250, "ok")))
    scene.client(*MESSAGE)
    assert scene.event(MessageAnswered).content == Content(CAME, 0, b"<a@me>")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("final", ["250 ok", "250-ok\r\n250 kept", "451 later"])
def test_content_that_is_passed_on(whole: bool, final: str) -> None:
    """Twice: the first mail transaction begins at rest, the second one after it."""
    twins = Twins(ACCOUNT)
    for side, text in ((SERVER, ("220 mx",)), (CLIENT, ("EHLO me",)), (SERVER, ("250 mx",))):
        twins.receive_from(side, lines(*text))
    for number in range(2):
        for line, reply in (("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", "250 b"), ("DATA", "354 go")):
            twins.receive_from(CLIENT, lines(line))
            twins.receive_from(SERVER, lines(reply))
        message = lines(f"Message-ID: <{number}@me>", *MESSAGE[1:])
        for piece in (message,) if whole else (message[:22], message[22:]):
            twins.receive_from(CLIENT, piece)
        events = twins.receive_from(SERVER, lines(*final.split("\r\n")))
        (answered,) = [event for event in events if isinstance(event, MessageAnswered)]
        assert answered.content == Content(CAME, CAME, b"<%d@me>" % number)
