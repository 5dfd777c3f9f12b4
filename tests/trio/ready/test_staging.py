"""ready:staging"""

from __future__ import annotations

import pytest
from harness import MESSAGE, configured, mistakes, sent

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import (
    Accept,
    Connection,
    Data,
    Defer,
    Discard,
    Headers,
    Recipient,
    Sender,
    Transaction,
)
from sansio_smtp.testing import FakeServer, session
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from trio_proxy.ready.staging import Staging

BOX = "staging@example.com"


def test_one_mailbox_gets_every_message_once() -> None:
    s = configured(f'[rules.staging]\nmailbox = "{BOX}"\nfield = "X-Was-For"')
    s.mail("ann@example.com")
    for address in ("bob@one.example", "Carol@two.example", "dan@three.example"):
        s.rcpt(address)
        assert s.reply is not None
        assert s.reply.code == 250
    s.message(MESSAGE)
    (message,) = s.delivered
    assert message.recipients == (BOX,)
    header, _, body = message.content.partition(b"\r\n\r\n")
    assert body == b"hello\r\n"
    assert header.split(b"\r\n") == [
        *(b"From: ann@example.com", b"Subject: hi"),
        *(b"X-Was-For: bob@one.example", b"X-Was-For: Carol@two.example", b"X-Was-For: dan@three.example"),
    ]
    assert not any(b".example>" in line for line in s.servers[0][1].commands if line.startswith(b"RCPT"))


def test_messages_of_one_connection_do_not_mix() -> None:
    s = session(Staging(BOX))
    sent(s, MESSAGE, "a@one.example", "b@one.example")
    content = sent(s, MESSAGE, "c@one.example")
    assert content is not None
    assert content.count(b"X-Original-To:") == 1
    assert b"X-Original-To: c@one.example\r\n" in content
    assert all(message.recipients == (BOX,) for message in s.delivered)


def test_who_wrote_to_the_mailbox_itself_is_named_too() -> None:
    s = session(Staging(BOX))
    content = sent(s, MESSAGE, BOX, "b@one.example")
    assert s.delivered[0].recipients == (BOX,)
    assert content is not None
    assert Headers(content).get_all("X-Original-To") == [BOX, "b@one.example"]


def test_whom_other_rules_let_through_or_rewrite() -> None:
    def rcpt(tx: Transaction, to: Recipient) -> Accept | None:
        if to.domain == "team.example":
            return Accept()
        to.rewrite(f"{to.local}@new.example")
        return None

    s = session(rcpt, Staging(BOX))
    content = sent(s, MESSAGE, "a@team.example", "b@old.example", "c@old.example")
    assert s.delivered[0].recipients == ("a@team.example", BOX)
    assert content is not None
    assert Headers(content).get_all("X-Original-To") == ["b@old.example", "c@old.example"]


def test_nobody_is_told_250_for_a_message_that_the_mailbox_did_not_get() -> None:
    def judge(command: Command) -> Reply | None:
        return Reply.of(550, "no such mailbox") if command.verb == b"RCPT" else None

    s = session(Staging(BOX), server=lambda: FakeServer(judge=judge))
    assert sent(s, MESSAGE, "a@one.example", "b@one.example", "c@one.example") is None
    assert s.reply is not None
    assert s.reply.severity in (4, 5)


def test_a_mailbox_that_was_refused_after_the_others_were_answered_defers_the_message() -> None:
    # As with a client that pipelines.
    rule, tx = Staging(BOX), Transaction(Connection(), Sender.of("ann@example.com"))
    first, second = Recipient.of("a@one.example"), Recipient.of("b@one.example")
    assert rule.rcpt(tx, first) is None
    tx.rcpts = (*tx.rcpts, first)
    assert isinstance(rule.rcpt(tx, second), Discard)
    assert rule.data(tx) is None
    tx.rcpts = ()
    assert rule.data(tx) == Defer(451, "4.3.0 the staging mailbox was refused")


def test_the_field_can_name_whatever_was_accepted() -> None:
    rule = Staging(BOX)
    tx = Transaction(Connection(), Sender.of(""), data=Data())
    for address in (
        "ä@bücher.example",
        '"a b"@one.example',
        "x" * 5_000 + "@one.example",
        "\udcff@one.example",
    ):
        to = Recipient(Command.of(f"RCPT TO:<{address}>".encode("utf-8", "surrogateescape")))
        if rule.rcpt(tx, to) is None:
            tx.rcpts = (*tx.rcpts, to)
    headers = Headers(b"Subject: hi\r\n\r\n")
    rule.headers(tx, headers)
    assert headers.get_all("X-Original-To")[:2] == ["ä@bücher.example", '"a b"@one.example']
    assert len(headers.get_all("X-Original-To")) == 4
    assert headers.raw.isascii()


def test_wrong_settings_are_found_at_load() -> None:
    with pytest.raises(LocalProtocolError, match="not an address"):
        Staging("staging at example")
    with pytest.raises(LocalProtocolError, match="without blanks and colon"):
        Staging(BOX, "X Original")
    assert 'missing key "mailbox"' in mistakes("[rules.staging]")


def test_the_mailbox_may_be_written_in_any_spelling() -> None:
    s = session(Staging('"staging"@EXAMPLE.com'))
    content = sent(s, MESSAGE, "a@one.example", "b@one.example")
    assert s.delivered[0].recipients == ('"staging"@EXAMPLE.com',)
    assert content is not None
    assert Headers(content).get_all("X-Original-To") == ["a@one.example", "b@one.example"]
