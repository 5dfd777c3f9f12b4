"""Lines of a command group that wait for their turn: `Proxy.has_rest`, `Proxy.pass_rest`."""

from __future__ import annotations

from typing import Any

import pytest

from core.scene import lines
from sansio_smtp.config import Config
from sansio_smtp.events import CLIENT, SERVER, Ask, SendToClient
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, Continue
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
MAIL, RCPT, DATA = "MAIL FROM:<a@me>", "RCPT TO:<b@mx>", "DATA"


def waiting(*verdicts: Any) -> Proxy:
    """A session whose client has sent a group, of which MAIL has been passed on. The verdicts are those after
    that one."""
    proxy, given = Proxy(Config(), ["MAIL", "RCPT", "DATA", "IN_TURN"]), [Continue(), *verdicts]
    proxy.ask_ahead(lambda _: given.pop(0))
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        proxy.receive_from(side, lines(text))
    assert proxy.pass_on(CLIENT, lines(MAIL, RCPT, DATA)) == lines(MAIL)
    assert proxy.has_rest
    return proxy


def test_a_line_that_passes() -> None:
    proxy = waiting(Continue())
    assert proxy.pass_on(SERVER, lines("250 ok")) == lines("250 ok")
    progress = proxy.progress
    assert proxy.pass_rest() == lines(RCPT)
    assert proxy.progress == progress + 2  # the command and the verdict
    assert proxy.has_rest
    assert proxy.pass_rest() is None  # it has to wait


def test_a_line_that_does_not_pass() -> None:
    proxy = waiting(Answer(NO))
    proxy.pass_on(SERVER, lines("250 ok"))
    assert proxy.pass_rest() is None
    (event,) = proxy.receive_rest()
    assert isinstance(event, Ask)
    said, asked = proxy.answer(event.question, Answer(NO))
    assert isinstance(said, SendToClient)
    assert isinstance(asked, Ask)
    assert asked.question.command.raw == DATA.encode()
    assert not proxy.has_rest


@pytest.mark.parametrize(("reply", "more"), [("550 no", b""), ("250 ok", lines("RSET"))])
def test_an_input_before_a_line_has_its_turn(reply: str, more: bytes) -> None:
    """The general path has the line then."""
    proxy = waiting()
    if more:
        assert proxy.pass_on(CLIENT, more) is None
        assert proxy.receive_from(CLIENT, more) == []
    assert proxy.pass_on(SERVER, lines(reply)) is None
    said, asked = proxy.receive_from(SERVER, lines(reply))
    assert isinstance(said, SendToClient)
    assert isinstance(asked, Ask)
    assert asked.question.command.raw == RCPT.encode()


def test_an_input_in_place_of_a_line_that_has_its_turn() -> None:
    proxy = waiting()
    proxy.pass_on(SERVER, lines("250 ok"))
    (asked,) = proxy.receive_rest()
    assert isinstance(asked, Ask)
    assert asked.question.command.raw == RCPT.encode()


def test_more_of_the_client_in_place_of_a_line_that_has_its_turn() -> None:
    proxy = waiting()
    proxy.pass_on(SERVER, lines("250 ok"))
    (asked,) = proxy.receive_from(CLIENT, lines("RSET"))
    assert isinstance(asked, Ask)
    assert asked.question.command.raw == RCPT.encode()


def test_more_of_the_server_in_place_of_a_line_that_has_its_turn() -> None:
    """It has asked for nothing: the line never goes."""
    proxy = waiting()
    proxy.pass_on(SERVER, lines("250 ok"))
    assert proxy.receive_from(SERVER, lines("250 ok"))
    assert proxy.closed


def test_a_line_that_does_not_pass_before_there_is_a_rest() -> None:
    proxy = waiting(Answer(NO))
    proxy.receive_from(SERVER, lines("250 ok"))
    asking = Proxy(Config(), ["MAIL"])
    asking.ask_ahead(lambda _: None)
    for side, text in ((SERVER, "220 mx"), (CLIENT, "EHLO me"), (SERVER, "250 mx")):
        asking.receive_from(side, lines(text))
    for more in ((), ("NOOP",)):
        assert asking.pass_on(CLIENT, lines(MAIL, *more)) is None
        (asked,) = asking.receive_from(CLIENT, lines(MAIL, *more))
        assert asked.question.command.raw == MAIL.encode()  # type: ignore[union-attr]
        asking.answer(asked.question, Answer(NO))  # type: ignore[union-attr]
        if more:
            asking.receive_from(SERVER, lines("250 ok"))


def test_sessions_without_a_rest() -> None:
    for proxy in (Proxy(), Proxy(ask=["REPLY"])):
        assert not proxy.has_rest
        assert proxy.pass_rest() is None
        assert proxy.receive_rest() == []
