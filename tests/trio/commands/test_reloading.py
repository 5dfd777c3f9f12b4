"""What is read anew is used as a whole or not at all, and what needs a restart is named."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from settings_files import options

from trio_proxy.commands.reloading import RELOADED, Loading, needing_new_parent, needing_restart
from trio_proxy.process.activation import Activated
from trio_proxy.process.manager import Manager
from trio_proxy.process.notify import Notifier
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.rulebook.reload import RuleBook
from trio_proxy.settings.options import SETTINGS, Options
from trio_proxy.tls.certificates import Problem, ProblemKind
from trio_proxy.tls.reload import Certificates

Logs = list[MutableMapping[str, Any]]
UNREADABLE = Problem(ProblemKind.UNREADABLE, Path("cert.pem"), "cert.pem: cannot be read")


@attrs.define
class Files:
    """Certificates that were read, or cannot be."""

    problems: list[Problem] = attrs.field(factory=list[Problem])
    used: int = 0

    async def prepare(self) -> tuple[list[Problem], Callable[[], None]]:
        await trio.lowlevel.checkpoint()
        return self.problems, self.use

    def use(self) -> None:
        self.used += 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text("def rcpt(tx, to): ...\n")
    (tmp_path / "two.py").write_text("def data(tx): ...\n")
    file = tmp_path / "proxy.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:0"\n[rules]\nfiles = "one.py"\n')
    return file


def change(file: Path, before: str, after: str) -> None:
    file.write_text(file.read_text().replace(before, after))


@asynccontextmanager
async def serving(book: RuleBook) -> Any:
    async with trio.open_nursery() as nursery:
        await nursery.start(book.serve)
        yield nursery
        nursery.cancel_scope.cancel()


async def test_rules_and_certificates_change_together_or_not_at_all(file: Path, logs: Logs) -> None:
    files = Files()
    loading = Loading(options("-c", str(file)))
    loading.read_too(cast("Certificates", files))
    book = RuleBook(loading.load)
    book.tell(lambda _: loading.done())
    async with serving(book):
        before = book.summary
        change(file, "one.py", "two.py")
        files.problems = [UNREADABLE]
        assert await loading.reload(book) == "cert.pem: cannot be read"
        assert (book.summary, files.used) == (before, 0)
        files.problems = []
        change(file, "[rules]", "grac = 5\n[rules]")
        assert 'unknown key "grac"' in await loading.reload(book)
        assert (book.summary, files.used) == (before, 0)
        change(file, "grac", "grace")
        assert await loading.reload(book) == ""
        assert (book.summary.count("two.py"), files.used) == (1, 1)
    assert logs[-2]["settings"] == "[server] grace"


async def test_a_worker_says_what_applies_the_other_settings(file: Path, logs: Logs) -> None:
    loading = Loading(options("-c", str(file)), worker=2)
    book = RuleBook(loading.load)
    book.tell(lambda _: loading.done())
    async with serving(book):
        assert (await loading.reload(book), loading.not_applied) == ("", "")
        change(file, "[rules]", "grace = 5\nworkers = 3\n[rules]")
        assert await loading.reload(book) == ""
        said = '"smtp-proxy reload" applies them'
        assert loading.not_applied == f"[server] grace, [server] workers; {said}"
        assert (logs[-2]["worker"], logs[-2]["hint"]) == (2, said)
        change(file, "workers = 3", 'control = "here"')
        assert await loading.reload(book) == ""
        said += ", except [server] control: for that restart the service"
        assert logs[-2]["hint"] == said
        change(file, "grace = 5\n", "")
        change(file, "[rules]", 'admin = "127.0.0.1:9025"\n[rules]')
        assert await loading.reload(book) == ""
        assert loading.not_applied == "[server] control, [server] admin; restart the service"


async def test_limits_are_those_of_now(file: Path) -> None:
    seen: list[Any] = []
    loading = Loading(options("-c", str(file), "--max-junk", "7"))
    book = RuleBook(loading.load)
    book.tell(lambda loaded: seen.append(loaded.origin))
    async with serving(book):
        change(
            file, "[rules]", "max_connections = 5\ngrace = 1\n[limits]\nmax_junk = 9\nmax_line = 600\n[rules]"
        )
        assert await loading.reload(book) == ""
    expected = attrs.evolve(loading.options, max_connections=5, max_line=600)
    assert seen == [expected]


def test_each_setting_is_reloaded_or_named() -> None:
    start, now = (
        options("--listen", "127.0.0.1:1", "--grace", "5"),
        options("--listen", "127.0.0.1:2", "-u", "h"),
    )
    assert needing_restart(start, start) == []
    assert needing_restart(start, now) == ["[server] listen", "[server] grace"]
    assert needing_new_parent(start, now) == []
    assert needing_new_parent(start, options("--control", "here")) == ["[server] control"]
    assert {*SETTINGS} > RELOADED


async def test_the_log_level_is_reloaded_with_the_rest(file: Path, logs: Logs) -> None:
    change(file, "[rules]", "verbose = 0\n[rules]")
    loading = Loading(options("-c", str(file)))
    book = RuleBook(loading.load)
    seen: list[int] = []

    def replace(loaded: LoadedRules) -> None:
        seen.append(cast("Options", loaded.origin).verbosity)
        loading.done()

    book.tell(replace)
    async with serving(book):
        change(file, "verbose = 0", "verbose = 2")
        change(file, "one.py", "gone.py")
        assert await loading.reload(book) != ""
        assert seen == []
        change(file, "gone.py", "two.py")
        assert await loading.reload(book) == ""
        change(file, "verbose = 2", "quiet = true")
        assert await loading.reload(book) == ""
    assert seen == [2, -1]
    assert not any("at a restart" in line["event"] for line in logs)


async def test_signals_of_a_process_without_workers(logs: Logs, nursery: trio.Nursery) -> None:
    manager = Manager(Notifier(), activated=Activated([]))
    asked = trio.Event()

    async def reload() -> str:
        asked.set()
        return ""

    await nursery.start(partial(manager.serve, lambda _: None, reload, str))
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGHUP)
    with trio.fail_after(20):
        await asked.wait()
    assert [line["event"] for line in logs] == ["SIGUSR2 restarts workers, and there are none; see --workers"]
