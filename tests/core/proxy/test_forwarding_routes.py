"""Which server a command is for."""

from __future__ import annotations

import pytest

from sansio_smtp import CLIENT, SERVER, Ask, ClientInfo, Connect, Proxy, Route
from sansio_smtp.config import Config
from sansio_smtp.proxy.downstream import Downstream
from sansio_smtp.proxy.forwarding import ANYWHERE, Forwarding
from sansio_smtp.wire.commands import Command


class Way:
    """Commands of one client, and the server that each of them is for."""

    def __init__(self) -> None:
        self.forwarding = Forwarding(Config(), Downstream(Config(), []), [])

    def mark(self, line: str, upstream: str | None = ANYWHERE) -> str | None:
        return self.forwarding.target(Command.of(line), upstream)


def test_without_verdicts_everything_goes_where_it_went() -> None:
    way = Way()
    assert way.mark("EHLO me") == ANYWHERE
    assert way.mark("RCPT TO:<b>") == ANYWHERE
    assert way.mark("MAIL FROM:<a>") is None  # the server of the start, by name
    assert way.mark("RCPT TO:<b>") is None
    assert way.mark("DATA") == ANYWHERE


@pytest.mark.parametrize("line", ["EHLO me", "HELO me", "AUTH PLAIN x"])
def test_a_session_goes_elsewhere_from_then_on(line: str) -> None:
    way = Way()
    assert way.mark(line, "other") == "other"
    assert way.mark("NOOP") == ANYWHERE
    assert way.mark("MAIL FROM:<a>") == "other"
    assert way.mark("RCPT TO:<b>") == "other"
    assert way.mark(line, None) is None
    assert way.mark("MAIL FROM:<a>") is None


def test_a_transaction_goes_elsewhere_once() -> None:
    way = Way()
    assert way.mark("MAIL FROM:<a>", "other") == "other"
    assert way.mark("RCPT TO:<b>") == "other"
    assert way.mark("RCPT TO:<c>", "other") == "other"
    assert way.mark("MAIL FROM:<a>") is None
    assert way.mark("RCPT TO:<b>") is None


def test_a_recipient_is_for_the_server_of_its_transaction_or_for_its_own() -> None:
    way = Way()
    way.mark("MAIL FROM:<a>", "other")
    assert way.mark("RCPT TO:<b>", "third") == "third"
    assert way.mark("RCPT TO:<c>", None) is None
    assert way.mark("RCPT TO:<d>") == "other"


def test_a_greeting_command_ends_what_mail_had_chosen() -> None:
    way = Way()
    way.mark("MAIL FROM:<a>", "other")
    way.mark("AUTH PLAIN x")
    assert way.mark("RCPT TO:<b>") == "other"
    way.mark("EHLO me")
    assert way.mark("RCPT TO:<b>") == ANYWHERE


@pytest.mark.parametrize("line", ["NOOP", "DATA", "RSET", "QUIT", "X-ANY"])
def test_what_takes_no_route_goes_where_its_session_is(line: str) -> None:
    way = Way()
    way.mark("MAIL FROM:<a>", "other")
    assert way.mark(line) == ANYWHERE


def test_the_driver_is_told_for_whom_it_connects() -> None:
    proxy = Proxy(ask=["MAIL"], client=ClientInfo(address="192.0.2.1:51000"))
    proxy.receive_from(SERVER, b"220 mx\r\n")
    proxy.receive_from(CLIENT, b"EHLO me\r\n")
    proxy.receive_from(SERVER, b"250 mx\r\n")
    (ask,) = proxy.receive_from(CLIENT, b"MAIL FROM:<a>\r\n")
    assert isinstance(ask, Ask)
    (connect,) = [event for event in proxy.answer(ask.question, Route("b")) if isinstance(event, Connect)]
    assert connect.client == proxy.client_info == ClientInfo(address="192.0.2.1:51000", helo="me")
