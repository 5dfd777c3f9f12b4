"""What a worker makes of what its parent says."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from trio_proxy.workers.rows import Rows
from trio_proxy.workers.seat import VARIABLE, Seat

Logs = list[MutableMapping[str, Any]]


def seat(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Seat:
    ours, theirs = socket.socketpair()
    ours.close()
    values = {"number": 1, "first": True, "channel": theirs.detach(), "sockets": [], **more}
    monkeypatch.setenv(VARIABLE, json.dumps(values))
    made = Seat.of_environment()
    assert made is not None
    made.channel.close()
    return made


def test_a_worker_counts_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(2)
    given = [dict(rows.give(number)) for number in (1, 2)]
    for each in given:
        each["descriptor"] = os.dup(each["descriptor"])
    one, other = (seat(monkeypatch, limits=each) for each in given)
    assert one.shared is not None
    assert other.shared is not None
    one.shared.clients.tell(3)
    assert other.shared.clients.elsewhere == 3


def test_a_worker_whose_parent_is_of_another_version_counts_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logs: Logs
) -> None:
    (tmp_path / "memory").write_bytes(b"another layout".ljust(100))
    memory = os.open(tmp_path / "memory", os.O_RDWR)
    later = {"descriptor": memory, "row": 0, "more": "?"}
    assert [seat(monkeypatch, **more).shared for more in ({}, {"limits": {}}, {"limits": later})] == [
        None
    ] * 3
    alone = "limits hold for this worker alone; to end that, start the service anew"
    assert [entry["event"] for entry in logs] == [alone] * 3
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(memory)
