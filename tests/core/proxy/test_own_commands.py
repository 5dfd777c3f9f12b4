"""STARTTLS, XCLIENT and XFORWARD are answered by the proxy."""

from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo, Forwarded
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.events import CLIENT
from sansio_smtp.networks import Networks
from sansio_smtp.questions import CLIENT_CHANGED, ClientQuestion, Continue, Disconnect, Route
from sansio_smtp.wire.replies import Reply

LOCAL = ClientInfo(address="127.0.0.1:50000")
TRUSTED = Networks.parse(["127.0.0.0/8"])
CONFIG = Config(accept_xclient=TRUSTED, accept_xforward=TRUSTED, tls=ClientTls.MAY)
NAMED = ["client 192.0.2.1", "C: 220 mx"]


def trusted(*ask: str, config: Config = CONFIG) -> Scene:
    return Scene(*ask, config=config, client=LOCAL).greeted()


@pytest.mark.parametrize("line", ["STARTTLS now", "STARTTLS  x"])
def test_starttls_takes_no_argument(line: str) -> None:
    """RFC 3207 §4."""
    assert trusted().client(line) == ["C: 501 5.5.4 STARTTLS takes no argument"]


@pytest.mark.parametrize("line", ["STARTTLS", "starttls ", "STARTTLS  "])
def test_starttls(line: str) -> None:
    assert trusted().client(line) == ["C: 220 2.0.0 begin TLS now", "tls C"]


def test_a_client_is_named_and_greeted_anew() -> None:
    scene = trusted()
    assert scene.client("XCLIENT ADDR=192.0.2.1 HELO=mx LOGIN=Ann") == NAMED
    info = scene.proxy.client_info
    assert (info.ip, info.helo, info.login, info.login_given) == ("192.0.2.1", "mx", "ann", "Ann")
    assert scene.proxy.hello is None
    assert scene.client("EHLO you") == ["S: EHLO you"]
    assert scene.server("250 mx") == ["C: 250-mx|250-PIPELINING|250 STARTTLS"]
    assert scene.proxy.client_info.helo == "you"


def test_logins_may_differ_in_case() -> None:
    scene = trusted(config=Config(accept_xclient=TRUSTED, case_sensitive_logins=True))
    scene.client("XCLIENT LOGIN=Ann")
    assert scene.proxy.login == "Ann"


def test_who_has_named_a_stranger_names_no_other() -> None:
    scene = trusted()
    scene.client("XCLIENT ADDR=192.0.2.1")
    refused = ["violation CLIENT", "C: 550 5.7.0 you may not say who the client is"]
    assert scene.client("XCLIENT ADDR=192.0.2.2") == refused
    assert scene.client("XFORWARD ADDR=192.0.2.2") == refused


def test_it_is_taken_when_the_replies_before_it_are_known() -> None:
    scene = trusted()
    assert scene.client("NOOP", "XCLIENT ADDR=192.0.2.1") == ["S: NOOP"]
    assert scene.proxy.client_info.ip == "127.0.0.1"
    assert scene.server("250 ok") == ["C: 250 ok", *NAMED]


def test_it_may_be_asked_about_as_all_commands() -> None:
    scene = trusted("COMMAND", "IN_TURN")
    assert scene.client("XCLIENT ADDR=192.0.2.1") == ["? CommandQuestion"]
    assert scene.answer(Continue()) == NAMED


def test_it_is_asked_about_when_the_replies_before_it_are_known() -> None:
    scene = trusted("XCLIENT")
    assert scene.client("NOOP", "XCLIENT ADDR=192.0.2.1") == ["S: NOOP"]
    assert scene.server("250 ok") == ["C: 250 ok", "? CommandQuestion"]
    assert scene.answer(Continue()) == NAMED


@pytest.mark.parametrize("line", ["XCLIENT ADDR=192.0.2.1", "XFORWARD ADDR=192.0.2.1"])
def test_not_in_a_transaction(line: str) -> None:
    scene = Scene(config=CONFIG, client=LOCAL).with_recipient()
    assert scene.client(line) == ["C: 503 5.5.1 a mail transaction is open"]


@pytest.mark.parametrize(
    "line",
    ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT ADDR=192.0.2.1 PORT=70000", "XFORWARD A=b", "XFORWARD HELO=a+0Db"],
)
def test_nothing_of_a_line_with_a_mistake_counts(line: str) -> None:
    scene = trusted()
    (reply,) = scene.client(line)
    assert reply.startswith("C: 501 5.5.4 ")
    assert (scene.proxy.identity, scene.proxy.forwarded) == (LOCAL, None)


def test_a_login_is_forgotten_and_its_connection_left() -> None:
    """RFC 4954 §4: RSET does not undo it."""
    scene = trusted()
    scene.client("AUTH PLAIN AGFubgBw")
    scene.server("235 ok")
    assert scene.proxy.login == "ann"
    scene.client("XCLIENT ADDR=192.0.2.1")
    assert scene.proxy.login is None
    assert scene.client("EHLO you") == ["S: QUIT", "close S", "connect home"]


# Rules are asked about the client anew


def test_a_client_is_asked_about() -> None:
    scene = trusted(CLIENT_CHANGED)
    assert scene.client("XCLIENT ADDR=192.0.2.1") == ["client 192.0.2.1", "? ClientQuestion"]
    question = scene.question
    assert isinstance(question, ClientQuestion)
    assert question.client.ip == "192.0.2.1"
    assert scene.answer(Continue()) == ["C: 220 mx"]


def test_a_refusal_takes_the_place_of_the_greeting() -> None:
    scene = trusted(CLIENT_CHANGED)
    scene.client("XCLIENT ADDR=192.0.2.1")
    assert scene.answer(Disconnect(Reply.of(554, "no"))) == ["C: 554 no", "close S", "close C"]


@pytest.mark.parametrize(
    ("upstream", "then"), [("other", ["S: QUIT", "close S", "connect other"]), (None, ["S: EHLO you"])]
)
def test_a_client_that_belongs_to_another_server(upstream: str | None, then: list[str]) -> None:
    scene = trusted(CLIENT_CHANGED)
    scene.client("XCLIENT ADDR=192.0.2.1")
    assert scene.answer(Route(upstream)) == ["C: 220 mx"]
    assert scene.client("EHLO you") == then


# XFORWARD


def test_it_names_the_client_of_a_transaction() -> None:
    scene = trusted()
    assert scene.client("XFORWARD ADDR=192.0.2.1 NAME=mx") == ["C: 250 2.0.0 ok"]
    assert scene.client("XFORWARD HELO=mx") == ["C: 250 2.0.0 ok"]
    assert scene.proxy.forwarded == Forwarded(ip="192.0.2.1", name="mx", helo="mx")
    assert scene.proxy.client_info.forwarded == scene.proxy.forwarded
    assert scene.proxy.client_info.ip == "127.0.0.1"


@pytest.mark.parametrize("line", ["RSET", "EHLO you", "HELO you"])
def test_until_it_is_over(line: str) -> None:
    scene = trusted()
    scene.client("XFORWARD ADDR=192.0.2.1")
    scene.client(line)
    scene.server("550 no")
    assert scene.proxy.forwarded is not None
    scene.client(line)
    scene.server("250 ok")
    assert scene.proxy.forwarded is None


def test_until_the_message_is_answered() -> None:
    scene = trusted()
    scene.client("XFORWARD ADDR=192.0.2.1")
    for line, reply in (("MAIL FROM:<a>", "250 a"), ("RCPT TO:<b>", "250 b"), ("DATA", "354 go")):
        scene.client(line)
        scene.server(reply)
    scene.client(".")
    assert scene.proxy.forwarded is not None
    scene.server("451 no")
    assert scene.proxy.forwarded is None


def test_until_the_session_begins_anew() -> None:
    for line in ("XCLIENT HELO=x", "STARTTLS"):
        scene = trusted()
        scene.client("XFORWARD ADDR=192.0.2.1")
        scene.client(line)
        if line == "STARTTLS":
            scene.encrypted(CLIENT)
        assert scene.proxy.forwarded is None
