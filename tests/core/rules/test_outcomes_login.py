from __future__ import annotations

import pytest

from sansio_smtp.questions import Answer, Continue, Disconnect
from sansio_smtp.rules.outcomes import of_attempt
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Reject
from sansio_smtp.wire.replies import Reply


@pytest.mark.parametrize("server_decides", [False, True])
def test_the_reply_to_a_login(server_decides: bool) -> None:
    assert of_attempt(Accept(), server_decides) == Continue()
    assert of_attempt(Reject(), server_decides) == Answer(Reply.of(535, "5.7.8 wrong name or password"))
    assert of_attempt(Reject(550, "no"), server_decides) == Answer(Reply.of(550, "no"))
    later = Reply.of(454, "4.7.0 login is not possible now, try again later")
    assert of_attempt(Defer(), server_decides) == Answer(later)
    assert of_attempt(Close(), server_decides) == Disconnect(Close().reply)


def test_nobody_has_said_anything() -> None:
    assert of_attempt(None, True) == Continue()
    assert of_attempt(None, False) == Answer(Reply.of(535, "5.7.8 wrong name or password"))
