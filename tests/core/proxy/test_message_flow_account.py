"""What is known of the content of a message (`Config.account`)."""

from __future__ import annotations

from core.scene import Scene
from sansio_smtp import Answer, Config, MessageAnswered, Reply
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


def test_the_id_of_a_message_whose_end_does_not_come() -> None:
    scene = in_data()
    assert scene.proxy.message_id == b""
    scene.client(*MESSAGE[:-1])
    assert scene.proxy.message_id == b"<a@me>"
    scene.proxy.shutdown(now=True)
    assert scene.proxy.closed
    assert scene.proxy.message_id == b"<a@me>"
    scene = in_data()
    scene.client(*MESSAGE)
    scene.server("250 ok")
    assert scene.proxy.message_id == b""


def test_a_message_in_segments() -> None:
    scene = in_data()
    for line in MESSAGE:
        scene.client(line)
    scene.server("250 ok")
    assert scene.event(MessageAnswered).content == Content(CAME, CAME, b"<a@me>")
