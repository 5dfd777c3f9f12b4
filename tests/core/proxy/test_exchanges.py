from __future__ import annotations

from sansio_smtp.proxy.exchanges import Exchange, Exchanges, Internal
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

OK = Reply.of(250, "ok")
NO = Reply.of(550, "no")


def test_replies_leave_in_the_order_of_their_commands() -> None:
    """RFC 2920 §3.2, whatever the order in which they become known."""
    exchanges = Exchanges()
    first, second, third = (exchanges.open(Command.of(f"NOOP {i}")) for i in range(3))
    second.reply = NO
    assert list(exchanges.deliverable()) == []
    first.reply = OK
    assert list(exchanges.deliverable()) == [(first, OK), (second, NO)]
    assert list(exchanges.deliverable()) == []
    assert list(exchanges.waiting) == [third]
    third.reply = OK
    assert list(exchanges.deliverable()) == [(third, OK)]
    assert len(exchanges) == 0


def test_deliverable_ends_when_all_is_cleared_meanwhile() -> None:
    """A reply that is delivered may end the session, and nothing is delivered behind it."""
    exchanges = Exchanges()
    for _ in range(3):
        exchanges.open(Command.of("NOOP")).reply = OK
    delivered = 0
    for _ in exchanges.deliverable():
        delivered += 1
        exchanges.clear()
    assert delivered == 1


def test_octets_and_len_count_what_waits() -> None:
    exchanges = Exchanges()
    assert (len(exchanges), exchanges.octets, bool(exchanges)) == (0, 0, False)
    exchanges.open(Command.of("NOOP"))
    exchanges.open(Command.of("QUIT x")).reply = OK
    assert (len(exchanges), exchanges.octets, bool(exchanges)) == (2, 10, True)


def test_a_command_is_due_when_all_before_it_is_answered() -> None:
    """But for recipients, which do not depend on each other (RFC 2920 §3.1)."""
    exchanges = Exchanges()
    mail = exchanges.open(Command.of("MAIL"))
    assert exchanges.is_due(mail)
    one = exchanges.open(Command.of("RCPT"))
    assert not exchanges.is_due(one)
    exchanges.waiting.remove(mail)
    assert exchanges.is_due(one)
    two = exchanges.open(Command.of("RCPT"))
    assert exchanges.is_due(two)
    data = exchanges.open(Command.of("DATA"))
    assert not exchanges.is_due(data)
    exchanges.waiting.remove(one)
    assert not exchanges.is_due(data)
    exchanges.waiting.remove(two)
    assert exchanges.is_due(data)


def test_clear_empties_every_queue() -> None:
    exchanges = Exchanges()
    exchange = exchanges.open(Command.of("NOOP"))
    exchanges.unsent.append((exchange.command, exchange))
    exchanges.forwarded.append(Internal.RESET)
    exchanges.clear()
    assert [len(queue) for queue in (exchanges.waiting, exchanges.unsent, exchanges.forwarded)] == [0, 0, 0]


def test_two_exchanges_are_never_the_same() -> None:
    command = Command.of("NOOP")
    assert Exchange(command) != Exchange(command)
