"""Hits are counted all, and logged seldom."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from trio_proxy.limits.hits import Hits
from trio_proxy.limits.table import CONNECTION_RATE, CONNECTIONS

Logs = list[MutableMapping[str, Any]]


def test_one_line_in_ten_seconds_for_each_limit(logs: Logs) -> None:
    now = 1000.0
    hits = Hits(lambda: now)
    for step in range(3):
        now = 1000.0 + 9.9 * step
        for _ in range(100):
            hits.hit(CONNECTIONS, most=5)
        hits.hit(CONNECTION_RATE, network="192.0.2.1")
    assert hits.counts == {"connections": 300, "connection-rate": 3}
    assert [(entry["event"], entry["limit"], entry.get("more")) for entry in logs] == [
        ("too many connections", "connections", None),
        ("too many new connections of one network", "connection-rate", None),
        ("too many connections", "connections", 199),
        ("too many new connections of one network", "connection-rate", 1),
    ]
    assert logs[0]["most"] == 5
    assert logs[1]["network"] == "192.0.2.1"
    assert all(entry["log_level"] == "warning" for entry in logs)
