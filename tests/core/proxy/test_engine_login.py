from __future__ import annotations

from core.login_talk import OFFER, PLAIN, log_in, scene
from core.scene import Scene
from sansio_smtp.config import Config, LoginMode
from sansio_smtp.questions import Continue


def test_a_login_that_waited_for_another_question() -> None:
    one = Scene("NOOP", config=Config(login_mode=LoginMode.INJECT))
    one.server("220 mx")
    assert one.client("MAIL FROM:<a@me>", "NOOP") == ["S: EHLO localhost", "? CommandQuestion"]
    assert one.server(*OFFER) == []
    assert one.answer(Continue()) == ["? LoginQuestion"]


def test_the_end_forgets_the_secrets() -> None:
    one = scene("translate")
    one.client(PLAIN)
    attempt = one.question.attempt
    log_in(one, "X | a | b")
    one.took(one.proxy.timed_out())
    assert attempt.password() == ""
