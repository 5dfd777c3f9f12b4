"""Rules that check the login of a client to the proxy."""

from __future__ import annotations

from typing import Any

from each import each

from sansio_smtp.config import Config, LoginMode
from sansio_smtp.ends.transaction import Envelope
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import Answer, AttemptQuestion, Continue, Disconnect, LoginQuestion
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.ruleset import Rule, RuleSet
from sansio_smtp.rules.session import RuleSession
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Reject
from sansio_smtp.sasl_client import LoginAttempt
from sansio_smtp.wire.replies import Reply

from .asked import says, says_later

NO = Reply.of(451, "no")
WRONG = Answer(Reply.of(535, "5.7.8 wrong name or password"))


def asked(*rules: Rule, mode: str = "inject", on_error: OnError = "defer") -> Any:
    """The verdict on a login."""
    proxy = Proxy(Config(login_mode=LoginMode(mode)))
    session = RuleSession(RuleSet(rules), proxy, on_error=on_error)
    return session.judge_now(AttemptQuestion(LoginAttempt("PLAIN", "ann", b"secret"), Envelope()))


@each(
    ("said", "verdict"),
    [
        (Accept(), Continue()),
        (Reject(), WRONG),
        (Reject(535, "5.7.8 not you"), Answer(Reply.of(535, "5.7.8 not you"))),
        (Defer(), Answer(Reply.of(454, "4.7.0 login is not possible now, try again later"))),
        (Defer(454, "4.7.0 later"), Answer(Reply.of(454, "4.7.0 later"))),
        (Close(421, "4.7.0 bye"), Disconnect(Reply.of(421, "4.7.0 bye"))),
    ],
)
@each("mode", ["inject", "translate"])
def test_the_reply_to_the_login(said: object, verdict: object, mode: str) -> None:
    assert asked(says("login", said), mode=mode) == verdict


def test_a_login_that_no_rule_has_accepted() -> None:
    """Where a server checks it too, that one decides."""
    silent = says("login", None)
    assert asked(silent) == WRONG
    assert asked(silent, silent, mode="translate") == Continue()
    assert asked(silent, says("login", Accept()), says("login", Reject())) == Continue()


def test_a_server_that_does_not_see_the_login_decides_nothing() -> None:
    proxy = Proxy(Config(login_mode=LoginMode.TRANSLATE))
    question = AttemptQuestion(LoginAttempt("PLAIN", "ann", b"secret"), Envelope())
    for said, verdict in ((None, WRONG), (Accept(), Continue())):
        session = RuleSession(RuleSet([says("login", said)]), proxy, server_checks_logins=False)
        assert session.judge_now(question) == verdict


def test_a_rule_that_fails_has_not_accepted() -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("down")

    assert asked(says("login", fails), on_error="accept") == WRONG
    assert asked(says("login", fails)).reply.code == 451
    assert asked(says("login", fails), on_error="reject").reply.code == 550


def test_a_rule_that_is_awaited() -> None:
    def judge(*rules: Rule) -> Any:
        session = RuleSession(RuleSet(rules), Proxy(Config(login_mode=LoginMode.INJECT)))
        work = session.judge(AttemptQuestion(LoginAttempt("PLAIN", "ann", b"secret"), Envelope()))
        while True:
            try:
                work.send(None)
            except StopIteration as done:
                return done.value

    later = says_later("login", lambda *_: None)
    assert judge(later) == WRONG
    assert judge(later, says("login", Accept())) == Continue()
    assert judge(says_later("login", lambda *_: Accept()), says("login", Reject())) == Continue()


def test_the_rule_sees_the_password_if_it_asks_for_it() -> None:
    seen: list[object] = []

    def check(conn: object, attempt: LoginAttempt) -> Accept:
        seen.extend((attempt.name, attempt.mechanism, attempt.password()))
        return Accept()

    assert asked(says("login", check)) == Continue()
    assert seen == ["ann", "PLAIN", "secret"]


def test_rules_have_nothing_to_log_in_with_at_a_server() -> None:
    session = RuleSession(RuleSet(), Proxy())
    question = LoginQuestion((), None, None, None, None, None, NO, Envelope())
    assert session.judge_now(question) == Answer(NO)
    assert not session.waits_for(question)
