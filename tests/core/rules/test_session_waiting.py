"""Which questions may have to wait for a rule."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    AttemptQuestion,
    BodyQuestion,
    CommandQuestion,
    HeadersQuestion,
    MessageQuestion,
    Replace,
    ReplyQuestion,
)
from sansio_smtp.rules.host import Host
from sansio_smtp.rules.later import Later, run_at_once
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.ruleset import Rule, RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply

from .asked import pause, says, says_later


def session(*rules: Rule, host: Host | None = None) -> RuleSession:
    return RuleSession(RuleSet(rules), Proxy(), host=host)


SUBJECT = Command.of("NOOP")
QUESTIONS: dict[str, Any] = {
    "helo": CommandQuestion(Command.of("EHLO me"), Envelope()),
    "auth": CommandQuestion(Command.of("AUTH PLAIN x"), Envelope()),
    "login": AttemptQuestion(LoginAttempt("PLAIN", "ann", b"secret"), Envelope()),
    "mail": CommandQuestion(Command.of("MAIL FROM:<a@me>"), Envelope()),
    "rcpt": CommandQuestion(Command.of("RCPT TO:<a@mx>"), Envelope()),
    "data": CommandQuestion(Command.of("DATA"), Envelope()),
    "command": CommandQuestion(SUBJECT, Envelope()),
    "headers": HeadersQuestion(b"", Envelope()),
    "body": BodyQuestion(b"", Envelope()),
    "body_line": BodyQuestion(b"", Envelope()),
    "message": MessageQuestion(b"", Envelope()),
    "reply": ReplyQuestion(Reply.of(250, "ok"), SUBJECT, Envelope()),
}


@pytest.mark.parametrize(
    "phase", [phase for phase in PHASES if phase not in ("connect", "delivered", "disconnect")]
)
def test_what_may_wait(phase: str) -> None:
    waiting = session(says_later(phase, lambda *arguments: None))
    threaded = session(says(phase, None, threaded=True))
    quick = session(says(phase, None))
    assert waiting.waits_for(QUESTIONS[phase])
    assert threaded.waits_for(QUESTIONS[phase])
    assert not quick.waits_for(QUESTIONS[phase])
    assert waiting.waits_for(QUESTIONS["data"]) == (phase in ("data", "command"))


def test_a_message_may_be_held_by_a_host_that_waits() -> None:
    host = Host()
    host.waits = True
    made = session(says("message", None), host=host)
    assert made.waits_for(QUESTIONS["message"])
    assert not made.waits_for(QUESTIONS["headers"])


def test_what_has_to_be_awaited_cannot_be_judged_now() -> None:
    class Slow(Host):
        async def call(self, rule: Any, *arguments: object) -> object:
            await pause()
            return None

    made = session(says("mail", None, threaded=True), host=Slow())
    with pytest.raises(LocalProtocolError, match=r"RuleSession\.judge"):
        made.judge_now(QUESTIONS["mail"])


def test_what_waits_is_there_later() -> None:
    made = session(says_later("headers", lambda tx, headers: headers.add("A", "b")))
    assert made.judge_now(QUESTIONS["headers"]) == Replace(b"A: b\r\n\r\n")
    assert run_at_once(made.judge(QUESTIONS["headers"])) == Replace(b"A: b\r\n\r\n")
    assert isinstance(made.start(QUESTIONS["headers"]), Later)
    assert not isinstance(made.start(QUESTIONS["rcpt"]), Later)
