"""Commands that are answered here, and what the server must then be told."""

from __future__ import annotations

import pytest

from core.scene import PIPELINING, PLAIN, Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import Config
from sansio_smtp.questions import Answer, Continue, Disconnect, ReplaceCommand, Route
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"


def test_a_size_declared_too_large_is_refused_at_once() -> None:
    """RFC 1870 §6.1: before the message is sent in vain."""
    scene = Scene(config=Config(max_message_size=100)).greeted()
    assert scene.client("MAIL FROM:<a> SIZE=101") == ["C: 552 5.3.4 message is larger than 100 octets"]
    assert scene.client("MAIL FROM:<a> SIZE=100") == ["S: MAIL FROM:<a> SIZE=100"]


def test_too_many_recipients() -> None:
    """RFC 5321 §4.5.3.1.10: 452, and those accepted so far stay."""
    scene = Scene(config=Config(max_recipients=1)).with_recipient()
    assert scene.client("RCPT TO:<c>") == ["C: 452 4.5.3 too many recipients"]
    assert len(scene.proxy.envelope.recipients) == 1


def test_refused_lines_are_not_forwarded_and_are_counted() -> None:
    scene = Scene(config=Config(max_errors=2)).greeted()
    for _ in range(2):
        assert scene.client("STARTTLS") == ["violation CLIENT", "C: 502 5.5.1 STARTTLS is not supported here"]
    assert scene.client("!") == [
        "violation CLIENT",
        "C: 421 4.7.0 too many errors, closing",
        "close S",
        "close C",
    ]


def test_any_command_may_be_asked_for() -> None:
    scene = Scene("COMMAND")
    scene.server("220 mx")
    assert scene.client("EHLO me") == ["? CommandQuestion"]
    assert scene.question.command.raw == b"EHLO me"
    assert scene.answer(Continue()) == ["S: EHLO me"]


def test_one_verb_may_be_asked_for() -> None:
    scene = Scene("RCPT").greeted()
    assert scene.client("MAIL FROM:<a>", "rcpt to:<b>") == ["S: MAIL FROM:<a>", "? CommandQuestion"]


def test_refused_lines_and_auth_lines_are_asked_of_nobody() -> None:
    scene = Scene("COMMAND").greeted()
    assert scene.client("TURN")[0] == "violation CLIENT"
    scene.client("AUTH LOGIN")
    scene.answer(Continue())
    scene.server("334 x")
    assert scene.client("c2VjcmV0") == ["S: c2VjcmV0"]


def test_replies_go_on_while_a_command_is_judged() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>")
    assert scene.server("250 a") == ["C: 250 a"]


def test_an_answer_to_data_resets_the_server() -> None:
    """It holds an envelope that the client was told is worth nothing."""
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    assert scene.answer(Answer(NO)) == ["S: RSET", "C: 550 no"]
    assert scene.server("250 ok") == []


def test_the_server_is_reset_behind_what_it_has_yet_to_see() -> None:
    scene = Scene("DATA").greeted(*PLAIN)
    assert scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "DATA") == ["S: MAIL FROM:<a>", "? CommandQuestion"]
    assert scene.answer(Answer(NO)) == []
    assert scene.server("250 a") == ["C: 250 a", "S: RCPT TO:<b>"]
    assert scene.server("250 b") == ["C: 250 b", "C: 550 no", "S: RSET"]


@pytest.mark.parametrize(
    ("line", "told"),
    [("QUIT", "221 2.0.0 bye"), ("RSET", "421 4.3.2 upstream connection ended with the refused message")],
)
def test_a_client_whose_server_was_left_may_say_quit(line: str, told: str) -> None:
    scene = Scene("HEADERS", "COMMAND").in_content()
    scene.client("")
    scene.answer(Answer(NO))
    scene.client(".")
    assert scene.client(line) == [f"C: {told}", "close C"]


@pytest.mark.parametrize("line", ["RSET", "EHLO you", "HELO you"])
def test_the_server_must_not_keep_what_a_verdict_has_ended(line: str) -> None:
    scene = Scene(line.split()[0]).greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client(line)
    assert scene.answer(Answer(OK)) == ["S: RSET", "C: 250 ok"]
    assert scene.server("250 reset") == []
    assert scene.proxy.envelope.mail is None


def test_not_even_what_it_has_yet_to_answer_or_to_see() -> None:
    for ehlo in (PIPELINING, PLAIN):
        scene = Scene("RSET").greeted(*ehlo)
        scene.client("NOOP", "MAIL FROM:<a>", "RSET")
        scene.answer(Answer(OK))
        shown = scene.server("250 ok") + scene.server("250 a") + scene.server("250 reset")
        assert [text for text in shown if text.startswith("S:")] == ["S: MAIL FROM:<a>", "S: RSET"]


@pytest.mark.parametrize("code", [451, 550])
def test_a_refusal_ends_nothing(code: int) -> None:
    scene = Scene("RSET", "MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    scene.answer(Continue())
    scene.server("250 a")
    for line in ("RSET", "MAIL FROM:<b>"):
        scene.client(line)
        assert scene.answer(Answer(Reply.of(code, "no"))) == [f"C: {code} no"]
    assert scene.proxy.envelope.mail is not None


def test_nothing_is_reset_where_the_server_knows_of_nothing() -> None:
    scene = Scene("RSET", "MAIL").greeted()
    for line in ("RSET", "MAIL FROM:<a>", "RSET"):
        scene.client(line)
        assert scene.answer(Answer(OK)) == ["C: 250 ok"]


def test_a_recipient_that_a_verdict_accepts_is_told_to_nobody() -> None:
    scene = Scene("RCPT").greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client("RCPT TO:<b>")
    assert scene.answer(Answer(OK)) == ["C: 250 ok"]
    assert [command.raw for command in scene.proxy.envelope.recipients] == [b"RCPT TO:<b>"]


def test_limits_hold_for_what_a_verdict_puts_in() -> None:
    scene = Scene("MAIL", config=Config(max_message_size=100)).greeted()
    scene.client("MAIL FROM:<a>")
    big = ReplaceCommand(Command.of("MAIL FROM:<a> SIZE=101"))
    assert scene.answer(big) == ["C: 552 5.3.4 message is larger than 100 octets"]


def test_a_command_is_routed_and_replaced() -> None:
    scene = Scene("MAIL").greeted()
    scene.client("MAIL FROM:<a>")
    assert scene.answer(Route("other", Command.of("MAIL FROM:<b>")))[-1] == "connect other"
    scene.server("220 other")
    assert scene.server("250 other") == ["S: MAIL FROM:<b>"]


def test_what_is_refused_is_traced_as_well() -> None:
    scene = Scene(config=Config(trace=True)).greeted()
    assert scene.client("XCLIENT x")[0] == "received CLIENT XCLIENT x"
    assert scene.client("GET / HTTP/1.1")[0] == "received CLIENT GET / HTTP/1.1"
    scene = Scene(config=Config(trace=True)).greeted()
    assert scene.client("\x16\x03\x01")[0] == "received CLIENT (not shown)"


@pytest.mark.parametrize("line", ["NOOP", "VRFY x", "RCPT TO:<b>", "QUIT"])
def test_an_answer_that_ends_nothing_is_told_to_no_server(line: str) -> None:
    scene = Scene(line.split()[0]).greeted()
    scene.client("MAIL FROM:<a>")
    scene.server("250 a")
    scene.client(line)
    assert [text for text in scene.answer(Answer(OK)) if text.startswith("S:")] == []


def test_a_disconnect_is_told_to_no_server() -> None:
    scene = Scene("NOOP").greeted()
    scene.client("NOOP")
    assert scene.answer(Disconnect(NO)) == ["C: 550 no", "close S", "close C"]


def test_an_auth_exchange_is_kept_for_the_identity_that_it_names() -> None:
    """Of the last AUTH alone."""
    scene = Scene().greeted()
    for lines in (
        (("AUTH LOGIN", "334 x"), ("YW5u", "535 no")),
        (("AUTH PLAIN", "334 "), ("AGJvYgBz", "235 ok")),
    ):
        for client, server in lines:
            scene.client(client)
            scene.server(server)
    assert scene.proxy.login == "bob"


def test_a_verdict_that_accepts_an_auth_command_logs_in() -> None:
    """In place of the server, by a program that is built on this library."""
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN AGFubgBz")
    scene.answer(Answer(NO))
    assert scene.proxy.client_info == ClientInfo(helo="me")
    scene.client("AUTH PLAIN AGFubgBz")
    scene.answer(Answer(Reply.of(235, "ok")))
    assert scene.proxy.client_info == ClientInfo(helo="me", login="ann", login_given="ann")


def test_data_answered_421_ends_both_sides_and_needs_no_reset() -> None:
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    assert scene.answer(Answer(Reply.of(421, "bye"))) == ["C: 421 bye", "close S", "close C"]


def test_a_size_leaves_room_for_edits() -> None:
    scene = Scene(config=Config(headroom=10)).greeted("250-mx", "250 SIZE 100")
    assert scene.client("MAIL FROM:<a> SIZE=91") == ["C: 552 5.3.4 message is larger than 90 octets"]
    assert scene.client("MAIL FROM:<a> SIZE=90") == ["S: MAIL FROM:<a> SIZE=100"]


def test_what_may_come_when_a_limit_is_reached() -> None:
    """QUIT, and the lines of an AUTH exchange, which are no commands."""
    scene = Scene(config=Config(max_refusals=1, soft_errors=5)).greeted()
    scene.client("AUTH LOGIN")
    scene.server("334 VXNlcm5hbWU6")
    for _ in range(2):
        scene.proxy.tally.refused()
    assert scene.client("YQ==") == ["S: YQ=="]
    assert scene.server("334 UGFzc3dvcmQ6") == ["C: 334 UGFzc3dvcmQ6"]
    scene.client("Yg==")
    scene.server("235 2.7.0 ok")
    assert scene.client("QUIT") == ["S: QUIT"]


def test_a_command_that_is_one_too_many() -> None:
    over = ["C: 421 4.7.0 too many errors, closing", "close S", "close C"]
    for line, shown in (("MAIL FROM:<a>", []), ("STARTTLS", ["violation CLIENT"])):
        scene = Scene(config=Config(max_refusals=1)).greeted()
        for _ in range(2):
            scene.client("RCPT TO:<a>")
            scene.server("503 5.5.1 no")
        assert scene.client(line) == shown + over
        assert scene.proxy.tally.take_hits() == ("max_refusals",)


def test_limits_that_are_hit_are_told() -> None:
    config = Config(max_message_size=100, max_recipients=1, max_errors=1, max_line=100)
    scene = Scene(config=config).greeted()
    scene.client("MAIL FROM:<a> SIZE=101")
    scene.client("MAIL FROM:<a>")
    scene.server("250 ok")
    scene.client("RCPT TO:<b>")
    scene.server("250 ok")
    scene.client("RCPT TO:<c>")
    scene.client("STARTTLS")
    assert scene.client("STARTTLS")[-3:] == ["C: 421 4.7.0 too many errors, closing", "close S", "close C"]
    assert scene.proxy.tally.take_hits() == ("max_message_size", "max_recipients", "max_errors")
    scene = Scene(config=config).greeted()
    assert "C: 500 5.5.6 line too long; closing" in scene.client("NOOP " + "x" * 100)
    assert scene.proxy.tally.take_hits() == ("max_line",)
