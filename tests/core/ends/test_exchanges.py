"""A line of the client with the replies that it is owed."""

from __future__ import annotations

from sansio_smtp.ends.exchanges import Content, Exchange
from sansio_smtp.ends.fan_out import FanOut
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.wire.commands import END_OF_CHUNKS, END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

OK = Reply.of(250, "ok")
NO = Reply.of(550, "no")


def test_a_reply_is_known_before_it_is_sent() -> None:
    exchange = Exchange(Command.of("NOOP"))
    assert (exchange.owes, exchange.closes, exchange.replacement) == (1, False, None)
    assert exchange.next_reply() is None
    exchange.fill(NO)
    assert exchange.next_reply() is NO
    assert exchange.next_reply() is None, "once"


def test_one_reply_for_each_recipient() -> None:
    """RFC 2033 §4.2: in the order in which they become known."""
    exchange = Exchange(END_OF_DATA, owes=3)
    exchange.fill(OK)
    exchange.fill(NO)
    assert exchange.next_reply() is OK
    exchange.go_on()
    assert exchange.owes == 2
    exchange.fill(OK)
    assert [exchange.next_reply(), exchange.next_reply(), exchange.next_reply()] == [NO, OK, None]


def test_the_session_is_to_end_before_the_reply_is_known() -> None:
    exchange = Exchange(END_OF_DATA)
    exchange.end_with()
    exchange.fill(OK)
    assert exchange.closes


def test_what_a_server_was_sent_is_remembered() -> None:
    exchange = Exchange(Command.of("EHLO me"))
    exchange.went_as(put_in := Command.of("EHLO proxy"))
    assert exchange.replacement is put_in
    assert exchange.command.raw == b"EHLO me"


def test_two_exchanges_are_never_the_same() -> None:
    command = Command.of("NOOP")
    assert Exchange(command) != Exchange(command)


def test_a_message_is_owed_one_reply_at_least() -> None:
    """If no recipient was accepted, a server has said 354 all the same."""
    exchange = Exchange(END_OF_DATA)
    exchange.owe(3)
    assert exchange.owes == 3
    exchange.owe(0)
    assert exchange.owes == 1


def test_what_shares_the_replies_out_is_kept() -> None:
    exchange = Exchange(END_OF_DATA)
    exchange.share(fan_out := FanOut(Envelope(), by_recipient=True))
    assert exchange.fan_out is fan_out


def test_a_last_chunk_becomes_end_of_data() -> None:
    exchange = Exchange(Command.of("BDAT 3 LAST"))
    exchange.becomes(END_OF_CHUNKS)
    assert exchange.command is END_OF_CHUNKS
    assert exchange.owes == 1


def test_what_is_known_of_the_content() -> None:
    exchange = Exchange(END_OF_DATA)
    assert exchange.content is None
    exchange.came_with(content := Content(10, 0, b"<1@me>"))
    content.leaves(12)
    assert exchange.content == Content(10, 12, b"<1@me>")


def test_a_refusal_is_noted() -> None:
    exchange = Exchange(Command.of("NOOP"))
    assert not exchange.refused
    exchange.refuse()
    assert exchange.refused
