"""A process that is not a worker logs how its stop has ended."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import trio
from trio.testing import MockClock

from trio_proxy.process.activation import Activated
from trio_proxy.process.manager import Manager
from trio_proxy.process.notify import Notifier

Logs = list[MutableMapping[str, Any]]


async def test_the_end_of_a_stop_is_logged(autojump_clock: MockClock, logs: Logs) -> None:
    manager = Manager(Notifier(), activated=Activated([]))
    manager.stopping()
    await trio.sleep(2.5)
    manager.stopped(3)
    assert logs == [{"event": "stopped", "seconds": 2.5, "cut_off": 3, "log_level": "warning"}]


async def test_an_end_that_was_no_stop_is_not(logs: Logs) -> None:
    """Such as an internal error, which has a line of its own."""
    Manager(Notifier(), activated=Activated([])).stopped(0)
    assert logs == []
