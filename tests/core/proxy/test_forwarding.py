"""Commands on their way to a server: in their order, and when it can take them."""

from __future__ import annotations

import pytest

from core.scene import PLAIN, Scene
from sansio_smtp.config import Config
from sansio_smtp.questions import Answer, Continue, ReplaceCommand
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x>")


def test_commands_go_out_one_by_one_where_the_server_takes_no_groups() -> None:
    scene = Scene().greeted(*PLAIN)
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA") == ["S: MAIL FROM:<a>"]
    assert scene.server("250 ok") == ["C: 250 ok", "S: RCPT TO:<b>"]
    assert scene.server("250 ok") == ["C: 250 ok", "S: DATA"]


def test_commands_go_out_at_once_where_it_does() -> None:
    """RFC 2920 §3.1: up to the command that ends the group."""
    scene = Scene().greeted()
    expected = ["S: MAIL FROM:<a>", "S: RCPT TO:<b>", "S: NOOP"]
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "NOOP", "RSET") == expected
    assert scene.server("250 a", "250 b") == ["C: 250 a", "C: 250 b"]
    assert scene.server("250 c") == ["C: 250 c", "S: RSET"]


def test_auth_lines_go_out_in_the_midst_of_an_auth_exchange() -> None:
    """RFC 4954 §4."""
    scene = Scene().greeted()
    assert scene.client("AUTH LOGIN") == ["S: AUTH LOGIN"]
    assert scene.server("334 VXNlcm5hbWU6") == ["C: 334 VXNlcm5hbWU6"]
    assert scene.client("c2VjcmV0") == ["S: c2VjcmV0"]
    assert scene.server("235 ok") == ["C: 235 ok"]


def test_hold_answers_data_itself_when_there_is_a_recipient() -> None:
    scene = Scene("MESSAGE").with_recipient()
    assert scene.client("DATA") == ["C: 354 end data with <CR><LF>.<CR><LF>"]


def test_hold_waits_for_the_replies_before_data() -> None:
    """It is known that there is a recipient when RCPT is answered."""
    scene = Scene("MESSAGE").greeted()
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA") == ["S: MAIL FROM:<a>", "S: RCPT TO:<b>"]
    assert scene.server("250 a") == ["C: 250 a"]
    assert scene.server("250 b") == ["C: 250 b", "C: 354 end data with <CR><LF>.<CR><LF>"]


def test_hold_leaves_data_without_a_recipient_to_the_server() -> None:
    scene = Scene("MESSAGE").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA")
    scene.server("250 a")
    assert scene.server("550 b") == ["C: 550 b", "S: DATA"]
    assert scene.server("554 no valid recipients") == ["C: 554 no valid recipients"]


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        # DATA is refused by a rule while the server has not seen all that came before it.
        (("MAIL FROM:<a>", "RCPT TO:<b>", "DATA"), ["S: RCPT TO:<b>", "S: RSET"]),
        (("MAIL FROM:<a>", "NOOP", "RCPT TO:<b>", "DATA"), ["S: NOOP", "S: RCPT TO:<b>", "S: RSET"]),
    ],
)
def test_a_reset_of_our_own_waits_in_the_line(lines: tuple[str, ...], order: list[str]) -> None:
    """After what the client sent before the message that was refused."""
    scene = Scene("DATA").greeted(*PLAIN)
    scene.client(*lines)
    scene.answer(Answer(NO))
    shown: list[str] = []
    for _ in range(len(lines) - 1):
        shown += scene.server("250 ok")
    assert [text for text in shown if text.startswith("S:")] == order


def test_a_reset_of_our_own_goes_ahead_of_what_came_after_the_message() -> None:
    """The server has refused DATA for a held message, and the next transaction waits."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    scene.answer(Continue())
    assert scene.client("NOOP", "MAIL FROM:<c>") == []
    assert [text for text in scene.server("451 x") if text.startswith("S:")] == ["S: RSET", "S: NOOP"]


def test_a_command_goes_as_a_verdict_has_put_it() -> None:
    scene = Scene("EHLO")
    scene.server("220 mx")
    scene.client("EHLO me")
    assert scene.answer(ReplaceCommand(Command.of("EHLO proxy"))) == ["S: EHLO proxy"]
    scene.server(*PLAIN)
    assert scene.proxy.hello is not None
    assert scene.proxy.hello.raw == b"EHLO proxy"


def test_data_waits_for_the_recipients_that_were_added() -> None:
    """Whatever the server takes in a group: DATA must not go if one of them is refused."""
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    assert scene.answer(Continue((COPY, COPY))) == ["S: RCPT TO:<x>", "S: RCPT TO:<x>"]
    assert scene.server("250 x") == []
    assert scene.server("250 x") == ["S: DATA"]


def test_the_server_forgets_what_a_verdict_has_ended() -> None:
    """Only if it holds a transaction when it has answered what it was sent before."""
    scene = Scene("RSET").greeted()
    scene.client("RSET")
    assert scene.answer(Answer(OK)) == ["C: 250 ok"]
    scene.client("MAIL FROM:<a>", "RSET")
    assert scene.answer(Answer(OK)) == []
    assert scene.server("250 a") == ["C: 250 a", "C: 250 ok", "S: RSET"]


def test_a_transaction_that_the_server_has_not_begun_is_not_ended() -> None:
    scene = Scene("RSET").greeted()
    scene.client("MAIL FROM:<a>", "RSET")
    scene.answer(Answer(OK))
    assert scene.server("550 a") == ["C: 550 a", "C: 250 ok"]
    assert scene.client("MAIL FROM:<b>") == ["S: MAIL FROM:<b>"]


def test_a_server_that_was_reset_has_no_transaction_to_end() -> None:
    scene = Scene("HEADERS", "RSET", config=Config(reconnect=True)).in_content()
    scene.client("A: b", "", ".", "RSET", "MAIL FROM:<c>")
    scene.answer(Answer(Reply.of(550, "no")))
    assert scene.answer(Answer(OK)) == ["C: 250 ok", "connect home"]


def test_a_mail_that_the_server_has_yet_to_see_is_forgotten_too() -> None:
    scene = Scene("RSET").greeted(*PLAIN)
    scene.client("NOOP", "MAIL FROM:<a>", "RSET")
    assert scene.answer(Answer(OK)) == []
    assert scene.server("250 ok") == ["C: 250 ok", "S: MAIL FROM:<a>"]
    assert scene.server("250 a") == ["C: 250 a", "C: 250 ok", "S: RSET"]


def test_what_the_server_has_not_seen_when_the_client_is_lost() -> None:
    """Nothing more is said."""
    scene = Scene().in_content(*PLAIN)
    scene.client("x", ".", "MAIL FROM:<c>")
    assert scene.took(scene.proxy.client_lost()) == []
    assert scene.server("250 taken") == ["answered 250", "C: 250 taken", "close S", "close C"]


def test_a_recipient_that_was_added_does_not_outlive_the_data_that_is_refused() -> None:
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    assert scene.answer(Continue((Command.of("RCPT TO:<archive>"),))) == ["S: RCPT TO:<archive>"]
    assert scene.server("250 ok") == ["S: DATA"]
    assert scene.server("451 later") == ["S: RSET", "C: 451 later"]
