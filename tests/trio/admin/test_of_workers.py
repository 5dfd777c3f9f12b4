"""What workers count is shown by their parent."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import trio
from prometheus_client import generate_latest
from trio.testing import MockClock

from trio_proxy.admin.of_workers import AdminOfParent, AdminOfWorker
from trio_proxy.text.addresses import Address

HERE = Address("127.0.0.1", 0)


def ready(parent: AdminOfParent) -> list[str]:
    lines = generate_latest(parent.joined).decode().splitlines()
    return [line for line in lines if line.startswith("smtp_proxy_ready ")]


async def test_a_worker_tells_its_parent_and_for_the_last_time_at_its_end(autojump_clock: MockClock) -> None:
    parent = AdminOfParent(HERE)
    times: list[float] = []

    def tell(topic: str, /, **values: Any) -> None:
        assert topic == "metrics"
        times.append(trio.current_time() - began)
        parent.told(1, values)

    admin = AdminOfWorker(HERE, tell)
    admin.ready_until(trio.Event())
    began = trio.current_time()
    with trio.move_on_after(5):
        await admin.serve()
    assert times == [0, 2, 4, 5]
    assert ready(parent) == ["smtp_proxy_ready 1.0"]
    parent.gone(1)
    assert ready(parent) == []


def test_what_cannot_be_read(logs: list[MutableMapping[str, Any]]) -> None:
    AdminOfParent(HERE).told(7, {"families": "no JSON"})
    assert [line["worker"] for line in logs] == [7]
