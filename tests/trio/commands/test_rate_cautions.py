"""What is said of rules that limit rates where they count otherwise than one may think."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from settings_files import options, written

from trio_proxy.commands.rate_cautions import nobody_logs_in, rate_cautions
from trio_proxy.commands.reloading import Loading
from trio_proxy.rulebook.load import load

INJECT = '[server]\nupstream = "127.0.0.1:9"\n[login]\nmode = "inject"\nuser = "ann"\n'
FILES = '[rules]\nfiles = ["ready:rate_limit"]\n[rules.rate_limit]\n'
MINUTE = "messages = { minute = 30 }\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(text: str, *arguments: str) -> list[str]:
    found = options("-c", str(written(text)), *arguments)
    return rate_cautions(found, load(found.rules, found.rule_settings).ruleset)


def test_each_worker_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(FILES + MINUTE, "--workers", "2") == [
        "proxy.toml:3: [rules.rate_limit] counts in each of 2 workers: up to 60 messages a minute; use "
        "ready:shared_rate_limit"
    ]
    (text,) = said(f"{FILES}messages = {{ hour = 500 }}\nrecipients = {{ day = 20 }}\n", "--workers", "4")
    assert "up to 2,000 messages an hour, 80 recipients a day; use" in text
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    assert "each of 3 workers" in said(FILES + MINUTE, "--workers", "auto")[0]


@pytest.mark.parametrize("arguments", [(), ("--workers", "1")])
def test_one_process_counts_right(arguments: tuple[str, ...]) -> None:
    assert said(FILES + MINUTE, *arguments) == []


def test_a_rule_that_is_not_in_use_is_not_spoken_of() -> None:
    found = options("-c", str(written(FILES + MINUTE)), "--workers", "2")
    assert rate_cautions(found, load(()).ruleset) == []


def test_a_rule_without_a_table_is_named_by_its_class() -> None:
    Path("mine.py").write_text(
        "from trio_proxy.ready.rate_limit import RateLimit\nrules = [RateLimit(messages={'day': 5})]\n"
    )
    assert said("[server]\nworkers = 3\n[rules]\nfiles = 'mine.py'\n") == [
        "RateLimit: counts in each of 3 workers: up to 15 messages a day; use ready:shared_rate_limit"
    ]


def test_logins_that_are_counted_where_nobody_logs_in() -> None:
    assert said(f"{INJECT}{FILES}per = 'login'\n{MINUTE}") == [
        'proxy.toml:9: [rules.rate_limit] per = "login" counts by IP address: nobody logs in here, as the '
        "proxy logs in for all, and there is no rule login"
    ]
    assert said(f"{INJECT}{FILES}per = 'ip'\n{MINUTE}") == []
    assert said(f"{FILES}per = 'login'\n{MINUTE}") == []
    Path("logins.py").write_text("def login(conn, attempt): ...\n")
    with_rule = FILES.replace('["', '["logins.py", "')
    assert said(f"{INJECT}{with_rule}per = 'login'\n{MINUTE}") == []


def test_a_proxy_in_front_may_say_who_has_logged_in() -> None:
    found = options("-c", str(written(f"{FILES}per = 'login'\n{MINUTE}")))
    rules = load(found.rules, found.rule_settings).ruleset
    assert len(nobody_logs_in(found, rules, "of a test")) == 1
    found = options("-c", "proxy.toml", "--accept-xclient", "127.0.0.1")
    assert nobody_logs_in(found, rules, "of a test") == []


def test_the_start_and_a_reload_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("trio_proxy.commands.reloading.log.warning", warnings.append)
    start = options("-c", str(written(FILES + MINUTE)), "--workers", "2")
    Loading(start).load()
    assert [text.partition(";")[0] for text in warnings] == [
        "proxy.toml:3: [rules.rate_limit] counts in each of 2 workers: up to 60 messages a minute"
    ]
    written(FILES + MINUTE.replace("30", "50"))
    Loading(start).load()
    assert "up to 100 messages" in warnings[1]
    Loading(start, says=False).load()
    assert len(warnings) == 2
