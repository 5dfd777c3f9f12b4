from __future__ import annotations

import pytest

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.proxy.verdict_checks import check
from sansio_smtp.questions import Answer, AttemptQuestion, Disconnect, LoginQuestion, Route
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.wire.replies import Reply

NO, OK = Reply.of(535, "no"), Reply.of(235, "ok")
QUESTIONS = [
    AttemptQuestion(LoginAttempt("PLAIN", "ann", b"secret"), Envelope()),
    LoginQuestion((), None, None, None, None, None, NO, Envelope()),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_login_is_not_accepted_by_an_answer(question: object) -> None:
    check(question, Answer(NO))
    check(question, Disconnect(NO))
    for verdict in (Answer(OK), Route("other")):
        with pytest.raises(LocalProtocolError):
            check(question, verdict)
