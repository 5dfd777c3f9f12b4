"""A line of the client with the replies that it is owed."""

from __future__ import annotations

from sansio_smtp.ends.exchanges import Exchange
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

OK = Reply.of(250, "ok")
NO = Reply.of(550, "no")


def test_a_reply_is_known_before_it_is_sent() -> None:
    exchange = Exchange(Command.of("NOOP"))
    assert (exchange.owes, exchange.replies, exchange.closes, exchange.forwarded) == (1, (), False, None)
    exchange.fill(NO)
    assert (exchange.owes, exchange.replies) == (1, (NO,))
    assert exchange.answered()
    assert (exchange.owes, exchange.replies) == (0, ())


def test_one_reply_for_each_recipient() -> None:
    """RFC 2033 §4.2: in the order in which they become known, and no more than are owed."""
    exchange = Exchange(END_OF_DATA, owes=3)
    exchange.fill(OK)
    exchange.fill(NO)
    assert not exchange.answered()
    assert (exchange.owes, exchange.replies) == (2, (NO,))
    assert not exchange.answered()
    assert (exchange.owes, exchange.replies) == (1, ())
    exchange.fill(OK)
    assert exchange.answered()


def test_the_session_ends_with_the_reply() -> None:
    exchange = Exchange(END_OF_DATA, owes=2)
    exchange.fill(NO, closes=True)
    exchange.fill(OK)
    assert exchange.closes, "a later reply does not take it back"


def test_the_session_is_to_end_before_the_reply_is_known() -> None:
    exchange = Exchange(END_OF_DATA)
    exchange.end_with()
    exchange.fill(OK)
    assert exchange.closes


def test_what_a_server_was_sent_is_remembered() -> None:
    exchange = Exchange(Command.of("EHLO me"))
    exchange.went_as(put_in := Command.of("EHLO proxy"))
    assert exchange.forwarded is put_in
    assert exchange.command.raw == b"EHLO me"


def test_two_exchanges_are_never_the_same() -> None:
    command = Command.of("NOOP")
    assert Exchange(command) != Exchange(command)
