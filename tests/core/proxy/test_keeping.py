"""A connection is given back only if the next client cannot notice; a kept one that is gone is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config, UpstreamTls
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import CLIENT, SERVER, Release
from sansio_smtp.questions import Answer, Continue, ReplaceReply
from sansio_smtp.wire.replies import Reply

REMOTE = ClientInfo(address="192.0.2.1:51000")
BYE = "C: 221 2.0.0 bye"
GIVEN_BACK = [BYE, "release S", "close C"]
CLOSED = ["close S", "close C"]


def scene(*ask: str, **config: Any) -> Scene:
    return Scene(*ask, config=Config(keep=True, **config), client=REMOTE)


def taken(*ask: str, **config: Any) -> Scene:
    made = scene(*ask, **config)
    made.proxy.server_connected(UpstreamTls.NONE, kept=True)
    assert made.server("220 mx") == ["C: 220 mx"]
    return made


def lost(made: Scene, *said: str) -> list[str]:
    """The server leaves: with a reply, or without one."""
    return made.server(*said) if said else made.took(made.proxy.eof_from(SERVER))


LEAVES = pytest.mark.parametrize("said", [("421 idle",), ()], ids=["421", "end"])


def test_the_greeting_is_given_back_with_it() -> None:
    made = scene()
    made.server("220-mx", "220 hello")
    made.client("QUIT")
    assert made.server("250 ok") == GIVEN_BACK
    assert made.event(Release).greeting == Reply.of(220, "mx", "hello")
    assert made.proxy.closed


@pytest.mark.parametrize(
    ("ehlo", "line", "reply"),
    [
        (("250-mx", "250 AUTH PLAIN"), "AUTH PLAIN AGFubgBz", "235 ok"),
        (("250 mx",), "NOOP", "235 ok"),  # it has read as a login what is none here
        (("250 mx",), "XFOO", "250 ok"),
        (("250 mx",), "RCPT TO:<x>", "550 no"),
        (("250-mx", "250 LIMITS MAILMAX=3"), "NOOP", "250 ok"),
    ],
)
def test_a_client_that_the_next_one_would_notice(ehlo: tuple[str, ...], line: str, reply: str) -> None:
    made = scene().greeted(*ehlo)
    assert made.client(line) == [f"S: {line}"]
    made.server(reply)
    assert made.client("QUIT") == ["S: QUIT"]
    assert made.server("221 bye") == ["C: 221 bye", *CLOSED]


@pytest.mark.parametrize("limit", ["RCPTMAX=3", "MAILMAX=none"])
def test_a_limit_that_does_not_count_over_clients(limit: str) -> None:
    made = scene().greeted("250-mx", f"250 LIMITS {limit}")
    assert made.client("QUIT") == ["S: RSET"]


def test_it_is_refused_the_reset() -> None:
    made = scene().greeted()
    made.client("QUIT")
    assert made.server("500 what") == ["S: QUIT"]
    assert made.server("221 bye") == ["C: 221 bye", *CLOSED]


@LEAVES
def test_it_leaves_in_place_of_the_reset(said: tuple[str, ...]) -> None:
    made = scene().greeted()
    made.client("QUIT")
    assert lost(made, *said) == [BYE, *CLOSED]


def test_more_than_was_asked_for_lies_there() -> None:
    made = scene().greeted()
    made.client("QUIT")
    assert made.server("250 ok", "250 ok") == [BYE, *CLOSED]


@pytest.mark.parametrize("leave", ["eof_from", "client_lost"])
def test_a_client_that_does_not_wait(leave: str) -> None:
    made = scene().greeted()
    made.client("QUIT")
    given = [CLIENT] if leave == "eof_from" else []
    assert made.took(getattr(made.proxy, leave)(*given)) == []
    assert made.proxy.may_read == {SERVER}
    assert made.server("250 ok") == GIVEN_BACK


def test_a_reply_before_that_is_judged_late() -> None:
    made = scene("REPLY")
    made.server("220 mx")
    made.answer(Continue())
    made.client("EHLO me")
    made.server("250-mx", "250 PIPELINING")
    made.answer(Continue())
    made.client("RSET", "QUIT")
    assert made.server("250 one", "250 two") == ["? ReplyQuestion"]
    assert made.answer(ReplaceReply(Reply.of(250, "own"))) == ["C: 250 own", *GIVEN_BACK]


def test_a_quit_that_a_rule_answers_is_not_told_to_the_server() -> None:
    made = scene("QUIT").greeted()
    made.client("QUIT")
    assert made.answer(Answer(Reply.of(221, "own"))) == ["C: 221 own", *CLOSED]


def test_who_takes_it_is_introduced() -> None:
    made = taken(ehlo_name="proxy")
    assert made.client("NOOP") == ["S: EHLO proxy"]
    assert made.server("250 mx") == ["S: NOOP"]


@LEAVES
@pytest.mark.parametrize("name", [None, "other"])
def test_it_is_gone_before_it_has_answered(name: str | None, said: tuple[str, ...]) -> None:
    made = scene()
    made.proxy.prefer(name)
    made.proxy.server_connected(UpstreamTls.NONE, kept=True)
    made.server("220 mx")
    assert made.client("EHLO me") == ["S: EHLO me"]
    assert lost(made, *said) == ["close S", f"connect {name or 'home'}"]
    assert made.server("220 mx") == ["S: EHLO me"]
    assert made.server("250 mx") == ["C: 250-mx|250 PIPELINING"]


@LEAVES
def test_it_is_gone_before_anything_was_said(said: tuple[str, ...]) -> None:
    assert lost(taken(), *said) == ["close S", "connect home"]


def test_it_is_gone_when_it_is_in_use() -> None:
    made = taken()
    made.client("EHLO me")
    made.server("250 mx")
    assert lost(made) == ["C: 421 4.4.2 upstream server closed the connection", *CLOSED]


@LEAVES
def test_it_is_gone_when_the_client_has_quit(said: tuple[str, ...]) -> None:
    made = taken()
    made.client("QUIT")
    assert lost(made, *said) == [BYE, *CLOSED]


def test_it_is_gone_twice() -> None:
    """The second connection is new: its loss is told."""
    made = taken()
    made.client("EHLO me")
    assert lost(made) == ["close S", "connect home"]
    made.server("220 mx")
    assert lost(made)[1:] == CLOSED


def test_a_connection_was_kept_before_its_first_octet_or_not_at_all() -> None:
    made = scene().greeted()
    with pytest.raises(LocalProtocolError):
        made.proxy.server_connected(UpstreamTls.NONE, kept=True)
