from __future__ import annotations

import pytest
from each import each
from hypothesis.vendor.pretty import pretty

from sansio_smtp.ends.transaction import Envelope, Transaction
from sansio_smtp.states import TransactionState
from sansio_smtp.wire.commands import END_OF_DATA, Command, Path, auth_line
from sansio_smtp.wire.replies import Reply

OK = Reply.of(250, "ok")
MAIL = Command.of("MAIL FROM:<a@me> SIZE=10 SMTPUTF8")
ONE = Command.of("RCPT TO:<b@mx>")
TWO = Command.of("RCPT TO:<c@mx>")


def opened() -> Transaction:
    transaction = Transaction()
    for command in (MAIL, ONE, TWO):
        transaction.answered(command, OK)
    return transaction


def test_envelope_in_order() -> None:
    """RFC 5321 §3.3."""
    transaction = opened()
    envelope = transaction.envelope
    assert transaction.open
    assert envelope.mail is MAIL
    assert envelope.recipients == [ONE, TWO]
    assert envelope.reverse_path is not None
    assert envelope.reverse_path.address == "a@me"
    assert envelope.forward_paths == [Path("b@mx"), Path("c@mx")]


def test_what_is_new() -> None:
    """A server may accept RCPT alone."""
    assert Transaction().is_new
    assert not opened().is_new
    transaction = Transaction()
    transaction.answered(ONE, OK)
    assert not transaction.is_new
    transaction.answered(END_OF_DATA, OK)
    assert transaction.is_new


def test_empty_envelope() -> None:
    transaction = Transaction()
    assert not transaction.open
    assert transaction.envelope.reverse_path is None
    assert transaction.envelope.forward_paths == []
    assert transaction.envelope.declared("SIZE") is None


def test_hypothesis_writes_a_call_that_makes_the_envelope_again() -> None:
    envelope = opened().envelope
    again = eval(pretty(envelope), {"Command": Command, "Envelope": Envelope})
    assert [each.raw for each in (again.mail, *again.recipients)] == [MAIL.raw, ONE.raw, TWO.raw]
    assert pretty(Envelope()) == "Envelope(None, [])"
    assert "hunter2" not in pretty(Envelope(Command.parse(b"AUTH PLAIN hunter2")))


def test_paths_that_cannot_be_read() -> None:
    """The server accepted them; they count as recipients, and have no path."""
    transaction = Transaction()
    transaction.answered(Command.of("MAIL whatever"), OK)
    transaction.answered(odd := Command.of("RCPT anybody"), OK)
    transaction.answered(ONE, OK)
    assert transaction.open
    assert transaction.envelope.reverse_path is None
    assert transaction.envelope.declared("SIZE") is None
    assert transaction.envelope.recipients == [odd, ONE]
    assert transaction.envelope.forward_paths == [Path("b@mx")]


@pytest.mark.parametrize(("keyword", "value"), [("SIZE", "10"), ("SMTPUTF8", ""), ("BODY", None)])
def test_declared(keyword: str, value: str | None) -> None:
    assert opened().envelope.declared(keyword) == value


@each("code", [354, 421, 450, 550])
@each("line", ["MAIL FROM:<x>", "RCPT TO:<x>", "RSET", "EHLO x", "HELO x", "DATA", "NOOP"])
def test_what_is_not_accepted_changes_nothing(line: str, code: int) -> None:
    transaction = opened()
    before = transaction.envelope
    transaction.answered(Command.of(line), Reply.of(code))
    assert transaction.envelope is before
    assert before.recipients == [ONE, TWO]


@pytest.mark.parametrize("line", ["NOOP", "DATA", "VRFY x", "X-ANY", "AUTH PLAIN x", "QUIT"])
def test_open_world(line: str) -> None:
    """What is not in the table changes nothing, also when it is accepted."""
    transaction = opened()
    before = transaction.envelope
    transaction.answered(Command.of(line), OK)
    transaction.answered(auth_line(b"RSET"), OK)
    assert transaction.envelope is before


@pytest.mark.parametrize("line", ["RSET", "EHLO x", "helo x"])
def test_reset(line: str) -> None:
    """RFC 5321 §4.1.1.5, §4.1.4."""
    transaction = opened()
    transaction.answered(Command.of(line), OK)
    assert not transaction.open
    assert transaction.envelope.recipients == []


@pytest.mark.parametrize("code", [250, 421, 451, 554])
def test_end_of_data_ends_it_in_any_case(code: int) -> None:
    """RFC 5321 §4.1.1.4."""
    transaction = opened()
    transaction.answered(END_OF_DATA, Reply.of(code))
    assert not transaction.open


def test_a_line_that_says_a_dot_is_not_end_of_data() -> None:
    transaction = opened()
    transaction.answered(Command.parse(b"."), Reply.of(500))
    assert transaction.open


def test_an_ended_envelope_keeps_what_it_held() -> None:
    """Code that was given it may still read it."""
    transaction = opened()
    envelope = transaction.envelope
    transaction.answered(END_OF_DATA, OK)
    assert (envelope.mail, envelope.recipients) == (MAIL, [ONE, TWO])
    assert transaction.envelope is not envelope


def test_an_empty_envelope_is_not_made_anew() -> None:
    transaction = Transaction()
    before = transaction.envelope
    transaction.answered(Command.of("EHLO x"), OK)
    assert transaction.envelope is before


@pytest.mark.parametrize("code", [200, 250, 251, 299])
def test_any_2xx_accepts(code: int) -> None:
    """RFC 5321 §4.2.1: the first digit decides."""
    transaction = Transaction()
    transaction.answered(MAIL, Reply.of(code))
    transaction.answered(ONE, Reply.of(code))
    assert (transaction.envelope.mail, transaction.envelope.recipients) == (MAIL, [ONE])


def test_a_second_mail_that_is_accepted_begins_anew() -> None:
    transaction = opened()
    transaction.answered(second := Command.of("MAIL FROM:<>"), OK)
    assert (transaction.envelope.mail, transaction.envelope.recipients) == (second, [])


def test_its_state() -> None:
    transaction = Transaction()
    assert transaction.state is TransactionState.NONE
    transaction.answered(MAIL, OK)
    assert transaction.state is TransactionState.OPEN


def test_recipients_without_mail_are_forgotten_too() -> None:
    """Some servers accept RCPT first; a verdict may."""
    transaction = Transaction()
    transaction.answered(ONE, OK)
    assert not transaction.open
    assert transaction.envelope.recipients == [ONE]
    transaction.answered(Command.of("RSET"), OK)
    assert transaction.envelope.recipients == []


def test_what_a_server_was_sent_for_a_recipient() -> None:
    envelope = opened().envelope
    assert envelope.sent_for(ONE) is ONE
    envelope.went_as(ONE, other := Command.of("RCPT TO:<z@mx>"))
    envelope.went_as(TWO, ONE)
    assert (envelope.sent_for(ONE), envelope.sent_for(TWO)) == (other, ONE)


def test_a_copy_of_an_envelope() -> None:
    """It changes alone."""
    envelope = opened().envelope
    envelope.went_as(ONE, TWO)
    other = envelope.copy()
    assert (other.mail, other.recipients, other.sent_for(ONE)) == (envelope.mail, [ONE, TWO], TWO)
    other.recipients.pop()
    other.went_as(TWO, ONE)
    assert envelope.recipients == [ONE, TWO]
    assert envelope.sent_for(TWO) is TWO
