"""What the service manager is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_proxy.process.notify import Notifier


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.setblocking(False)
        yield sock


def heard(sock: socket.socket) -> list[str]:
    return sock.recv(4096).decode().split("\n")


@pytest.mark.parametrize("is_abstract", [False, True])
def test_what_is_told(tmp_path: Path, is_abstract: bool) -> None:
    name = f"{'@' if is_abstract else ''}{tmp_path}/notify"
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": name})
    with manager(f"\0{name[1:]}" if is_abstract else name) as sock:
        notifier.ready("two\nlines")
        assert heard(sock) == ["READY=1", "STATUS=two lines", f"MAINPID={os.getpid()}"]
        notifier.reloading()
        first, second, third = heard(sock)
        assert (first, third) == ("RELOADING=1", "STATUS=reloading")
        assert second.removeprefix("MONOTONIC_USEC=").isdecimal()
        notifier.status("3 clients")
        assert heard(sock) == ["STATUS=3 clients"]
        notifier.stopping("draining")
        assert heard(sock) == ["STOPPING=1", "STATUS=draining"]


def test_nobody_listens(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nothing")).ready("it does not matter")


@pytest.mark.parametrize("name", [None, "", "vsock:1:2", "relative"])
def test_there_is_no_manager(name: str | None) -> None:
    assert Notifier.of_environment({} if name is None else {"NOTIFY_SOCKET": name}) == Notifier()


@pytest.mark.parametrize(
    ("microseconds", "whose", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", "ours", 30.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_how_often_the_watchdog_wants_to_hear(microseconds: str, whose: str, seconds: float | None) -> None:
    variables = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": whose}
    if whose == "ours":
        variables["WATCHDOG_PID"] = str(os.getpid())
    assert Notifier.of_environment(variables).watchdog == seconds


async def test_it_lives_twice_in_that_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    with manager(str(tmp_path / "notify")) as sock:
        with trio.move_on_after(95):
            await Notifier(str(tmp_path / "notify"), watchdog=20).beat()
        for _ in range(10):
            assert heard(sock) == ["WATCHDOG=1"]
        with pytest.raises(BlockingIOError):
            heard(sock)


async def test_nobody_wants_to_hear() -> None:
    await Notifier().beat()
