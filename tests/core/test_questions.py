from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

import pytest

from sansio_smtp import questions
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.questions import (
    CONTENT_PLACES,
    PLACES,
    Answer,
    AnyQuestion,
    AnyVerdict,
    BodyQuestion,
    CommandQuestion,
    Continue,
    Disconnect,
    HeadersQuestion,
    Inspect,
    LogIn,
    MessageQuestion,
    Question,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    ReplyQuestion,
    Route,
    Swallow,
    asked_places,
)
from sansio_smtp.verbs import VERBS
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

SECRET = Command.parse(b"AUTH PLAIN AGEAYg==")


@pytest.mark.parametrize("code", [200, 250, 421, 450, 550, 599])
def test_an_answer_is_a_final_reply(code: int) -> None:
    assert Answer(Reply.of(code)).reply.code == code


@pytest.mark.parametrize("code", [300, 334, 354, 399])
def test_an_answer_opens_no_continuation(code: int) -> None:
    """RFC 5321 §4.2.1: 3xx promises that more is expected, and nobody would take it."""
    with pytest.raises(LocalProtocolError):
        Answer(Reply.of(code))
    with pytest.raises(LocalProtocolError):
        Disconnect(Reply.of(code))


@pytest.mark.parametrize("code", [200, 221, 250])
def test_a_session_does_not_end_in_success(code: int) -> None:
    with pytest.raises(LocalProtocolError):
        Disconnect(Reply.of(code))


@pytest.mark.parametrize("code", [421, 450, 554])
def test_disconnect(code: int) -> None:
    assert Disconnect(Reply.of(code)).reply.code == code


@pytest.mark.parametrize("code", [250, 421, 450, 554])
def test_a_message_that_is_dropped_is_answered(code: int) -> None:
    assert Swallow(Reply.of(code)).reply.code == code


@pytest.mark.parametrize("code", [334, 354])
def test_a_message_that_is_dropped_has_a_final_reply(code: int) -> None:
    with pytest.raises(LocalProtocolError):
        Swallow(Reply.of(code))


def test_verdicts_are_values() -> None:
    assert Continue() == Continue()
    assert Replace(b"a") == Replace(b"a")
    assert Answer(Reply.of(250)) != Disconnect(Reply.of(450))


@pytest.mark.parametrize(
    ("kind", "verdicts"),
    [
        (CommandQuestion, {Continue, ReplaceCommand, Answer, Disconnect, Inspect, Swallow, Route}),
        (ReplyQuestion, {Continue, ReplaceReply, Disconnect}),
        (HeadersQuestion, {Continue, Replace, Answer, Disconnect}),
        (BodyQuestion, {Continue, Replace, Answer, Disconnect}),
        (MessageQuestion, {Continue, Replace, Answer, Disconnect}),
    ],
)
def test_each_question_has_its_verdicts(kind: type[Question[Any]], verdicts: set[type]) -> None:
    assert set(kind.verdicts) == verdicts
    assert verdicts <= set(get_args(AnyVerdict))
    assert kind in get_args(AnyQuestion)


def test_a_question_is_an_identity() -> None:
    """Two of the same content are two, each with its own answer."""
    envelope = Envelope()
    assert HeadersQuestion(b"", envelope) != HeadersQuestion(b"", envelope)
    assert len({CommandQuestion(SECRET, envelope), CommandQuestion(SECRET, envelope)}) == 2


@pytest.mark.parametrize(
    "shown",
    [
        HeadersQuestion(b"dear all", Envelope()),
        BodyQuestion(b"dear all", Envelope()),
        MessageQuestion(b"dear all", Envelope()),
        Replace(b"dear all"),
    ],
)
def test_repr_does_not_show_content(shown: object) -> None:
    assert "<8 octets>" in repr(shown)
    assert "dear" not in repr(shown)


@pytest.mark.parametrize(
    "shown",
    [
        CommandQuestion(SECRET, Envelope()),
        ReplyQuestion(Reply.of(235, "welcome, AGEAYg=="), SECRET, Envelope()),
        ReplaceCommand(SECRET),
        Route("other", SECRET),
    ],
)
def test_repr_does_not_show_credentials(shown: object) -> None:
    assert "AGEAYg" not in repr(shown)


def test_places_have_names() -> None:
    constants = {name for name in questions.__all__ if name.isupper()} - {"PLACES", "CONTENT_PLACES"}
    assert constants == PLACES
    assert all(getattr(questions, name) == name for name in constants)


def test_no_place_is_named_as_a_verb() -> None:
    """``Proxy(ask={"RCPT"})`` asks for that command: a place of that name would hide it."""
    assert not {name.encode() for name in PLACES} & set(VERBS)


@pytest.mark.parametrize("names", [PLACES, {"RCPT", "QUIT"}, ["HEADERS"], {"X-SOMETHING"}, ()])
def test_names_that_can_be_asked_for(names: Collection[str]) -> None:
    assert asked_places(names) == frozenset(names)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ({"rcpt"}, 'did you mean "RCPT"'),
        ({"RCTP"}, 'did you mean "RCPT"'),
        ({"HEADER"}, 'did you mean "HEADERS"'),
        ("RCPT", "takes a set"),
    ],
)
def test_a_name_by_which_nothing_is_asked_is_refused(names: Any, hint: str) -> None:
    with pytest.raises(LocalProtocolError, match=hint):
        asked_places(names)


@pytest.mark.parametrize("names", [{"HEADER"}, {"RCPT"}, {"IN_TURN"}, "HEADERS"])
def test_a_message_is_inspected_at_places_of_content(names: Any) -> None:
    with pytest.raises(LocalProtocolError, match="Inspect"):
        Inspect(names)
    assert Inspect(frozenset()).places == frozenset()
    assert Inspect(frozenset(CONTENT_PLACES)).places == CONTENT_PLACES


@pytest.mark.parametrize("verdict", [Answer, Disconnect, questions.ReplaceReply, questions.Swallow])
def test_a_verdict_with_a_reply_takes_no_text(verdict: Any) -> None:
    name = verdict.__name__
    with pytest.raises(TypeError, match=f"{name} takes a Reply, not str; such as {name}.Reply.of.550"):
        verdict("550 no")
    assert verdict(Reply.of(550, "no")).reply.code == 550


class External:
    name, initial, complete = "EXTERNAL", b"", True

    def respond(self, challenge: bytes) -> bytes:
        return challenge

    def forget(self) -> None:
        """It has no secrets."""


def test_a_login_is_made_of_a_sasl_client() -> None:
    assert repr(LogIn(External())) == "LogIn(client=EXTERNAL)"  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="LogIn takes a SaslClient, not str"):
        LogIn("ann")  # type: ignore[arg-type]
