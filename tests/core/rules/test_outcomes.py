"""What the core is told when rules have said this, and changed that."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.questions import (
    Answer,
    BodyQuestion,
    CommandQuestion,
    Disconnect,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Route,
)
from sansio_smtp.rules import outcomes
from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.verdicts import Close, Discard, Hold, Redirect, Reject
from sansio_smtp.rules.views import ServerReply
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reject(550, "5.7.1 no")
BYE = Close(421, "4.3.2 bye")
OLD, NEW = Command.of("RCPT TO:<a@mx>"), Command.of("RCPT TO:<b@mx>")
PASS = outcomes.PASS


def test_a_refusal() -> None:
    assert outcomes.refusal(NO) == Answer(NO.reply)
    assert outcomes.refusal(BYE) == Disconnect(BYE.reply)


@pytest.mark.parametrize(
    ("verdict", "same", "replaced"),
    [
        (None, PASS, ReplaceCommand(NEW)),
        (Hold("why"), PASS, ReplaceCommand(NEW)),
        (Discard(), PASS, ReplaceCommand(NEW)),
        (Redirect("other"), Route("other"), Route("other", NEW)),
        (NO, Answer(NO.reply), Answer(NO.reply)),
        (BYE, Disconnect(BYE.reply), Disconnect(BYE.reply)),
    ],
)
def test_a_command(verdict: Any, same: Any, replaced: Any) -> None:
    question = CommandQuestion(OLD, Envelope())
    assert outcomes.of_command(verdict, question, OLD) == same
    assert outcomes.of_command(verdict, question, NEW) == replaced


def test_a_header_section() -> None:
    headers = Headers(b"A: b\r\n\r\n")
    assert outcomes.of_headers(None, headers) is PASS
    assert outcomes.of_headers(NO, headers) == Answer(NO.reply)
    headers.add("C", "d")
    assert outcomes.of_headers(None, headers) == Replace(b"A: b\r\nC: d\r\n\r\n")


def test_a_piece_of_a_body() -> None:
    question = BodyQuestion(b"one\r\n", Envelope())
    assert outcomes.of_body(b"one\r\n", question) is PASS
    assert outcomes.of_body(b"two\r\n", question) == Replace(b"two\r\n")
    assert outcomes.of_body(NO, question) == Answer(NO.reply)


def test_a_reply() -> None:
    answer = ServerReply(Reply.of(250, "ok"))
    assert outcomes.of_reply(None, answer) is PASS
    assert outcomes.of_reply(BYE, answer) == Disconnect(BYE.reply)
    answer.replace(250, "fine")
    assert outcomes.of_reply(None, answer) == ReplaceReply(Reply.of(250, "fine"))


def test_a_client() -> None:
    assert outcomes.of_client(None) is PASS
    assert outcomes.of_client(Redirect("other")) == Route("other")
    assert outcomes.of_client(NO) == Disconnect(NO.reply)
