"""Logins with tokens, where rules that check the clients have gone with a reload."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import nullcontext
from typing import Any

import pytest

from sansio_smtp import Answer, ClientInfo, Envelope, LogIn, LoginAttempt, LoginMode, LoginQuestion, Reply
from sansio_smtp.rules import Accept, RuleSet
from sansio_smtp.rules.later import Later
from sansio_smtp.rules.loading import rules_of
from trio_proxy.account.account import Account
from trio_proxy.driver.judging import Judging
from trio_proxy.driver.servers import Servers
from trio_proxy.driver.settings import Settings
from trio_proxy.driver.streams import Stream
from trio_proxy.login.logins import Logins
from trio_proxy.login.tokens import Token, TokenCache
from trio_proxy.text.session_log import SessionLog

REFUSAL = Reply.of(454, "4.7.0 later")


class Source:
    is_shared = True

    async def fetch(self, account: str) -> Token:
        return Token("token")


class Asked:
    """In place of a `Proxy`."""

    verdict: Any = None

    def answer(self, question: object, verdict: object) -> list[Any]:
        self.verdict = verdict
        return []


async def nowhere() -> Stream:
    raise OSError


async def verdict(rules: RuleSet | None, attempt: LoginAttempt | None) -> Any:
    mode = LoginMode.INJECT if attempt is None else LoginMode.TRANSLATE
    logins = Logins(mode=mode, account="ann", tokens=TokenCache(Source()), may_be_plain=lambda _: True)
    given = None if rules is None else lambda: nullcontext(rules)
    log, settings = (
        SessionLog("c1", ClientInfo(address="x")),
        Settings(connect=nowhere, logins=logins, rules=given),
    )
    judging = Judging(settings, log, Account(log, Servers(settings, log)))
    question = LoginQuestion(("XOAUTH2",), None, None, None, attempt, None, REFUSAL, Envelope())
    asked: Any = Asked()
    said = judging.start(asked, question)
    assert isinstance(said, Later)
    await said
    judging.close()
    return asked.verdict


def login(conn: object, attempt: object) -> Accept:
    return Accept()


@pytest.mark.parametrize("rules", [None, RuleSet()])
async def test_nobody_gets_a_token_whose_password_nobody_checks(
    rules: RuleSet | None, logs: list[MutableMapping[str, Any]]
) -> None:
    assert await verdict(rules, LoginAttempt("PLAIN", "ann", b"x")) == Answer(REFUSAL)
    assert "no rule checks the passwords" in logs[-1]["event"]


async def test_with_a_rule_that_checks_them_they_do() -> None:
    assert isinstance(await verdict(rules_of(login), LoginAttempt("PLAIN", "ann", b"x")), LogIn)


async def test_without_a_login_of_the_client_there_is_nothing_to_check() -> None:
    assert isinstance(await verdict(None, None), LogIn)
