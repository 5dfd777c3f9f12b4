"""What a worker is given by its parent, and what it makes of that."""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_proxy.workers.processes import start_process
from trio_proxy.workers.rows import Rows
from trio_proxy.workers.seat import VARIABLE, Seat

KEY = b"a key that only workers know ..."
SAYS_ALL = """
import json, os, socket
seat = json.loads(os.environ["SMTP_PROXY_WORKER"])
said = {"topic": "said", "key": os.read(seat["log_key"], 99).hex()}
said["others"] = [number for number in map(int, os.listdir("/proc/self/fd")) if number > 2]
channel = socket.socket(fileno=seat["channel"])
channel.sendall(json.dumps(said).encode() + b"\\n")
channel.recv(1)
"""

Logs = list[MutableMapping[str, Any]]


@contextmanager
def rows_for(workers: int) -> Iterator[Rows]:
    """Their memory is closed at the end; a process keeps it as long as it lives."""
    rows = Rows(workers)
    try:
        yield rows
    finally:
        os.close(rows._descriptor)
        gc.collect()  # counts refer to themselves


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
    with rows_for(2) as rows:
        given = [dict(rows.give(number)) for number in (1, 2)]
        for each in given:
            each["descriptor"] = os.dup(each["descriptor"])
        one, other = (seat(monkeypatch, limits=each) for each in given)
        assert one.shared is not None
        assert other.shared is not None
        one.shared.clients.tell(3)
        assert other.shared.clients.elsewhere == 3
        del one, other


def test_a_worker_that_cannot_start_tells_its_parent_and_the_log(
    monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    ours, theirs = socket.socketpair()
    values = {"number": 3, "first": True, "channel": theirs.detach(), "sockets": []}
    monkeypatch.setenv(VARIABLE, json.dumps(values))
    made = Seat.of_environment()
    assert made is not None
    assert not made.is_of_start
    made.cannot_start(iter(["a.py:1: no", "b.py:2: no"]))
    made.channel.close()
    with ours, ours.makefile() as lines:
        assert [json.loads(line) for line in lines] == [{"topic": "cannot_start", "problem": "a.py:1: no"}]
    assert [(entry["log_level"], entry["problem"], entry["worker"]) for entry in logs[1:]] == [
        ("error", "a.py:1: no", 3),
        ("error", "b.py:2: no", 3),
    ]


def test_a_worker_tells_its_parent_how_many_clients_it_has_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    values = {"number": 1, "first": True, "channel": theirs.detach(), "sockets": []}
    monkeypatch.setenv(VARIABLE, json.dumps(values))
    made = Seat.of_environment()
    assert made is not None
    made.stopping()
    made.stopped(3)
    made.channel.close()
    with ours, ours.makefile() as lines:
        assert [json.loads(line) for line in lines] == [
            {"topic": "stopping"},
            {"topic": "stopped", "cut_off": 3},
        ]


def test_a_worker_whose_parent_is_of_another_version_counts_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logs: Logs
) -> None:
    (tmp_path / "memory").write_bytes(b"another layout".ljust(100))
    memory = os.open(tmp_path / "memory", os.O_RDWR)
    later = {"descriptor": memory, "row": 0, "more": "?"}
    assert [seat(monkeypatch, **more).shared for more in ({}, {"limits": {}}, {"limits": later})] == [
        None
    ] * 3
    alone = "limits hold for this worker alone; to end that, restart the service"
    assert [entry["event"] for entry in logs] == [alone] * 3
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(memory)


async def test_the_key_of_hashes_stands_in_no_place_that_others_can_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-I", "-S", "-c", SAYS_ALL])
    with rows_for(1) as rows:
        process, channel = await start_process(7, [], is_first=False, rows=rows, log_key=KEY)
    said = trio.Event()
    seen: list[object] = []

    def note(values: object) -> None:
        seen.append(values)
        said.set()

    channel.on("said", note)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.serve)
        with trio.fail_after(10):
            await said.wait()
        of_process = Path(f"/proc/{process.pid}")
        shown = (of_process / "environ").read_bytes() + (of_process / "cmdline").read_bytes()
        nursery.cancel_scope.cancel()
    channel.close()
    with trio.fail_after(10):
        assert await process.wait() == 0
    (values,) = seen
    assert isinstance(values, dict)
    assert bytes.fromhex(values["key"]) == KEY
    assert VARIABLE.encode() in shown
    assert KEY not in shown
    assert KEY.hex().encode() not in shown
    # The channel, the key, the memory for limits, and the directory of its descriptors.
    assert len(values["others"]) == 4


@pytest.mark.parametrize("key", [KEY, None])
def test_a_worker_takes_the_key(key: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent of an older version has none."""
    ours, theirs = socket.socketpair()
    seat: dict[str, Any] = {"number": 2, "first": False, "channel": theirs.detach(), "sockets": []}
    reader = -1
    if key is not None:
        reader, writer = os.pipe()
        os.write(writer, key)
        os.close(writer)
        seat["log_key"] = reader
    monkeypatch.setenv(VARIABLE, json.dumps(seat))
    found = Seat.of_environment()
    assert found is not None
    assert found.log_key == key
    assert str(KEY) not in repr(found)
    assert VARIABLE not in os.environ
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    found.channel.close()
    ours.close()
