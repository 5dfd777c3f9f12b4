"""AUTH is no command for a server where the proxy logs in by itself."""

from __future__ import annotations

from core.login_talk import PLAIN, scene
from sansio_smtp.questions import Continue


def test_it_waits_for_the_replies_before_it() -> None:
    one = scene("translate")
    assert one.client("VRFY x", PLAIN) == ["S: VRFY x"]
    assert one.server("252 maybe") == ["C: 252 maybe", "? LoginQuestion"]


def test_it_is_asked_about_first() -> None:
    one = scene("inject", "AUTH", "LOGIN")
    assert one.client("VRFY x", "AUTH LOGIN") == ["S: VRFY x"]
    assert one.server("252 maybe") == ["C: 252 maybe", "? CommandQuestion"]
    assert one.answer(Continue()) == ["C: 334 VXNlcm5hbWU6"]
    assert one.client("YW5u") == ["C: 334 UGFzc3dvcmQ6"]
    assert one.client("c2VjcmV0") == ["? AttemptQuestion"]


def test_mail_of_a_client_that_must_log_in() -> None:
    one = scene("inject", "LOGIN")
    assert one.client("MAIL FROM:<a@me>", "RCPT TO:<b@mx>") == [
        "C: 530 5.7.0 log in first",
        "S: RCPT TO:<b@mx>",
    ]
    one.server("503 MAIL first")
    one.client(PLAIN)
    one.answer(Continue())
    assert one.client("MAIL FROM:<a@me>") == ["? LoginQuestion"]


def test_the_exchange_is_not_kept() -> None:
    one = scene("inject", "LOGIN")
    one.client(PLAIN)
    assert one.proxy.quick._commands.login == ()
