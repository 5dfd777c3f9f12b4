"""The log of the service: how much it says, while it runs, and what it needs for that."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import structlog
from commands import COMMAND, Proxy, connect, once, proxy, say_hello, submit
from drivers import DEADLINE

from trio_proxy.commands.log import ServiceLog, log_problems
from trio_proxy.settings.options import Options

Said = pytest.CaptureFixture[str]
log = structlog.stdlib.get_logger("smtp_proxy")


pytestmark = pytest.mark.usefixtures("configured_anew")


def events(said: Said) -> list[str]:
    return [json.loads(line)["event"] for line in said.readouterr().err.splitlines()]


def talk() -> None:
    """One line at each level, of a logger that has logged before."""
    log.debug("debug")
    log.info("info")
    log.warning("warning")
    log.error("error")


def test_levels_change_while_it_runs(capsys: Said) -> None:
    options = Options(log_format="json")
    service_log = ServiceLog.configured(options)
    talk()
    assert events(capsys) == ["warning", "error"]
    service_log.be_as_verbose_as(attrs.evolve(options, verbose=1))
    talk()
    assert events(capsys) == ["log level reloaded", "info", "warning", "error"]
    service_log.be_as_verbose_as(attrs.evolve(options, verbose=1))
    assert events(capsys) == []
    service_log.be_as_verbose_as(attrs.evolve(options, quiet=True))
    talk()
    assert events(capsys) == ["log level reloaded", "error"]
    service_log.be_as_verbose_as(attrs.evolve(options, verbose=2))
    talk()
    assert events(capsys) == ["log level reloaded", "debug", "info", "warning", "error"]


def test_a_warning_that_quiet_does_not_silence(capsys: Said) -> None:
    service_log = ServiceLog.configured(Options(log_format="json", quiet=True))
    service_log.warn_anyway("quiet and verbose")
    talk()
    assert events(capsys) == ["quiet and verbose", "error"]


def test_the_start_says_that_quiet_and_verbose_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "class Broken:\n"
        "    @asynccontextmanager\n"
        "    async def running(self):\n"
        "        raise ValueError('no')\n"
        "        yield\n"
        "    def rcpt(self, tx, to): ...\n"
        "rules = [Broken]\n"
    )
    result = once("-l", "127.0.0.1:0", "-r", "broken.py", "-q", "-v", directory=tmp_path)
    assert result.stderr.count("--quiet and --verbose contradict each other: only errors are logged") == 1


def test_hashes_stay_the_same_when_the_level_changes(capsys: Said) -> None:
    options = Options(log_format="json", log_addresses="hashed")
    service_log = ServiceLog.configured(options)
    log.error("before", **{"from": "ann@me.example"})
    service_log.be_as_verbose_as(attrs.evolve(options, verbose=1))
    log.error("after", **{"from": "ann@me.example"})
    before, _, after = map(json.loads, capsys.readouterr().err.splitlines())
    assert before["from"] == after["from"] != "ann@me.example"


NO_KEYS = {
    "gone": (None, ": cannot be read: there is no such file; correct the path"),
    "empty": (b"\n", " is empty"),
    "octets": (b"\xff\x00", " is not UTF-8"),
    "two": (b"one\ntwo\n", " has more than one line"),
}


@pytest.mark.parametrize("kind", NO_KEYS)
def test_a_key_that_cannot_be_used(kind: str, tmp_path: Path, capsys: Said) -> None:
    """It is said when the rest is, and no address is logged before that."""
    content, why = NO_KEYS[kind]
    file = tmp_path / "log.key"
    if content is not None:
        file.write_bytes(content)
    options = Options(log_format="json", log_addresses="hashed", log_key_file=file)
    service_log = ServiceLog.configured(options)
    (problem,) = service_log.problems
    assert [str(each) for each in log_problems(options)] == [str(problem)]
    assert str(problem).startswith(f"--log-key-file {file}{why}")
    assert "openssl rand -hex 32" in str(problem)
    log.error("early", **{"from": "ann@me.example"})
    assert "ann@" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("check",), (), ("--workers", "x")])
def test_without_its_key_nothing_is_started(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """All that is wrong is said at once."""
    result = once(
        *arguments, "-l", "127.0.0.1:0", "--log-addresses", "hashed", "--log-key-file", "k", "-r", "gone.py",
        directory=tmp_path,
    )  # fmt: skip
    lines = [line for line in result.stderr.splitlines() if "-file k: " in line or "gone.py" in line]
    assert result.returncode == (2 if "x" in arguments else 78)
    assert len(lines) == 2
    assert len(result.stderr.splitlines()) == 2 or "x" in arguments


RULE = """
from sansio_smtp.rules import Reject


def rcpt(tx, to):
    return Reject(550, "5.1.1 no")
"""


def test_sighup_reloads_the_level(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULE)
    file = tmp_path / "proxy.toml"
    text = '[server]\nlisten = "127.0.0.1:0"\n[rules]\nfiles = "rules.py"\n'
    file.write_text(text)
    with proxy(tmp_path, "-c", "proxy.toml") as running:

        def refused() -> None:
            client = connect(("127.0.0.1", running.port))
            say_hello(client)
            client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>")
            client.expect(b"250 ...", b"550 ...")
            client.close()

        refused()
        running.wait_for("RCPT refused")
        assert "rule decided" not in running.said()
        file.write_text(text.replace("[rules]", "verbose = 1\ngrace = 7\n[rules]"))
        running.signal(signal.SIGHUP)
        running.wait_for("rules reloaded")
        said = running.said()
        assert "verbosity=--verbose" in said
        assert "settings='[server] grace'" in said
        refused()
        running.wait_for("rule decided")


class Alone(Proxy):
    """Started as people do: a process that was forked cannot start workers."""

    command: ClassVar = ["sh", "-c", 'exec "$@"', "sh", *COMMAND]


@pytest.mark.slow
def test_all_workers_hash_an_address_alike(tmp_path: Path) -> None:
    running = Alone(tmp_path, "-v", "-l", "127.0.0.1:0", "--workers", "2", "--log-addresses", "hashed")
    try:
        for _ in range(500):
            client = connect(("127.0.0.1", running.port))
            say_hello(client)
            assert submit(client, b"Subject: x\r\n\r\nhi\r\n")[:4] == b"250 "
            client.close()
            lines = re.findall(r"kept .* conn=c\d+(\d{3}) .* from=(\S+)", running.said())
            if len({number for number, _ in lines}) == 2:
                break
        assert {number for number, _ in lines} == {"001", "002"}
        assert len({hashed for _, hashed in lines}) == 1
        assert "a@me.example" not in running.said()
        running.signal(signal.SIGTERM)
        assert running.ends(4 * DEADLINE) == 0
    finally:
        running.kill()
