"""Replies that are the client's, and the greetings of servers that take the place of others."""

from __future__ import annotations

import pytest

from core.scene import PIPELINING, PLAIN, Scene
from sansio_smtp.config import Config
from sansio_smtp.questions import Continue, Disconnect, ReplaceReply, Route
from sansio_smtp.wire.replies import Reply


def test_what_the_server_says_is_traced() -> None:
    scene = Scene(config=Config(trace=True))
    assert scene.server("220 mx") == ["received SERVER 220 mx", "C: 220 mx"]


def test_a_reply_that_nothing_asked_for_is_the_last() -> None:
    assert Scene().greeted().server("421 bye") == ["C: 421 bye", "close S", "close C"]


def test_the_client_hears_one_greeting() -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Route("other"))
    assert scene.server("220 other") == ["S: EHLO me"]
    assert scene.server(*PLAIN) == ["S: MAIL FROM:<a>"]


def test_a_greeting_that_refuses_is_the_last_reply() -> None:
    assert Scene().server("554 no") == ["C: 554 no", "close S", "close C"]


def test_another_server_that_refuses_the_connection() -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Route("other"))
    unreachable = "C: 421 4.4.1 upstream server cannot be reached, try again later"
    why = "unusable: its greeting was 554 no"
    assert scene.server("554 no") == [why, unreachable, "close S", "close C"]


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (Continue(), ["C: 250 ok"]),
        (ReplaceReply(Reply.of(251, "instead")), ["C: 251 instead"]),
        (Disconnect(Reply.of(550, "no")), ["C: 550 no", "close S", "close C"]),
    ],
)
def test_a_reply_is_passed_on_as_the_verdict_says(verdict: object, shown: list[str]) -> None:
    scene = Scene("REPLY").greeted()
    scene.client("NOOP")
    assert scene.server("250 ok") == ["? ReplyQuestion"]
    assert scene.answer(verdict) == shown


def test_a_greeting_is_asked_about() -> None:
    scene = Scene("REPLY")
    assert scene.server("220 mx") == ["? ReplyQuestion"]
    assert scene.answer(Continue()) == ["C: 220 mx"]


@pytest.mark.parametrize(
    ("line", "reply", "shown"),
    [
        ("HELO me", "250 mx", "C: 250 mx"),
        ("EHLO me", "502 no", "C: 502 no"),
        ("EHLO me", "250 mx", "C: 250-mx|250 PIPELINING"),
    ],
)
def test_only_the_reply_to_ehlo_is_offered(line: str, reply: str, shown: str) -> None:
    scene = Scene()
    scene.server("220 mx")
    scene.client(line)
    assert scene.server(reply) == [shown]


@pytest.mark.parametrize("lane", [True, False])
@pytest.mark.parametrize("reply", ["354 go", "451 later"])
def test_the_reply_to_data(reply: str, lane: bool) -> None:
    scene = Scene(config=Config(lane=lane)).with_recipient(*PIPELINING)
    scene.client("DATA")
    assert scene.server(reply) == [f"C: {reply}"]


def test_a_login_that_fails_is_none() -> None:
    scene = Scene().greeted(*PLAIN)
    scene.client("AUTH PLAIN AGFubgBz")
    scene.server("535 no")
    assert scene.proxy.login is None
