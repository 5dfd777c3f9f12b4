"""Replies that say that a server cannot be used now, and those that do not."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.config import Config
from sansio_smtp.questions import Route

CONFIG = Config(reconnect=True, failover=1)
LEFT = ["close S", "connect home"]


def at(line: str) -> Scene:
    made = Scene(config=CONFIG)
    made.server("220 one")
    if line.startswith("EHLO"):
        assert made.client(line) == [f"S: {line}"]
    elif line:
        made.client("EHLO me")
        made.server("250 one")
        assert made.client(line) == [f"S: {line}"]
    return made


@pytest.mark.parametrize(
    ("line", "reply", "is_left"),
    [
        ("EHLO me", "421 x", True),
        ("EHLO me", "450 x", True),
        ("EHLO me", "550 x", False),
        ("MAIL FROM:<a>", "421 x", True),
        ("MAIL FROM:<a>", "451 x", False),
        ("NOOP", "250 x", False),
    ],
)
def test_a_reply_to_a_command(line: str, reply: str, is_left: bool) -> None:
    said = at(line).server(reply)
    assert ("connect home" in said) is is_left
    assert (said[0] == f"unusable: it said {reply} to {line}") is is_left


@pytest.mark.parametrize(("greeting", "is_left"), [("220 x", False), ("421 x", True), ("554 x", True)])
def test_a_greeting(greeting: str, is_left: bool) -> None:
    said = Scene(config=CONFIG).server(greeting)
    assert (said == [f"unusable: its greeting was {greeting}", *LEFT]) is is_left


def test_421_that_nothing_asked_for() -> None:
    assert at("").server("421 x") == ["close S"]


def test_replies_to_commands_of_the_proxy_are_for_their_own_flows() -> None:
    made = Scene("MAIL", config=CONFIG).greeted()
    made.client("MAIL FROM:<a>")
    made.answer(Route("b"))
    assert made.server("220 b") == ["S: EHLO me"]
    assert made.server("421 x") == ["unusable: it said 421 x to EHLO me", "close S", "connect b"]
