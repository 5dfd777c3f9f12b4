"""Which verdicts answer which questions: framing stays as it is, whatever a rule says."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from sansio_smtp.arguments import named
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.events import Ask
from sansio_smtp.proxy.verdict_checks import check, not_open
from sansio_smtp.questions import (
    MESSAGE,
    Answer,
    BodyQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    MessageQuestion,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
)
from sansio_smtp.verbs import Kind
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

NO = Reply.of(550, "no")
RCPT = Command.of("RCPT TO:<x@archive.example>")
CHUNK = "BDAT 5 LAST"
LINES = ["EHLO me", "HELO me", "AUTH PLAIN x", "MAIL FROM:<a>", "RCPT TO:<b>", "DATA", "RSET", "NOOP", "QUIT"]


def command(line: str) -> CommandQuestion:
    return CommandQuestion(Command.of(line), Envelope())


QUESTIONS = {
    **{line.split()[0]: command(line) for line in (*LINES, CHUNK)},
    "REPLY": ReplyQuestion(Reply.of(250, "ok"), Command.of("NOOP"), Envelope()),
    "HEADERS": HeadersQuestion(b"A: b\r\n\r\n", Envelope()),
    "BODY": BodyQuestion(b"hello\r\n", Envelope()),
    "MESSAGE": MessageQuestion(b"hello\r\n", Envelope()),
}
COMMANDS = {line.split()[0] for line in LINES}
CONTENT = {"HEADERS", "BODY", "MESSAGE"}
EVERYWHERE = set(QUESTIONS)
MESSAGE_COMES = {"DATA", "BDAT"}

TAKEN: dict[str, tuple[Any, set[str]]] = {
    "continue": (Continue(), EVERYWHERE),
    "continue adding": (Continue((RCPT,)), {*MESSAGE_COMES, "MESSAGE"}),
    "disconnect": (Disconnect(NO), EVERYWHERE),
    "answer": (Answer(NO), EVERYWHERE - {"REPLY"}),
    "answer 2xx": (Answer(Reply.of(250, "ok")), EVERYWHERE - {"REPLY", *MESSAGE_COMES}),
    "replace": (Replace(b"x"), CONTENT),
    "replace adding": (Replace(b"x", (RCPT,)), {"MESSAGE"}),
    "replace reply": (ReplaceReply(Reply.of(251, "fine")), {"REPLY"}),
    "replace command": (ReplaceCommand(RCPT), {"RCPT"}),
    "replace chunk": (ReplaceCommand(Command.of(CHUNK)), set()),  # it counts the octets after it
    "inspect": (Inspect(frozenset((MESSAGE,))), MESSAGE_COMES),
    "inspect adding": (Inspect(frozenset(), (RCPT,)), MESSAGE_COMES),
    "swallow": (Swallow(Reply.of(250, "ok")), MESSAGE_COMES),
    "swallow and refuse": (Swallow(NO), MESSAGE_COMES),
    "route": (Route("other"), {"EHLO", "HELO", "AUTH", "MAIL", "RCPT"}),
    "route home": (Route(None), {"EHLO", "HELO", "AUTH", "MAIL", "RCPT"}),
    "route another": (Route("other", RCPT), {"RCPT"}),
}


@each("name", TAKEN)
def test_each_question_takes_what_makes_sense_there(name: str) -> None:
    verdict, where = TAKEN[name]
    for asked, question in QUESTIONS.items():
        try:
            check(question, verdict)
        except LocalProtocolError:
            assert asked not in where
        else:
            assert asked in where


@pytest.mark.parametrize("verdict", [None, True, "continue", Continue, NO, ()])
def test_what_is_no_verdict_at_all(verdict: object) -> None:
    for question in QUESTIONS.values():
        with pytest.raises(LocalProtocolError, match=f"{named(verdict)} does not answer a "):
            check(question, verdict)


WRONG = [
    Command.of("MAIL FROM:<c>"),
    Command(b"RCPT", b"DATA", Kind.GROUP),  # says one thing, is another
    Command(b"RCPT", b"", Kind.GROUP),
    Command(b"RCPT", b"RCPT TO:<c>\r\nDATA", Kind.GROUP),
    Command(b"RCPT", b"RCPT TO:<c>\0", Kind.GROUP),
]


@each("wrong", WRONG)
@each(
    ("asked", "make"),
    [
        ("RCPT", ReplaceCommand),
        ("RCPT", lambda command: Route("other", command)),
        ("DATA", lambda command: Continue((RCPT, command))),
        ("DATA", lambda command: Inspect(frozenset(), (command,))),
        ("MESSAGE", lambda command: Continue((command,))),
        ("MESSAGE", lambda command: Replace(b"x", (command, RCPT))),
    ],
)
def test_a_command_that_is_put_in_is_one_line_with_the_right_verb(
    asked: str, make: Any, wrong: Command
) -> None:
    with pytest.raises(LocalProtocolError):
        check(QUESTIONS[asked], make(wrong))


@pytest.mark.parametrize(("given", "put_in"), [(250, 354), (250, 421), (354, 250), (550, 250), (421, 451)])
def test_a_reply_keeps_its_first_digit_and_a_goodbye_stays_one(given: int, put_in: int) -> None:
    question = ReplyQuestion(Reply.of(given, "x"), None, Envelope())
    with pytest.raises(LocalProtocolError):
        check(question, ReplaceReply(Reply.of(put_in, "y")))


@pytest.mark.parametrize(("given", "put_in"), [(250, 299), (354, 354), (550, 571), (451, 421), (421, 421)])
def test_a_reply_of_the_same_meaning(given: int, put_in: int) -> None:
    check(ReplyQuestion(Reply.of(given, "x"), None, Envelope()), ReplaceReply(Reply.of(put_in, "y")))


def test_no_secret_is_told() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        check(command("AUTH PLAIN c2VjcmV0"), Route("other", Command.of("NOOP")))
    assert "c2Vj" not in str(caught.value)


@pytest.mark.parametrize(
    ("verdict", "hint"),
    [
        (None, "To let it pass, give Continue()"),
        (Continue, "Give an object of the class: Continue(...)"),
        (NO, "To answer with this reply, give Answer(reply): 550 no"),
        ("550 no", "Give an object of one of these classes: Continue() lets it pass"),
        (False, "Give an object of one of these classes: Continue() lets it pass"),
    ],
)
def test_what_was_meant_for_a_verdict_is_said(verdict: object, hint: str) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        check(QUESTIONS["RCPT"], verdict)
    assert str(raised.value).endswith(f" do. {hint}")


def test_a_verdict_holds_what_its_class_says() -> None:
    rcpt, headers = QUESTIONS["RCPT"], HeadersQuestion(b"", Envelope())
    for question, verdict, text in (
        (rcpt, ReplaceCommand("RCPT TO:<c>"), "a verdict takes a Command, not str; such as Command.of"),
        (rcpt, Route(7), "Route takes the name of a server as a str, or None, not int"),
        (headers, Replace("text"), "Replace takes bytes, not str; encode the text first"),
        (QUESTIONS["DATA"], Continue(("RCPT TO:<c>",)), "a verdict takes a Command, not str"),
    ):
        with pytest.raises(TypeError, match=text):
            check(question, verdict)


def test_a_question_that_is_not_open() -> None:
    rcpt = QUESTIONS["RCPT"]
    assert str(not_open(rcpt, None)).endswith("or another proxy has asked it")
    assert str(not_open(rcpt, rcpt)).endswith("has asked it; a CommandQuestion is open")
    assert "write answer(event.question, verdict)" in str(not_open(Ask(rcpt), rcpt))
    with pytest.raises(TypeError, match="answer takes a question, then its verdict, not None"):
        check(None, Answer(NO))
    assert str(not_open(7, rcpt)) == "answer takes a question, then its verdict, not int"
