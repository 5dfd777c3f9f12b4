"""The login of a client to the proxy itself."""

from __future__ import annotations

from typing import Any

import pytest
from each import each

from core.login_talk import OFFER, PLAIN, log_in, scene
from sansio_smtp import Answer, Continue, Disconnect, Reply, Route

NO = Answer(Reply.of(535, "no"))


@pytest.mark.parametrize(
    "lines",
    [
        [PLAIN],
        ["auth plain YW5uAGFubgBzZWNyZXQ="],
        ["AUTH PLAIN", "AGFubgBzZWNyZXQ="],
        ["AUTH LOGIN", "YW5u", "c2VjcmV0"],
        ["AUTH LOGIN =", "YW5u", "c2VjcmV0"],
        ["AUTH LOGIN YW5u", "c2VjcmV0"],
    ],
)
def test_ways_to_say_it(lines: list[str]) -> None:
    one = scene("inject", "LOGIN")
    for line in lines[:-1]:
        (challenge,) = one.client(line)
        assert challenge in ("C: 334 ", "C: 334 VXNlcm5hbWU6", "C: 334 UGFzc3dvcmQ6")
    assert one.client(lines[-1]) == ["? AttemptQuestion"]
    attempt = one.question.attempt
    assert (attempt.name, attempt.password()) == ("ann", "secret")
    assert attempt.mechanism == ("LOGIN" if "LOGIN" in lines[0] else "PLAIN")
    assert one.answer(Continue()) == ["C: 235 2.7.0 logged in"]
    assert one.proxy.login == "ann"
    assert attempt.password() == ""


@each(
    ("lines", "reply"),
    [
        (["AUTH"], "501 5.5.4"),
        (["AUTH PLAIN a b"], "501 5.5.4"),
        (["AUTH GSSAPI"], "504 5.5.4"),
        (["AUTH PLAIN x"], "501 5.5.2"),
        (["AUTH PLAIN ="], "501 5.5.2"),
        (["AUTH PLAIN YW5u"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "?"], "501 5.5.2"),
        (["AUTH LOGIN", "", "c2VjcmV0"], "535 5.7.8"),
        (["AUTH LOGIN", "YW5u", "AAAA"], "535 5.7.8"),
        (["AUTH PLAIN Ym9iAGFubgBzZWNyZXQ="], "535 5.7.8"),
        (["AUTH PLAIN AGFubgA="], "535 5.7.8"),
        (["AUTH PLAIN AP8AeA=="], "535 5.7.8"),
    ],
)
def test_what_is_no_login(lines: list[str], reply: str) -> None:
    one = scene("translate")
    for line in lines[:-1]:
        assert one.client(line)[0].startswith("C: 334")
    (shown,) = one.client(lines[-1])
    assert shown.startswith(f"C: {reply}")
    assert one.client("NOOP") == ["S: NOOP"]


@pytest.mark.parametrize("verdict", [NO, Disconnect(Reply.of(535, "no"))])
def test_a_verdict_that_refuses(verdict: Any) -> None:
    one = scene("inject", "LOGIN")
    one.client(PLAIN)
    attempt = one.question.attempt
    shown = one.answer(verdict)
    assert shown[0] == "C: 535 no"
    assert shown[1:] == ([] if verdict is NO else ["close S", "close C"])
    assert attempt.password() == ""
    assert one.proxy.login is None


def test_mail_needs_a_login_if_one_is_checked() -> None:
    one = scene("inject", "LOGIN")
    assert one.client("MAIL FROM:<a@me>") == ["C: 530 5.7.0 log in first"]
    one.client(PLAIN)
    one.answer(Continue())
    assert one.client(PLAIN) == ["C: 503 5.5.1 you have logged in already"]
    assert one.client("MAIL FROM:<a@me>") == ["? LoginQuestion"]
    assert one.question.login.name == "ann"


def test_where_none_is_checked() -> None:
    one = scene("inject")
    assert one.client(PLAIN) == ["C: 502 5.5.1 AUTH is not supported here"]
    assert one.client("MAIL FROM:<a@me>") == ["? LoginQuestion"]
    one = scene("translate")
    assert one.client("MAIL FROM:<a@me>") == ["S: MAIL FROM:<a@me>"]


def test_in_a_transaction() -> None:
    one = scene("translate")
    assert one.client("MAIL FROM:<a@me>", PLAIN) == ["S: MAIL FROM:<a@me>"]
    assert one.server("250 ok") == ["C: 250 ok", "C: 503 5.5.1 a mail transaction is open"]


def test_the_server_that_a_verdict_says() -> None:
    one = scene("translate", "AUTH")
    one.client("AUTH LOGIN")
    assert one.answer(Route("other")) == ["C: 334 VXNlcm5hbWU6"]
    assert one.client("YW5u") == ["C: 334 UGFzc3dvcmQ6"]
    assert one.client("c2VjcmV0") == ["S: QUIT", "close S", "connect other"]
    one.server("220 other")
    assert one.server(*OFFER) == ["? LoginQuestion"]
    assert one.question.upstream == "other"
    log_in(one)
    assert one.server("235 ok") == ["C: 235 ok"]


def test_a_rule_and_then_the_server() -> None:
    one = scene("translate", "LOGIN")
    assert one.client(PLAIN) == ["? AttemptQuestion"]
    assert one.answer(Continue()) == ["? LoginQuestion"]
