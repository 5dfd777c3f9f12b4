"""Which server a command is for."""

from __future__ import annotations

import pytest

from sansio_smtp.config import Config
from sansio_smtp.proxy.dialogue import Dialogue
from sansio_smtp.proxy.exchanges import ANYWHERE, Exchange
from sansio_smtp.proxy.routes import Routes
from sansio_smtp.wire.commands import Command


class Way:
    """Commands of one client, and where each of them goes."""

    def __init__(self) -> None:
        self.routes = Routes()
        self.dialogue = Dialogue(Config(), frozenset())

    def mark(self, line: str, upstream: str | None = ANYWHERE) -> str | None:
        """The server that the command is for."""
        exchange = Exchange(Command.of(line))
        self.routes.mark(exchange, upstream, self.dialogue)
        return exchange.upstream


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
    assert way.dialogue.home == "other"
    assert way.mark("NOOP") == ANYWHERE
    assert way.mark("MAIL FROM:<a>") == "other"
    assert way.mark("RCPT TO:<b>") == "other"
    assert way.mark(line, None) is None
    assert way.dialogue.home is None


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
