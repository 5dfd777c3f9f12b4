"""Verdicts that choose another server."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import AwaitReply, WaitingFor
from sansio_smtp.questions import Continue, Route
from sansio_smtp.wire.commands import Command

LEFT = ["S: QUIT", "close S", "connect other"]


def test_the_session_goes_elsewhere_with_the_greeting_command() -> None:
    scene = Scene("EHLO")
    scene.server("220 mx")
    scene.client("EHLO me")
    assert scene.answer(Route("other")) == LEFT
    assert scene.proxy.waiting_for is WaitingFor.GREETING
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.server("250-other", "250 SIZE 9") == ["C: 250-other|250-SIZE 9|250 PIPELINING"]


def test_a_transaction_goes_elsewhere_with_mail() -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    assert scene.answer(Route("other", Command.of("MAIL FROM:<z>"))) == LEFT
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.event(AwaitReply).command.raw == b"EHLO me"
    assert scene.server("250 other") == ["S: MAIL FROM:<z>"]
    assert scene.server("250 z") == ["C: 250 z"]
    scene.client("MAIL FROM:<b>")
    assert scene.answer(Continue()) == ["S: QUIT", "close S", "connect home"]


def test_a_transaction_goes_elsewhere_with_its_first_recipient() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    assert scene.answer(Route("other")) == LEFT
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.server("250 other") == ["S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["S: RCPT TO:<b>"]
    assert scene.server("250 b") == ["C: 250 b"]
    scene.client("RCPT TO:<c>")
    refused = "C: 452 4.5.3 send this recipient in a transaction of its own"
    assert scene.answer(Continue()) == [refused]


def test_the_replies_of_a_server_that_is_being_joined_are_asked_of_nobody() -> None:
    """The client does not see them."""
    scene = Scene("MAIL", "REPLY").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Route("other"))
    scene.server("220 other")
    assert scene.server("250 other") == ["S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["? ReplyQuestion"]


@pytest.mark.parametrize("reply", ["554 no", "421 no"])
def test_a_server_that_cannot_be_joined(reply: str) -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Route("other"))
    assert scene.server(reply) == [
        f"unusable: its greeting was {reply}",
        "C: 421 4.4.1 upstream server cannot be reached, try again later",
        "close S",
        "close C",
    ]


def test_a_rule_may_have_said_the_first_server() -> None:
    scene = Scene("RCPT")
    scene.proxy.prefer("special")
    scene.with_recipient()
    with pytest.raises(LocalProtocolError, match="before the server's first octets"):
        scene.proxy.prefer("other")
