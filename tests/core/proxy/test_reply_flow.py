"""Replies to what the proxy sends of its own accord: RSET, DATA of a held message, recipients, setup."""

from __future__ import annotations

from core.scene import PLAIN, Scene
from sansio_smtp.config import Config, Dialect
from sansio_smtp.questions import Answer, Continue, ReplyQuestion
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
OK = Reply.of(250, "ok")
COPY = Command.of("RCPT TO:<x@archive.example>")
NO_COPY = "C: 451 4.3.0 a recipient that this proxy adds was refused"


def test_a_server_that_does_not_reset_is_left() -> None:
    for reply, told in (
        ("500 what", ["unusable: it refused RSET: 500 what", "C: 421 4.3.0 upstream server did not reset"]),
        ("421 bye", ["C: 421 bye"]),
    ):
        scene = Scene("DATA").with_recipient()
        scene.client("DATA")
        scene.answer(Answer(NO))
        *shown, server, client = scene.server(reply)
        assert [text[: len(start)] for text, start in zip(shown, told, strict=True)] == told
        assert (server, client) == ("close S", "close C")


def test_the_reply_to_a_reset_lets_the_next_command_go() -> None:
    scene = Scene("DATA").with_recipient(*PLAIN)
    scene.client("DATA")
    scene.answer(Answer(NO))
    assert scene.client("MAIL FROM:<c>") == []
    assert scene.server("250 reset") == ["S: MAIL FROM:<c>"]


def test_the_reply_to_the_data_of_a_held_message_is_not_the_clients() -> None:
    scene = Scene("MESSAGE", "REPLY").in_content()
    scene.client("Hi", ".")
    assert scene.answer(Continue()) == ["complete 4", "S: DATA"]
    assert scene.server("354 go") == ["S: Hi", "S: ."]
    assert scene.server("250 taken") == ["? ReplyQuestion"]


def test_a_question_about_a_reply_says_whose_it_is() -> None:
    scene = Scene("REPLY", config=Config(upstream_dialect=Dialect.LMTP))
    scene.server("220 mx")
    scene.answer(Continue())
    for line, *replies in (
        ("LHLO me", "250 mx"),
        ("MAIL FROM:<a>", "250 ok"),
        ("RCPT TO:<b@mx>", "250 ok"),
        ("RCPT TO:<c@mx>", "250 ok"),
        ("DATA", "354 go"),
    ):
        scene.client(line.replace("LHLO", "EHLO"))
        scene.server(*replies)
        scene.answer(Continue())
    scene.client("hi", ".")
    to = []
    for reply in ("250 ok", "552 full"):
        scene.server(reply)
        question = scene.question
        assert isinstance(question, ReplyQuestion)
        assert question.recipient is not None
        to.append(str(question.recipient))
        scene.answer(Continue())
    assert to == ["RCPT TO:<b@mx>", "RCPT TO:<c@mx>"]


def test_an_added_recipient_that_is_refused() -> None:
    """The message never goes without it."""
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    scene.answer(Continue((COPY, COPY)))
    assert scene.server("550 x") == ["S: RSET", NO_COPY]
    assert scene.server("550 x") == []
    assert scene.server("250 reset") == []
    assert scene.client("DATA") == ["? CommandQuestion"]


def test_an_added_recipient_that_is_refused_to_a_server_that_takes_no_groups() -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient(*PLAIN)
    scene.client("DATA")
    assert scene.answer(Continue((COPY, COPY))) == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: RCPT TO:<x@archive.example>"]
    assert scene.server("451 x") == ["S: RSET", NO_COPY]


def test_an_added_recipient_over_which_the_server_leaves() -> None:
    scene = Scene("DATA", "IN_TURN").with_recipient()
    scene.client("DATA")
    scene.answer(Continue((COPY,)))
    assert scene.server("421 bye") == ["C: 421 bye", "close S", "close C"]


def test_an_added_recipient_of_a_held_message() -> None:
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    assert scene.answer(Continue((COPY,))) == ["complete 4", "S: RCPT TO:<x@archive.example>"]
    assert scene.server("250 x") == ["S: DATA"]
    assert scene.server("354 go") == ["S: Hi", "S: ."]


def test_an_added_recipient_of_a_held_message_that_is_refused() -> None:
    """The server is reset before it sees what the client has sent after the message."""
    scene = Scene("MESSAGE").in_content()
    scene.client("Hi", ".")
    scene.answer(Continue((COPY,)))
    assert scene.client("MAIL FROM:<c>") == []
    shown = scene.server("550 x")
    assert [text for text in shown if text.startswith("S:")] == ["S: RSET", "S: MAIL FROM:<c>"]
    assert shown[-1] == NO_COPY
    assert scene.server("250 reset", "250 c") == ["C: 250 c"]


def test_the_keywords_of_an_lmtp_server_are_not_for_helo() -> None:
    scene = Scene(config=Config(upstream_dialect=Dialect.LMTP))
    scene.server("220 mx")
    assert scene.client("HELO me") == ["S: LHLO me"]
    assert scene.server("250-mx", "250 SIZE 9") == ["C: 250 mx"]
    assert scene.client("LHLO me")[1:] == ["C: 502 5.5.1 LHLO is not supported here"]


def test_354_for_nobody_is_no_354_for_a_client_of_lmtp() -> None:
    scene = Scene(config=Config(client_dialect=Dialect.LMTP))
    scene.server("220 mx")
    scene.client("LHLO me")
    scene.server("250 mx")
    scene.client("MAIL FROM:<a>")
    scene.server("250 ok")
    scene.client("DATA")
    assert scene.server("354 go") == ["abort S", "C: 503 5.5.1 no valid recipients"]


def test_each_recipient_has_its_reply() -> None:
    scene = by_recipient()
    assert scene.server("250 b") == ["C: 250 b"]
    assert scene.server("452 c") == ["answered 452", "C: 452 c"]


def by_recipient() -> Scene:
    """After end-of-data of a message for two, LMTP on both sides."""
    scene = Scene(config=Config(client_dialect=Dialect.LMTP, upstream_dialect=Dialect.LMTP))
    scene.server("220 mx")
    scene.client("LHLO me")
    scene.server("250-mx", "250 PIPELINING")
    scene.client("MAIL FROM:<a>", "RCPT TO:<b>", "RCPT TO:<c>", "DATA")
    scene.server("250 a", "250 b", "250 c", "354 go")
    scene.client("Hi", ".")
    return scene
