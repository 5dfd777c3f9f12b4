"""Rules that give access tokens: how they are found, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from sansio_smtp.rules import RuleError
from trio_proxy.rulebook.load import load
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.rulebook.token_rule import TokenRule, TokenRuleError

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


@pytest.mark.parametrize(
    ("text", "given"),
    [(FUNCTION, ("ann-token", 60.0)), (PLAIN, ("ann-plain", None)), (METHOD, ("ann-vault", None))],
)
async def test_where_it_may_stand(text: str, given: Any, tmp_path: Path) -> None:
    (rule,) = found(tmp_path, text)
    assert await rule.ask("ann", 5) == given
    assert rule.where.startswith(f"{tmp_path}/tokens.py:")


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
        await TokenRule(access_token, "x.py:1").ask("ann", 5)
    assert "S3cret" not in str(caught.value)
    assert "S3cret" not in str(logs)
    assert logs[0]["event"] == "rule failed"


async def test_it_raises(logs: list[MutableMapping[str, Any]]) -> None:
    async def access_token(account: str) -> str:
        raise KeyError(account)

    with pytest.raises(TokenRuleError, match=r"x\.py:1 access_token\(\) failed: KeyError \(incident"):
        await TokenRule(access_token, "x.py:1").ask("ann", 5)
    assert isinstance(logs[0]["exc_info"], KeyError)


async def test_it_takes_too_long(autojump_clock: trio.testing.MockClock) -> None:
    async def access_token(account: str) -> str:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(TokenRuleError, match="no token within 5 s"):
        await TokenRule(access_token, "x.py:1").ask("ann", 5)


async def test_it_may_have_none() -> None:
    assert await TokenRule(lambda account: None, "x.py:1").ask("ann", 5) is None


def test_those_of_the_rules_that_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "tokens.py").write_text(FUNCTION)
    book = RuleBook(lambda: load([str(tmp_path / "tokens.py")]))
    assert [rule.where for rule in book.token_rules] == [f"{tmp_path}/tokens.py:1"]
