"""The login of the proxy at a server, as a step of the server's setup."""

from __future__ import annotations

import pytest

from core.login_talk import OFFER, PLAIN, log_in, scene
from core.scene import Scene
from sansio_smtp import SERVER, Answer, Config, Continue, Disconnect, LocalProtocolError, LoginMode, Reply

NO = Reply.of(451, "no")


def asked(mode: str) -> Scene:
    """At the point where the driver is asked."""
    one = scene(mode)
    shown = one.client("MAIL FROM:<a@me>" if mode == "inject" else PLAIN)
    assert shown == ["? LoginQuestion"]
    return one


def test_what_is_asked() -> None:
    question = asked("inject").question
    assert question.mechanisms == ("PLAIN", "LOGIN")
    assert (question.upstream, question.tls, question.login, question.attempt) == (None, None, None, None)
    assert question.refused is None
    assert question.refusal.code == 451
    question = asked("translate").question
    assert (question.attempt.name, question.attempt.password()) == ("ann", "secret")
    assert question.refusal.code == 454


def test_before_mail() -> None:
    one = asked("inject")
    assert log_in(one, "LOGIN | - | ann | secret") == ["S: AUTH LOGIN"]
    assert one.server("334 VXNlcg==") == ["S: YW5u"]
    assert one.server("334 UGFzcw==") == ["S: c2VjcmV0"]
    assert one.server("235 ok") == ["S: MAIL FROM:<a@me>"]
    assert one.server("250 ok") == ["C: 250 ok"]
    assert one.client("RSET", "MAIL FROM:<c@me>") == ["S: RSET"]
    assert one.server("250 ok") == ["C: 250 ok", "S: MAIL FROM:<c@me>"]


def test_the_clients_login() -> None:
    one = asked("translate")
    assert log_in(one, "PLAIN | x") == ["S: AUTH PLAIN eA=="]
    assert one.server("235 2.7.0 ok") == ["C: 235 2.7.0 ok"]
    assert one.proxy.login == "ann"
    assert one.client("MAIL FROM:<a@me>") == ["S: MAIL FROM:<a@me>"]


@pytest.mark.parametrize(("mode", "code"), [("inject", "451"), ("translate", "535")])
def test_refusals(mode: str, code: str) -> None:
    """The driver is asked twice more; then what suits the client is its reply."""
    one = asked(mode)
    for refusal in ("535 5.7.8 no", "501 5.5.2 no"):
        log_in(one, "PLAIN | x")
        assert one.server(refusal) == ["? LoginQuestion"]
        assert str(one.question.refused) == refusal
        assert one.question.refusal.code == int(code)
    log_in(one, "PLAIN | x")
    last = one.server("550 5.7.1 no")
    assert [line[:6] for line in last if line.startswith("C: ")] == [f"C: {code}"]
    assert any(line.startswith("unusable") for line in last) == (mode == "inject")
    assert one.client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize(("said", "code"), [("454 4.7.0 later", 454), ("432 4.7.12 x", 432), ("451 x", 454)])
def test_the_codes_of_auth(said: str, code: int) -> None:
    one = asked("translate")
    log_in(one, "PLAIN | x")
    one.server(said)
    assert one.question.refusal.code == code


@pytest.mark.parametrize("mode", ["inject", "translate"])
def test_giving_up_at_once(mode: str) -> None:
    one = asked(mode)
    attempt = one.question.attempt
    assert one.answer(Answer(NO)) == ["C: 451 no"]
    assert attempt is None or attempt.password() == ""
    assert one.client("NOOP") == ["S: NOOP"]


def test_the_end_of_the_session() -> None:
    one = asked("inject")
    assert one.answer(Disconnect(Reply.of(554, "bye"))) == ["C: 554 bye", "close S", "close C"]


def test_no_answer_says_that_there_is_a_login() -> None:
    one = asked("inject")
    with pytest.raises(LocalProtocolError):
        one.answer(Answer(Reply.of(250, "ok")))
    assert one.answer(Continue())[0].startswith("C: 451 4.7.0 ")


def test_secrets_that_the_server_repeats_go_no_further() -> None:
    one = asked("translate")
    log_in(one, "PLAIN | \\0ann\\0hunter22")
    assert one.server("535 5.7.8 not hunter22") == ["? LoginQuestion"]
    assert str(one.question.refused) == str(one.question.refusal) == "535 5.7.8 not ********"
    log_in(one, "PLAIN | \\0ann\\0hunter22")
    assert one.server("235 with hunter22") == ["C: 235 with ********"]


@pytest.mark.parametrize("reply", ["235 ok", "421 bye"])
def test_a_server_that_cannot_be_used(reply: str) -> None:
    """It has accepted what was not complete, or leaves."""
    one = asked("inject")
    log_in(one, "X | a | proof")
    shown = one.server(reply)
    assert shown[0].startswith("unusable: it ")
    assert shown[1].startswith("C: 421 4.")
    assert shown[2:] == ["close S", "close C"]


def test_a_login_that_does_not_end() -> None:
    one = asked("inject")
    log_in(one, "X | - " + "| a " * 9)
    for _ in range(7):
        assert one.server("334 ") == ["S: YQ=="]
    assert one.server("334 ")[0] == "unusable: its login has too many steps"


def test_one_question_at_a_time() -> None:
    one = Scene("NOOP", config=Config(login_mode=LoginMode.INJECT))
    one.server("220 mx")
    assert one.client("MAIL FROM:<a@me>", "NOOP") == ["S: EHLO localhost", "? CommandQuestion"]
    assert one.server(*OFFER) == []
    assert one.answer(Continue()) == ["? LoginQuestion"]


def test_the_end_in_the_middle() -> None:
    for end in (lambda one: one.proxy.timed_out(), lambda one: one.proxy.eof_from(SERVER)):
        one = asked("translate")
        attempt = one.question.attempt
        log_in(one, "X | a | b")
        one.took(end(one))
        assert one.proxy.closed
        assert attempt.password() == ""


def test_a_verdict_that_comes_too_late() -> None:
    one = asked("inject")
    question = one.question
    one.took(one.proxy.timed_out())
    assert one.proxy.answer(question, Answer(NO)) == []
