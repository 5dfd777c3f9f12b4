"""Tokens from rules, and from the provider where no rule has one."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import trio

from sansio_smtp.rules import Host
from trio_proxy.login.rule_tokens import RuleTokens
from trio_proxy.login.tokens import Token, TokenError


@attrs.define
class Rule:
    given: Any
    asked: list[str] = attrs.field(factory=list)

    async def ask(self, account: str, host: Host) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked.append(account)
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@attrs.define
class Provider:
    is_shared: bool = True

    async def fetch(self, account: str) -> Token:
        await trio.lowlevel.checkpoint()
        return Token("provider")


async def test_the_first_rule_that_has_one() -> None:
    rules = [Rule(None), Rule(("abc", 60.0)), Rule(("def", None))]
    token = await RuleTokens(lambda: rules, None, Host).fetch("ann")
    assert token.value == "abc"
    assert token.expires == pytest.approx(trio.current_time() + 60, abs=5)
    assert [rule.asked for rule in rules] == [["ann"], ["ann"], []]


async def test_a_token_without_an_end() -> None:
    assert (await RuleTokens(lambda: [Rule(("def", None))], None, Host).fetch("ann")).expires == math.inf


async def test_the_provider_comes_last() -> None:
    assert (await RuleTokens(lambda: [Rule(None)], Provider(), Host).fetch("ann")).value == "provider"
    assert (await RuleTokens(list, Provider(), Host).fetch("ann")).value == "provider"


async def test_nobody_has_one() -> None:
    with pytest.raises(TokenError, match="no rule has a token") as caught:
        await RuleTokens(lambda: [Rule(None)], None, Host).fetch("ann")
    assert caught.value.permanent


async def test_a_rule_that_fails_is_a_failure_for_now() -> None:
    rules = [Rule(ValueError("x.py:1 failed")), Rule(("abc", None))]
    with pytest.raises(TokenError, match=r"x\.py:1 failed") as caught:
        await RuleTokens(lambda: rules, Provider(), Host).fetch("ann")
    assert not caught.value.permanent


def test_a_token_is_for_all_accounts_only_if_no_rule_gives_one() -> None:
    assert RuleTokens(list, Provider(), Host).is_shared
    assert not RuleTokens(lambda: [Rule(None)], Provider(), Host).is_shared
    assert not RuleTokens(list, Provider(is_shared=False), Host).is_shared
    assert not RuleTokens(list, None, Host).is_shared
