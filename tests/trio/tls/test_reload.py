"""Certificates are read again when somebody asks for it, or a file has changed."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_proxy.tls.certificates import Problem, ProblemKind
from trio_proxy.tls.reload import Certificates

Logs = list[MutableMapping[str, Any]]


class Thing:
    """Counts how often it is read again."""

    def __init__(self, *files: Path) -> None:
        self.files = files
        self.reloads = 0
        self.problems: list[Problem] = []
        self.error: Exception | None = None
        self.done = trio.Event()

    def reload(self) -> list[Problem]:
        self.reloads += 1
        trio.from_thread.run_sync(self.done.set)
        if self.error is not None:
            raise self.error
        return self.problems

    async def next(self) -> None:
        with trio.fail_after(20):
            await self.done.wait()
        self.done = trio.Event()


def texts(logs: Logs) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logs]


async def test_all_are_read_again_on_demand(nursery: trio.Nursery, logs: Logs, tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    first, second = Thing(file), Thing()
    certificates = Certificates([first, second])
    await nursery.start(certificates.serve)
    certificates.reload()
    await second.next()
    assert (first.reloads, second.reloads) == (1, 1)
    first.problems = [Problem(ProblemKind.UNREADABLE, file, "cert.pem: cannot be read")]
    certificates.reload()
    await second.next()
    await trio.testing.wait_all_tasks_blocked()
    first.error = RuntimeError("a mistake of ours")
    certificates.reload()
    await second.next()
    assert texts(logs) == [
        ("warning", "certificates reloaded"),
        ("warning", "keeping the certificate that was in force"),
        ("error", "internal error, keeping the certificates that were in force"),
    ]
    assert logs[0]["files"] == [str(file)]
    assert logs[1]["problem"] == "cert.pem: cannot be read"


async def test_a_file_that_changes(
    nursery: trio.Nursery, mock_clock: MockClock, logs: Logs, tmp_path: Path
) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("one")
    thing = Thing(file)
    await nursery.start(Certificates([thing]).serve)

    async def looks(times: int) -> None:
        for _ in range(times):
            mock_clock.jump(1.0)
            await trio.testing.wait_all_tasks_blocked(0.001)

    await looks(3)
    assert thing.reloads == 0
    file.write_text("three")
    await looks(1)
    assert thing.reloads == 0, "it may still be written"
    await looks(1)
    await thing.next()
    await looks(3)
    assert thing.reloads == 1
    file.unlink()
    await looks(2)
    await thing.next()
    assert thing.reloads == 2


@pytest.mark.parametrize("watch", [True, False])
async def test_nothing_is_watched_without_need(
    nursery: trio.Nursery, autojump_clock: MockClock, tmp_path: Path, watch: bool
) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("one")
    await nursery.start(
        lambda task_status: Certificates([Thing()] if watch else [Thing(file)]).serve(
            watch=watch, task_status=task_status
        )
    )
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
