from __future__ import annotations

from core.login_talk import log_in, logged_in, scene


def test_the_login_is_a_step() -> None:
    one = scene("inject")
    assert one.client("MAIL FROM:<a@me>") == ["? LoginQuestion"]
    assert log_in(one) == ["S: AUTH PLAIN eA=="]
    assert one.server("235 ok") == ["S: MAIL FROM:<a@me>"]


def test_it_is_taken_once() -> None:
    one = logged_in("translate")
    assert one.client("MAIL FROM:<a@me>") == ["S: MAIL FROM:<a@me>"]
