from __future__ import annotations

import pytest

from sansio_smtp.ends.sasl_exchange import SaslExchange
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.testing.verdicts import SaidLogin, ScriptedSasl
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

CHALLENGE = Reply.of(334, "Y2hhbGxlbmdl")


def exchange(name: str = "X", initial: bytes | None = None, *responses: bytes) -> SaslExchange:
    return SaslExchange(ScriptedSasl(SaidLogin(name, initial, responses)))


def said(command: Command | None) -> bytes:
    assert command is not None
    assert command.secret or len(command.raw.split()) == 2
    return command.raw


@pytest.mark.parametrize(
    ("initial", "line"),
    [
        (None, b"AUTH X"),
        (b"", b"AUTH X ="),
        (b"secret", b"AUTH X c2VjcmV0"),
        (b"a" * 375, b"AUTH X " + b"YWFh" * 125),
        (b"a" * 378, b"AUTH X"),
    ],
)
def test_the_first_line(initial: bytes | None, line: bytes) -> None:
    """RFC 4954 §4. A line of a command has at most 510 octets and CRLF."""
    command = exchange("X", initial).begin()
    assert command.raw == line
    assert len(command.raw) <= 510
    assert command.secret == (line.count(b" ") == 2)
    assert b"c2Vj" not in command.shown


def test_a_long_initial_response_answers_the_first_challenge() -> None:
    one = exchange("X", b"a" * 378, b"more")
    one.begin()
    assert not one.trusted
    assert said(one.answer(Reply(334, b"334 \r\n"))) == b"YWFh" * 126
    assert said(one.answer(CHALLENGE)) == b"bW9yZQ=="
    assert one.trusted


def test_responses_in_base64() -> None:
    one = exchange("X", None, b"ann", b"")
    one.begin()
    assert said(one.answer(CHALLENGE)) == b"YW5u"
    assert said(one.answer(CHALLENGE)) == b""
    assert one.trusted


@pytest.mark.parametrize("reply", [CHALLENGE, Reply.of(334, "no base64!")])
def test_a_challenge_that_makes_no_sense_cancels(reply: Reply) -> None:
    one = exchange("X", b"ann")
    one.begin()
    assert one.trusted
    assert said(one.answer(reply)) == b"*"
    assert one.cancelled
    assert not one.trusted
    assert said(one.answer(CHALLENGE)) == b"*"


def test_too_many_challenges() -> None:
    one = exchange("X", None, *[b"x"] * 20)
    one.begin()
    lines = [one.answer(CHALLENGE) for _ in range(8)]
    assert None not in lines[:-1]
    assert lines[-1] is None


def test_forgetting() -> None:
    one = exchange("X", b"a" * 400)
    one.begin()
    one.forget()
    assert one.client.initial is None
    assert "aaaa" not in repr(one)


def test_a_name_that_is_no_mechanism() -> None:
    with pytest.raises(LocalProtocolError):
        exchange("X\r\nRSET").begin()
