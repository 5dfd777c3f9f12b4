"""The provider of tokens: settings that lack something, and what ``check`` says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trio_proxy.commands import oauth
from trio_proxy.commands.logins import LoginRules, logins_or_problems
from trio_proxy.commands.oauth import CLIENT_SECRET, REFRESH_TOKEN, provider_or_problems
from trio_proxy.login.oauth2 import OAuth2
from trio_proxy.rulebook.load import load
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address

URL = "https://login.example.net/token"
APP = {"oauth_url": URL, "oauth_client_id": "app"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (CLIENT_SECRET, REFRESH_TOKEN):
        monkeypatch.delenv(name, raising=False)
    Path("secret").write_text("s1\n")
    Path("refresh").write_text("r1\n")
    Path("empty").write_text("\n")
    Path("none").mkdir()
    Path("many").mkdir()
    Path("many/ann@example.com").write_text("r1")
    Path("many/bob@example.com").write_text("r2")
    Path("bad").mkdir()
    Path("bad/ann").write_text("")


def options(**given: Any) -> Options:
    return Options(**given, named=frozenset(given))


def test_no_provider() -> None:
    assert provider_or_problems(options()) == (None, [])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"oauth_scope": "x"}, "--oauth-scope is for a provider of tokens, but none is set"),
        ({"oauth_client_id": "app"}, "--oauth-client-id is for a provider of tokens"),
        (
            {"oauth_url": URL},
            f"--oauth-url {URL} needs the name that the application has there",
        ),
        (APP, "--oauth-url gives no token for a client id alone"),
        (
            APP | {"oauth_client_secret_file": Path("nowhere")},
            "--oauth-client-secret-file nowhere: cannot be",
        ),
        (APP | {"oauth_client_secret_file": Path("empty")}, "--oauth-client-secret-file empty is empty"),
        (
            APP | {"oauth_refresh_token_file": Path("nowhere")},
            "--oauth-refresh-token-file nowhere: cannot be",
        ),
        (APP | {"oauth_refresh_token_file": Path("none")}, "--oauth-refresh-token-file none has no file"),
        (APP | {"oauth_refresh_token_file": Path("bad")}, "--oauth-refresh-token-file bad/ann is empty"),
    ],
)
def test_what_is_wrong(given: dict[str, Any], text: str) -> None:
    provider, problems = provider_or_problems(options(**given))
    assert provider is None
    assert [text in problem.text for problem in problems] == [True]


def test_what_seems_to_lack_may_stand_in_a_file_with_mistakes() -> None:
    for given in ({"oauth_scope": "x"}, {"oauth_url": URL}, APP):
        assert provider_or_problems(options(**given), config_is_wrong=True)[1] == []


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "find_spec", lambda name: None)
    given = options(**APP, oauth_client_secret_file=Path("secret"))
    assert [str(each) for each in provider_or_problems(given)[1]] == [
        f"--oauth-url {URL} needs httpx2: pip install 'sansio-smtp[login]'"
    ]
    assert provider_or_problems(options()) == (None, [])


def test_both_files_are_wrong() -> None:
    wrong = APP | {"oauth_client_secret_file": Path("x"), "oauth_refresh_token_file": Path("y")}
    assert len(provider_or_problems(options(**wrong))[1]) == 2


def made(**given: Any) -> OAuth2:
    provider, problems = provider_or_problems(options(**APP, **given))
    assert problems == []
    assert provider is not None
    return provider


def test_secrets_come_from_files_or_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    by_file = made(oauth_client_secret_file=Path("secret"), oauth_refresh_token_file=Path("refresh"))
    assert by_file.client_secret == "s1"
    assert by_file.refresh_tokens is not None
    assert by_file.refresh_tokens.of("ann") == "r1"
    monkeypatch.setenv(CLIENT_SECRET, "s2")
    assert made().is_shared
    assert made().client_secret == "s2"
    monkeypatch.setenv(REFRESH_TOKEN, "r2")
    tokens = made().refresh_tokens
    assert tokens is not None
    assert tokens.of("ann") == "r2"
    assert made(oauth_client_secret_file=Path("secret")).client_secret == "s1"
    assert not made(oauth_refresh_token_file=Path("many"), oauth_scope="x", oauth_timeout=3.0).is_shared


TOKENS = "def access_token(account):\n    return None\n"
CHECKS = "def login(conn, attempt):\n    return None\n"


def rules(text: str) -> LoginRules:
    Path("rules.py").write_text(text + "def rcpt(tx, to):\n    return None\n")
    return LoginRules.of(load(["rules.py"]), 5)


def log_in(mode: str, **given: Any) -> Options:
    user = {"upstream_user": "ann"} if mode == "inject" else {}
    return options(login_mode=mode, upstream=Address("127.0.0.1", 25), **user, **given)


PROVIDER = APP | {"oauth_refresh_token_file": Path("refresh")}


@pytest.mark.parametrize(
    ("mode", "given", "text", "has_tokens"),
    [
        ("inject", PROVIDER, "", True),
        ("inject", {}, TOKENS, True),
        ("translate", PROVIDER, CHECKS, True),
        ("translate", {}, TOKENS + CHECKS, True),
        ("translate", {}, CHECKS, False),
        ("translate", {}, "", False),
    ],
)
def test_what_is_shown_to_servers(mode: str, given: dict[str, Any], text: str, has_tokens: bool) -> None:
    logins, problems = logins_or_problems(log_in(mode, **given), rules(text))
    assert problems == []
    assert logins is not None
    assert (logins.tokens is not None) == has_tokens


@pytest.mark.parametrize(("given", "text"), [(PROVIDER, ""), ({}, TOKENS)])
def test_somebody_has_to_check_the_passwords_of_clients(given: dict[str, Any], text: str) -> None:
    logins, problems = logins_or_problems(log_in("translate", **given), rules(text))
    assert logins is None
    assert ["there is no rule login(conn, attempt)" in problem.text for problem in problems] == [True]


def test_rules_that_could_not_be_loaded_are_not_missed() -> None:
    for mode in ("inject", "translate"):
        assert logins_or_problems(log_in(mode, **PROVIDER), None)[1] == []
    assert logins_or_problems(log_in("inject"), None)[1] == []


def test_without_login_nothing_is_needed() -> None:
    assert logins_or_problems(options(), rules(TOKENS)) == (None, [])
