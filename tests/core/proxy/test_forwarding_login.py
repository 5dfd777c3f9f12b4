from __future__ import annotations

import pytest

from core.login_talk import OFFER, log_in, logged_in
from sansio_smtp.questions import Answer
from sansio_smtp.wire.replies import Reply


@pytest.mark.parametrize("mode", ["inject", "translate"])
def test_a_session_goes_on_over_a_new_connection(mode: str) -> None:
    """After a login that the proxy can say again."""
    one = logged_in(mode, "BODY_LINE", reconnect=True)
    if mode == "translate":
        one.client("MAIL FROM:<a@me>")
    one.server("250 ok")
    one.client("RCPT TO:<b@mx>")
    one.server("250 ok")
    one.client("DATA")
    one.server("354 go")
    one.client("x")
    assert one.answer(Answer(Reply.of(550, "no"))) == ["abort S"]
    one.client(".")
    assert one.client("MAIL FROM:<a@me>") == ["connect home"]
    one.server("220 mx")
    assert one.server(*OFFER) == ["? LoginQuestion"]
    assert log_in(one) == ["S: AUTH PLAIN eA=="]
    assert one.server("235 ok") == ["S: MAIL FROM:<a@me>"]
