"""The transactions of rules, in step with the envelope of the core."""

from __future__ import annotations

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.events import MessageAnswered
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.transactions import RuleTransaction, Transactions
from sansio_smtp.rules.verdicts import Accept, Discard, Hold, Redirect
from sansio_smtp.rules.views import Recipient, Sender
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

MAIL = Command.of("MAIL FROM:<a@me>")


def mails() -> Transactions:
    return Transactions(Connection("192.0.2.1:49152"))


def rcpt(address: str) -> Command:
    return Command.of(f"RCPT TO:<{address}>")


def begun() -> RuleTransaction:
    return mails().begin(MAIL, Sender(MAIL))


def addresses(mail: RuleTransaction) -> list[str]:
    return [to.address for to in mail.tx.rcpts]


def test_the_fate_of_a_message_is_what_was_said_first() -> None:
    mail = begun()
    for verdict in (None, Accept(), Redirect("other")):
        mail.note(verdict)
        assert mail.fate is None
    hold = Hold("why")
    mail.note(hold)
    mail.note(Discard())
    mail.note(Hold("another"))
    assert mail.fate is hold
    mail = begun()
    mail.note(Discard("gone"))
    mail.note(hold)
    assert mail.fate == Discard("gone")


def test_recipients_are_those_that_were_named() -> None:
    mail = begun()
    command = rcpt("b@mx")
    to = Recipient(command)
    to.rewrite("c@mx")
    mail.named(command, to)
    assert mail.tx.rcpts == (to,)


def test_what_became_of_a_message_for_each_recipient() -> None:
    """One reply is for all. A recipient that rules have dropped is none; one that they have added is known to
    the server alone."""
    mail = begun()
    one, two, dropped, added = (rcpt(f"{name}@mx") for name in ("one", "two", "dropped", "added"))
    named = Recipient(one)
    mail.named(one, named)
    mail.dropped(dropped)
    ok, full = Reply.of(250, "ok"), Reply.of(552, "full")
    envelope = Envelope(MAIL, [one, dropped, two])
    found = mail.results(MessageAnswered(full, envelope))
    assert [(each.to.address, each.reply, each.ok) for each in found] == [
        ("one@mx", full, False), ("two@mx", full, False),
    ]  # fmt: skip
    assert found[0].to is named
    told = ((one, ok), (dropped, ok), (two, full), (added, ok))
    found = mail.results(MessageAnswered(full, envelope, results=told))
    assert [(each.to.address, each.ok) for each in found] == [
        ("one@mx", True), ("two@mx", False), ("added@mx", True),
    ]  # fmt: skip


def test_recipients_are_settled_when_all_replies_are_known() -> None:
    """Those that the client takes for accepted: as rules have rewritten them, without those they dropped."""
    mail = begun()
    one, two, three, four = (rcpt(f"{name}@mx") for name in ("one", "two", "three", "four"))
    for command in (one, two):
        to = Recipient(command)
        to.rewrite(f"new-{to.address}")
        mail.named(command, to)
    mail.dropped(three)
    assert mail.settle([one, three, four])
    assert addresses(mail) == ["new-one@mx", "four@mx"], "the server has refused two"
    assert mail.settle([one]), "and again, if the client names more after DATA was refused"
    assert addresses(mail) == ["new-one@mx"]


def test_recipients_are_settled_if_none_was_dropped() -> None:
    mail = begun()
    one, two = rcpt("one@mx"), rcpt("two@mx")
    to = Recipient(one)
    mail.named(one, to)
    assert mail.settle([one, two])
    assert mail.tx.rcpts[0] is to
    assert addresses(mail) == ["one@mx", "two@mx"]
    assert mail.tx.rcpts[1].is_final


def test_whether_any_recipient_goes_to_the_server() -> None:
    mail = begun()
    command = rcpt("b@mx")
    mail.dropped(command)
    assert not mail.settle([command])
    assert not mail.settle([])


def test_the_same_address_named_twice_is_two() -> None:
    mail = begun()
    first, second = rcpt("b@mx"), rcpt("b@mx")
    mail.dropped(first)
    assert mail.settle([first, second])


def test_recipients_are_counted_whatever_became_of_them() -> None:
    mail = begun()
    for number in range(3):
        command = rcpt(f"{number}@mx")
        mail.named(command, Recipient(command))
    mail.dropped(rcpt("d@mx"))
    assert mail.count == 4
    mail.settle([])
    assert mail.count == 4


def test_added_recipients_are_taken_once() -> None:
    mail = begun()
    mail.tx.may_add = True
    mail.tx.add_rcpt("x@archive.example")
    assert [command.raw for command in mail.take_added()] == [b"RCPT TO:<x@archive.example>"]
    assert mail.take_added() == ()


def test_a_transaction_begins_when_the_server_takes_it() -> None:
    every = mails()
    one = every.begin(MAIL, Sender(MAIL))
    assert every.of(Envelope()) is None
    assert every.of(Envelope(MAIL)) is one
    second = Command.of("MAIL FROM:<b@me>")
    two = every.begin(second, Sender(second))
    assert every.of(Envelope(MAIL)) is one, "the second MAIL was refused"
    assert every.of(Envelope(second)) is two
    assert every.of(Envelope()) is None


def test_a_transaction_that_no_rule_was_asked_about() -> None:
    every = mails()
    mail = every.of(Envelope(MAIL))
    assert mail is not None
    assert mail.tx.mail_from is not None
    assert mail.tx.mail_from.address == "a@me"
    assert mail.tx.conn is every.conn
    assert every.of(Envelope(MAIL)) is mail
    again = Command.of("MAIL FROM:<a@me>")
    assert every.of(Envelope(again)) is not mail, "of the same sender, but another"


def test_recipients_that_no_rule_was_asked_about() -> None:
    one, two = rcpt("one@mx"), rcpt("two@mx")
    mail = mails().of(Envelope(MAIL, [one]))
    assert mail is not None
    assert addresses(mail) == ["one@mx"]
    mail.named(two, Recipient(two))
    assert addresses(mail) == ["one@mx", "two@mx"]


def test_the_transaction_that_rules_are_shown() -> None:
    every = mails()
    assert every.current(Envelope()).mail_from is None
    assert every.current(Envelope()).conn is every.conn
    mail = every.begin(MAIL, Sender(MAIL))
    assert every.current(Envelope()) is not mail.tx
    assert every.current(Envelope(), MAIL) is mail.tx, "its MAIL is being answered"
    assert every.current(Envelope(MAIL)) is mail.tx


def test_the_transaction_whose_mail_was_rewritten() -> None:
    every = mails()
    mail = every.begin(MAIL, Sender(MAIL))
    mail.told(sent := Command.of("MAIL FROM:<z@me>"))
    assert every.current(Envelope(), sent) is mail.tx
    assert every.current(Envelope(), Command.of("RSET")) is not mail.tx
