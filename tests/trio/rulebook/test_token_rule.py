"""Rules that give access tokens: how they are found, and what becomes of those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from sansio_smtp.rules import RuleError
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.load import load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.rulebook.tasks import RuleTasks
from trio_proxy.rulebook.token_rule import TokenRule, TokenRuleError
from trio_proxy.rulebook.watchdog import Watchdog

FUNCTION = "async def access_token(account):\n    return account + '-token', 60\n"
PLAIN = "def access_token(account):\n    return account + '-plain'\n"
METHOD = """
class Vault:
    def __init__(self):
        self.name = "vault"

    async def access_token(self, account):
        return f"{account}-{self.name}"

    def rcpt(self, tx, to):
        pass

rules = [Vault()]
"""


def found(tmp_path: Path, text: str) -> tuple[TokenRule, ...]:
    (tmp_path / "tokens.py").write_text(text)
    return load([str(tmp_path / "tokens.py")]).token_rules


def of(function: Callable[[str], Any]) -> TokenRule:
    return TokenRule.of(function, "x.py", 1)


def host(**settings: Any) -> RuleHost:
    return RuleHost(RuleSettings(timeout=5, **settings), structlog.stdlib.get_logger("smtp_proxy"), None)


@pytest.mark.parametrize(
    ("text", "given"),
    [(FUNCTION, ("ann-token", 60.0)), (PLAIN, ("ann-plain", None)), (METHOD, ("ann-vault", None))],
)
async def test_where_it_may_stand(text: str, given: Any, tmp_path: Path) -> None:
    (rule,) = found(tmp_path, text)
    assert await rule.ask("ann", host()) == given
    assert rule.where.startswith(f"{tmp_path}/tokens.py:")


def test_it_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokens.py").write_text(METHOD)
    assert str(load([str(tmp_path / "tokens.py")]).parts[0]).endswith("tokens.py (rcpt, access_token)")


def test_a_file_without_any(tmp_path: Path) -> None:
    assert found(tmp_path, "def rcpt(tx, to):\n    pass\n") == ()


@pytest.mark.parametrize(
    "text",
    [
        "async def access_token():\n    pass\n",
        "async def access_token(a, b):\n    pass\n",
        "async def access_token(account):\n    yield 1\n",
        "def access_token(account):\n    yield 1\n",
        "access_token = 'S3cret'\n",
    ],
)
def test_what_is_none_is_said_at_load(text: str, tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"write async def access_token\(account\)") as caught:
        found(tmp_path, text)
    assert "S3cret" not in str(caught.value)


RESULTS = [
    "S3cret\n",
    "S3cret S3cret",
    "",
    7,
    ("S3cret",),
    ("S3cret", 0),
    ("S3cret", -1),
    ("S3cret", "1"),
    ("S3cret", True),
    b"S3cret",
]


@pytest.mark.parametrize("result", RESULTS, ids=repr)
async def test_what_it_may_not_return(result: Any, logs: list[MutableMapping[str, Any]]) -> None:
    async def access_token(account: str) -> Any:
        return result

    with pytest.raises(TokenRuleError) as caught:
        await of(access_token).ask("ann", host())
    assert "S3cret" not in str(caught.value)
    assert "S3cret" not in str(logs)
    assert logs[0]["event"] == "rule failed"


async def test_it_raises(logs: list[MutableMapping[str, Any]]) -> None:
    async def access_token(account: str) -> str:
        raise KeyError(account)

    with pytest.raises(TokenRuleError, match=r"x\.py:1 access_token\(\) failed: KeyError \(incident"):
        await of(access_token).ask("ann", host())
    assert isinstance(logs[0]["exc_info"], KeyError)


async def test_it_takes_too_long(autojump_clock: trio.testing.MockClock) -> None:
    async def access_token(account: str) -> str:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(TokenRuleError, match="it took too long"):
        await of(access_token).ask("ann", host())


async def test_it_blocks(logs: list[MutableMapping[str, Any]]) -> None:
    """All sessions would stand still meanwhile."""

    async def access_token(account: str) -> str:
        time.sleep(60)  # noqa: ASYNC251 - the mistake that is meant
        raise AssertionError

    watchdog = Watchdog(0.05)
    with watchdog.installed(), pytest.raises(TokenRuleError, match="Blocked"):
        await of(access_token).ask("ann", host(watchdog=watchdog))
    assert logs[0]["hint"].startswith("await what takes time")


async def test_it_cannot_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """It is not waited for any longer than another rule."""
    ended = trio.Event()

    async def access_token(account: str) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        ended.set()
        return "late"

    async with trio.open_nursery() as nursery:
        start = trio.current_time()
        with pytest.raises(TokenRuleError, match="it took too long"):
            await of(access_token).ask("ann", host(tasks=RuleTasks(nursery)))
        assert trio.current_time() - start == 5
    assert ended.is_set()


async def test_a_session_that_ends_is_no_failure(logs: list[MutableMapping[str, Any]]) -> None:
    async def access_token(account: str) -> str:
        await trio.sleep_forever()
        raise AssertionError

    with trio.move_on_after(0) as scope:
        await of(access_token).ask("ann", host())
    assert scope.cancelled_caught
    assert not logs


async def test_it_may_have_none() -> None:
    assert await of(lambda account: None).ask("ann", host()) is None


def test_those_of_the_rules_that_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "tokens.py").write_text(FUNCTION)
    book = RuleBook(lambda: load([str(tmp_path / "tokens.py")]))
    assert [rule.where for rule in book.token_rules] == [f"{tmp_path}/tokens.py:1"]
