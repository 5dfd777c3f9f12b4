"""Which verdicts `Proxy.answer` takes: a rule must not be able to change how octets are cut."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from core.scene import Scene
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.questions import (
    Answer,
    CommandQuestion,
    Continue,
    Disconnect,
    Replace,
    ReplaceCommand,
    ReplaceReply,
)
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

OK = Reply.of(250, "ok")
NO = Reply.of(550, "no")
EVERY = [
    Continue(),
    ReplaceCommand(Command.of("RCPT TO:<c>")),
    ReplaceReply(OK),
    Replace(b"x"),
    Answer(NO),
    Disconnect(NO),
]


def asked(place: str) -> Scene:
    """At an open question."""
    scene = Scene(place)
    if place == "RCPT":
        scene.greeted()
        scene.client("RCPT TO:<b>")
    elif place == "REPLY":
        scene.greeted()
        scene.client("NOOP")
        scene.server("250 fine")
    else:
        scene.in_content()
        scene.client("")
        if place == "MESSAGE":
            scene.client(".")
    return scene


def rejects(scene: Scene, verdict: Any, match: str | None = None) -> None:
    """The verdict raises, and the question stays open."""
    question = scene.question
    with pytest.raises(LocalProtocolError, match=match):
        scene.proxy.answer(question, verdict)
    assert scene.proxy.waiting_for.value == "verdict"
    assert scene.answer(Continue())


@each("verdict", EVERY)
@each("place", ["RCPT", "REPLY", "HEADERS", "BODY_CHUNK", "BODY_LINE", "MESSAGE"])
def test_each_question_takes_its_own_verdicts(place: str, verdict: Any) -> None:
    scene = asked(place)
    if isinstance(verdict, scene.question.verdicts):
        assert scene.answer(verdict)
    else:
        rejects(scene, verdict, type(verdict).__name__)


@pytest.mark.parametrize("verdict", [None, True, "continue", Continue, OK])
def test_what_is_no_verdict_at_all(verdict: Any) -> None:
    rejects(asked("RCPT"), verdict)


def test_a_stale_question() -> None:
    """Answered twice."""
    scene = asked("RCPT")
    stale = scene.question
    scene.answer(Continue())
    with pytest.raises(LocalProtocolError, match="not open"):
        scene.proxy.answer(stale, Continue())
    scene.client("RCPT TO:<c>")
    assert scene.question is not stale
    with pytest.raises(LocalProtocolError, match="not open"):
        scene.proxy.answer(stale, Continue())


def test_a_foreign_question() -> None:
    """Of another connection, or made by hand."""
    scene, other = asked("RCPT"), asked("RCPT")
    with pytest.raises(LocalProtocolError, match="not open"):
        scene.proxy.answer(other.question, Continue())
    forged = CommandQuestion(scene.question.command, Envelope())
    with pytest.raises(LocalProtocolError, match="not open"):
        scene.proxy.answer(forged, Continue())
    assert scene.answer(Continue()) == ["S: RCPT TO:<b>"]


def test_a_verdict_where_nothing_was_asked() -> None:
    with pytest.raises(LocalProtocolError, match="not open"):
        Scene().greeted().proxy.answer(asked("RCPT").question, Continue())


def test_a_command_is_replaced_by_one_of_the_same_verb() -> None:
    scene = asked("RCPT")
    assert scene.answer(ReplaceCommand(Command.of("rcpt TO:<c>"))) == ["S: rcpt TO:<c>"]
    assert scene.server("250 ok") == ["C: 250 ok"]


@each(
    "command",
    [
        Command.of("MAIL FROM:<c>"),
        Command.of("DATA"),
        Command.of("RSET"),
        Command(b"RCPT", b"DATA", Kind.GROUP),  # says one thing, is another
        Command(b"RCPT", b"", Kind.GROUP),
        Command(b"RCPT", b"RCPT TO:<c>\r\nDATA", Kind.GROUP),
        Command(b"RCPT", b"RCPT TO:<c>\n", Kind.GROUP),
        Command(b"RCPT", b"RCPT TO:<c>\0", Kind.GROUP),
    ],
)
def test_a_command_is_not_replaced_by_another(command: Command) -> None:
    rejects(asked("RCPT"), ReplaceCommand(command))


def test_a_replaced_command_shows_no_secret() -> None:
    scene = Scene("AUTH").greeted()
    scene.client("AUTH PLAIN c2VjcmV0")
    with pytest.raises(LocalProtocolError) as caught:
        scene.proxy.answer(scene.question, ReplaceCommand(Command.of("NOOP")))
    assert "c2Vj" not in str(caught.value)


def test_a_reply_is_replaced_by_one_of_the_same_first_digit() -> None:
    """RFC 5321 §4.2.1: that digit decides what comes next."""
    scene = asked("REPLY")
    assert scene.answer(ReplaceReply(Reply.of(299, "a", "b"))) == ["C: 299-a|299 b"]


@pytest.mark.parametrize("code", [354, 421, 450, 550])
def test_a_reply_is_not_replaced_by_one_of_another(code: int) -> None:
    rejects(asked("REPLY"), ReplaceReply(Reply.of(code)), "first digit")


def test_a_refusal_may_become_a_goodbye_but_not_the_other_way_round() -> None:
    """After 421 the server is gone; the client must not be told that it may go on."""
    scene = Scene("REPLY").greeted()
    scene.client("NOOP")
    scene.server("421 going down")
    rejected = ReplaceReply(Reply.of(451, "later"))
    with pytest.raises(LocalProtocolError, match="leaving"):
        scene.proxy.answer(scene.question, rejected)
    polite = ReplaceReply(Reply.of(421, "sorry"))
    assert scene.answer(polite) == ["C: 421 sorry", "close S", "close C"]
    scene = Scene("REPLY").greeted()
    scene.client("NOOP")
    scene.server("451 later")
    assert scene.answer(polite) == ["C: 421 sorry", "close S", "close C"]


def test_an_ehlo_reply_that_was_replaced_is_still_less_what_is_not_carried() -> None:
    scene = Scene("REPLY")
    scene.server("220 mx")
    scene.settle()
    scene.client("EHLO me")
    scene.server("250 mx")
    replaced = ReplaceReply(Reply.of(250, "mx", "STARTTLS", "DSN"))
    assert scene.answer(replaced) == ["C: 250-mx|250-DSN|250 PIPELINING"]


@pytest.mark.parametrize("code", [250, 200])
def test_success_is_no_answer_to_data(code: int) -> None:
    """The client would neither send mail data nor know that it must not."""
    scene = Scene("DATA").with_recipient()
    scene.client("DATA")
    rejects(scene, Answer(Reply.of(code)), "DATA")


@pytest.mark.parametrize("line", ["NOOP", "EHLO me", "MAIL FROM:<a>", "AUTH PLAIN x", "X-OWN"])
def test_other_commands_may_be_answered_with_success(line: str) -> None:
    scene = Scene("COMMAND").greeted()
    scene.client(line)
    assert scene.answer(Answer(OK)) == ["C: 250 ok"]
    assert scene.proxy.states[0].value == "command"


def test_an_answer_to_quit_may_end_the_session() -> None:
    scene = Scene("QUIT").greeted()
    scene.client("QUIT")
    assert scene.answer(Answer(Reply.of(221, "bye"))) == ["C: 221 bye", "close S", "close C"]
