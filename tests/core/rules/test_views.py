"""What a rule sees and edits: nothing it supplies becomes a second line, nothing else is touched."""

from __future__ import annotations

import pytest

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.connection import Connection
from sansio_smtp.rules.views import (
    AuthAttempt,
    ClientCommand,
    Delivery,
    Recipient,
    Sender,
    ServerReply,
    Transaction,
)
from sansio_smtp.wire.commands import END_OF_DATA, Command
from sansio_smtp.wire.replies import Reply

# Transactions


def test_a_transaction() -> None:
    conn = Connection()
    tx = Transaction(conn, Sender.of("a@me", "SIZE=12"), [Recipient.of("b@mx")])
    assert tx.size == 12
    assert isinstance(tx.rcpts, tuple)
    assert Transaction(conn).size == 0
    assert Transaction(conn).mail_from is None


def test_recipients_are_added_where_that_is_possible() -> None:
    tx = Transaction(Connection())
    with pytest.raises(LocalProtocolError, match="data and message"):
        tx.add_rcpt("x@archive.example")
    tx.may_add = True
    tx.add_rcpt("x@archive.example")
    tx.add_rcpt("y@archive.example", "NOTIFY=NEVER")
    with pytest.raises(LocalProtocolError):
        tx.add_rcpt("z@archive.example>\r\nDATA")
    assert [command.raw for command in tx.added] == [
        b"RCPT TO:<x@archive.example>",
        b"RCPT TO:<y@archive.example> NOTIFY=NEVER",
    ]


# Commands and replies


def test_an_attempt_to_log_in() -> None:
    assert AuthAttempt("GSSAPI").identity is None
    assert AuthAttempt("PLAIN", "ann").identity == "ann"


def test_a_command() -> None:
    given = ClientCommand(Command.of("mail FROM:<a@me>"))
    assert (given.verb, str(given), given.line) == ("MAIL", "MAIL", b"mail FROM:<a@me>")
    before = given.snapshot()
    assert (given.replacement, given.changes_since(before)) == (None, [])
    given.replace("MAIL FROM:<b@me>")
    assert given.replacement is not None
    assert given.replacement.raw == b"MAIL FROM:<b@me>"
    assert given.changes_since(before) == ["-> MAIL FROM:<b@me>"]
    given.restore(before)
    assert given.replacement is None


def test_verbs_that_are_none() -> None:
    assert ClientCommand(END_OF_DATA).verb == "."
    assert ClientCommand(Command(b"", b"")).verb == ""


def test_a_command_shows_no_secret() -> None:
    given = ClientCommand(Command.of("AUTH PLAIN c2VjcmV0"))
    assert given.line == b"AUTH PLAIN ********"
    assert "c2Vj" not in repr(given)


@pytest.mark.parametrize("line", ["RCPT TO:<b@mx>", "", "NOOP\r\nMAIL FROM:<b>", b"MAIL\0", "!"])
def test_a_command_does_not_become_another(line: str | bytes) -> None:
    given = ClientCommand(Command.of("MAIL FROM:<a@me>"))
    with pytest.raises(LocalProtocolError):
        given.replace(line)
    assert given.replacement is None


def test_a_reply() -> None:
    answer = ServerReply(Reply.of(250, "2.1.5 fine", "really"))
    assert (answer.code, answer.severity, answer.enhanced) == (250, 2, "2.1.5")
    assert answer.lines == [b"2.1.5 fine", b"really"]
    assert answer.text == "2.1.5 fine\nreally"
    assert "fine" not in repr(answer), "it may hold what the client has said to log in"
    before = answer.snapshot()
    answer.replace(251, "2.1.0 elsewhere", b"\xff")
    assert (answer.code, answer.severity, answer.enhanced) == (251, 2, "2.1.0")
    assert answer.text == "2.1.0 elsewhere\n\\xff"
    assert answer.reply.code == 250
    assert answer.changes_since(before) == [f"-> {answer.replacement}"]
    answer.restore(before)
    assert (answer.replacement, answer.changes_since(before)) == (None, [])
    assert ServerReply(Reply.of(354, "go")).enhanced is None


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (250, 550, "no"),
        (250, 354, "go"),
        (451, 421, "bye"),
        (421, 451, "later"),
        (250, 250, "ok\r\n550 no"),
        (250, 250, "\0"),
        (250, 25, "x"),
    ],
)
def test_a_reply_keeps_its_meaning(given: int, code: int, text: str) -> None:
    answer = ServerReply(Reply.of(given, "x"))
    with pytest.raises(LocalProtocolError):
        answer.replace(code, text)
    assert answer.replacement is None


def test_a_goodbye_may_be_said_otherwise() -> None:
    answer = ServerReply(Reply.of(421, "x"))
    answer.replace(421, "4.3.2 come again")
    assert answer.text == "4.3.2 come again"


def test_a_path_that_the_server_has_been_told_stays() -> None:
    to = Recipient.of("b@mx")
    assert to.finish() is to.command
    with pytest.raises(LocalProtocolError, match="already"):
        to.rewrite("c@mx")
    assert to.address == "b@mx"
    assert Recipient(to.command, is_final=True).is_final


@pytest.mark.parametrize(("new", "sent"), [("b@mx", b"RCPT TO:<b@mx>"), ("c@mx", b"RCPT TO:<c@mx>")])
def test_finish_gives_what_the_server_is_told(new: str, sent: bytes) -> None:
    to = Recipient.of("b@mx")
    to.rewrite(new)
    assert to.finish().raw == sent
    assert to.is_final


def test_changes_of_a_path_are_those_since_a_snapshot() -> None:
    to = Recipient.of("b@mx")
    before = to.snapshot()
    assert to.changes_since(before) == []
    to.rewrite("b@mx")
    assert to.changes_since(before) == [], "the same address is no change"
    to.rewrite("c@mx")
    assert to.changes_since(before) == ["<b@mx> -> <c@mx>"]
    between = to.snapshot()
    to.rewrite("d@mx")
    assert to.changes_since(between) == ["<c@mx> -> <d@mx>"]
    to.restore(before)
    assert to.address == "b@mx"


def test_recipients_that_were_added_can_be_taken_back() -> None:
    tx = Transaction(Connection())
    tx.allow_adding(True)
    for name in ("a@mx", "b@mx", "c@mx"):
        tx.add_rcpt(name)
    assert [command.raw for command in tx.forget_added(1)] == [b"RCPT TO:<b@mx>", b"RCPT TO:<c@mx>"]
    assert [command.raw for command in tx.forget_added()] == [b"RCPT TO:<a@mx>"]
    tx.allow_adding(False)
    with pytest.raises(LocalProtocolError):
        tx.add_rcpt("d@mx")


@pytest.mark.parametrize(("mail", "utf8"), [(None, False), ("", False), ("SMTPUTF8", True)])
def test_a_transaction_knows_whether_mail_declared_utf8(mail: str | None, utf8: bool) -> None:
    tx = Transaction(Connection(), None if mail is None else Sender.of("a@me", mail))
    tx.named(Recipient.of("b@mx"))
    assert tx.utf8 is utf8
    assert [to.address for to in tx.rcpts] == ["b@mx"]


def test_recipients_are_named_one_by_one_or_all_together() -> None:
    first, second = Recipient.of("a@mx.example"), Recipient.of("b@mx.example")
    tx = Transaction(Connection(), rcpts=[first])
    assert tx.rcpts == (first,)
    commands = [first.command]
    tx.named_by(lambda now: [{first.command: first, second.command: second}[each] for each in now], commands)
    assert tx.rcpts == (first,)
    commands.append(second.command)
    assert tx.rcpts == (first, second)
    assert tx.rcpts is tx.rcpts
    tx.rcpts = [second]
    assert tx.rcpts == (second,)


def test_what_a_transaction_makes_when_a_rule_looks_at_it() -> None:
    mail = Command.of("MAIL FROM:<Ann@ME.example>")
    tx = Transaction(Connection(), mail=mail)
    assert tx.mail_from is not None
    assert tx.mail_from.address == "Ann@me.example"
    assert tx.mail_from.is_final
    assert tx.mail_from is tx.mail_from
    tx.mail_from = None
    assert tx.mail_from is None
    tx.data["seen"] = 1
    assert tx.data["seen"] == 1


def test_a_recipient_has_the_message_or_not() -> None:
    to = Recipient.of("b@mx.example")
    assert [Delivery(to, Reply.of(code, "text")).ok for code in (250, 451, 552)] == [True, False, False]
