"""The queue between those who write and what they write to: order, losses, waiting, kinds of descriptors."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
import trio

from trio_proxy.text import serving
from trio_proxy.text.descriptors import open_descriptor
from trio_proxy.text.sink import MOMENT, MOST_QUEUED, Sink

DISK_FULL = OSError(errno.ENOSPC, "full")
BROKEN = OSError(errno.EPIPE, "gone")


@attrs.define
class Fake:
    """Takes so many octets, until it is told something else."""

    room: float = float("inf")
    error: OSError | None = None
    number: int = 999_999
    taken: bytearray = attrs.field(factory=bytearray)
    is_closed: bool = False
    writes: int = 0

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        self.writes += 1
        count = int(min(self.room, len(data)))
        if not count:
            raise BlockingIOError
        self.room -= count
        self.taken += data[:count]
        return count

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def sink(fake: Fake) -> Iterator[Sink]:
    made = Sink(fake, 2, "log")
    with made.served(lambda: None):
        yield made


def test_lines_are_written_at_once(sink: Sink, fake: Fake) -> None:
    assert sink.write(b"one\n") == 4
    assert (fake.taken, sink.is_blocked) == (b"one\n", False)


def test_what_does_not_fit_is_written_later_in_order(fake: Fake) -> None:
    woken: list[None] = []
    sink = Sink(fake, 2, "log")
    fake.room = 2
    with sink.served(lambda: woken.append(None)):
        sink.write(b"one\n")
        sink.write(b"two\n")
        assert (fake.taken, sink.is_blocked, len(woken)) == (b"on", True, 2)
        fake.room = 3
        sink.flush()
        assert (fake.taken, sink.is_blocked) == (b"one\nt", True)
        fake.room = 99
        sink.flush()
    assert (fake.taken, sink.is_blocked) == (b"one\ntwo\n", False)


def test_a_disk_that_is_full_for_a_while(sink: Sink, fake: Fake) -> None:
    sink.write(b"before\n")
    fake.error = DISK_FULL
    for number in range(3):
        sink.write(b"lost %d\n" % number)
        sink.flush()
    sink.write(b"two\nlines\n")
    assert not sink.is_blocked, "an error is nothing to wait for"
    fake.error = None
    sink.write(b"after\n")
    said = b"before\n5 lines of the log were lost: No space left on device\nafter\n"
    assert fake.taken == said
    sink.write(b"more\n")
    assert fake.taken == said + b"more\n", "a loss is said once"


def test_one_lost_line_at_the_end_is_said_at_the_end(sink: Sink, fake: Fake) -> None:
    fake.error = BROKEN
    sink.write(b"x\n")
    fake.error = None
    sink.finish()
    assert fake.taken == b"1 line of the log was lost: Broken pipe\n"


def test_a_line_that_was_half_written_is_ended_before_the_loss_is_said(sink: Sink, fake: Fake) -> None:
    fake.room = 3
    sink.write(b"half of it\n")
    fake.error = DISK_FULL
    sink.write(b"x\n")
    fake.error, fake.room = None, 99
    sink.write(b"after\n")
    assert fake.taken == b"hal\n2 lines of the log were lost: No space left on device\nafter\n"


def test_a_slow_reader_loses_what_is_too_much_and_is_told_where(sink: Sink, fake: Fake) -> None:
    fake.room = 0
    line = b"x" * 1023 + b"\n"
    for _ in range(MOST_QUEUED // len(line) + 7):
        sink.write(line)
    fake.room = len(line)
    sink.flush()
    sink.write(b"short\n")
    fake.room = 1e9
    sink.flush()
    lines = fake.taken.split(b"\n")
    assert lines[-4:] == [line[:-1], b"7 lines of the log were lost: its reader is too slow", b"short", b""]
    assert len(fake.taken) < MOST_QUEUED + 100


def test_a_notice_that_fits_in_part_is_completed(sink: Sink, fake: Fake) -> None:
    fake.error = DISK_FULL
    sink.write(b"x\n")
    fake.error, fake.room = None, 10
    sink.write(b"after\n")
    assert sink.is_blocked
    fake.room = 99
    sink.flush()
    assert fake.taken == b"1 line of the log was lost: No space left on device\nafter\n"


def test_more_than_the_queue_takes_is_written_whole_if_nobody_else_waits(fake: Fake) -> None:
    text = b"x" * (2 * MOST_QUEUED)
    Sink(fake, 1, "output").write(text)
    assert fake.taken == text


def test_a_report_waits_for_its_reader() -> None:
    read_end, write_end = os.pipe()
    sink = Sink(open_descriptor(write_end), write_end, "output")
    text = b"line\n" * 200_000
    read = bytearray()

    def reader() -> None:
        while data := os.read(read_end, 65_536):
            read.extend(data)

    thread = threading.Thread(target=reader)
    thread.start()
    sink.write(text)
    sink.finish()
    sink.close()
    os.close(write_end)
    thread.join(10)
    os.close(read_end)
    assert bytes(read) == text


def test_one_in_a_hurry_waits_once_and_not_again(pipe: tuple[int, int]) -> None:
    sink = Sink(open_descriptor(pipe[1]), pipe[1], "log")
    sink.hurry(0.01)
    for _ in range(2 * MOST_QUEUED // 1024):
        sink.write(b"x" * 1023 + b"\n")  # each with a wait would take 20 s
    sink.finish()
    assert sink.is_blocked
    sink.close()


def test_an_exception_of_a_signal_handler_ends_the_waiting(
    fake: Fake, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def register(self, *_: object) -> None: ...
        def poll(self, _: object) -> list[object]:
            raise KeyboardInterrupt

    monkeypatch.setattr("select.poll", Interrupted)
    fake.room = 0
    sink = Sink(fake, 1, "output")
    with pytest.raises(KeyboardInterrupt):
        sink.write(b"x\n")
    sink.finish()  # does not wait again


def test_a_descriptor_that_somebody_closed(sink: Sink, fake: Fake) -> None:
    fake.room = 0
    sink.write(b"x\n")
    sink.fail(OSError(errno.EBADF, ""))
    assert not sink.is_blocked
    fake.room = 99
    sink.write(b"y\n")
    assert fake.taken == b"1 line of the log was lost: Bad file descriptor\ny\n"


def test_threads_write_whole_lines_in_their_order(sink: Sink, fake: Fake) -> None:
    def write(name: int) -> None:
        for number in range(200):
            sink.write(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=write, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    lines = [tuple(map(int, line.split())) for line in fake.taken.splitlines()]
    for name in range(4):
        assert [number for who, number in lines if who == name] == list(range(200))


def test_a_child_process_writes_nothing_of_its_parent(sink: Sink, fake: Fake) -> None:
    fake.room = 0
    sink.write(b"of the parent\n")
    sink.begin_anew()
    fake.room = 99
    sink.write(b"of the child\n")
    assert (fake.taken, sink.is_blocked) == (b"of the child\n", False)


def test_it_is_a_file_that_is_closed_once(fake: Fake) -> None:
    sink = Sink(fake, 2, "log")
    assert (sink.writable(), sink.readable(), sink.fileno(), sink.name) == (True, False, 2, "<stderr>")
    sink.close()
    sink.close()
    sink.flush()
    assert fake.is_closed


# Descriptors


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


Pair = tuple[int, int]


def _socket_pair() -> Pair:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


PAIRS: dict[str, Callable[[], Pair]] = {"pipe": os.pipe, "terminal": pty.openpty, "socket": _socket_pair}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("is_ours", [True, False])
def test_one_that_nobody_reads_never_waits_and_is_left_as_it_was(
    kind: str, is_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = PAIRS[kind]()
    if not is_ours:
        real = os.open

        def refuse(path: str, *arguments: int) -> int:
            if path.startswith("/proc/"):
                raise PermissionError
            return real(path, *arguments)

        monkeypatch.setattr("os.open", refuse)
    try:
        flags = fcntl.fcntl(write_end, fcntl.F_GETFL)
        descriptor = open_descriptor(write_end)
        written = 0
        with suppress(BlockingIOError):
            while written < 10_000_000:
                written += descriptor.write(b"x" * 10_000)
        assert 2_000 <= written < 10_000_000
        assert fcntl.fcntl(write_end, fcntl.F_GETFL) == flags, "others write to it too"
        assert len(os.read(read_end, 4_096)) > 0
        descriptor.close()
    finally:
        os.close(read_end)
        os.close(write_end)


def test_files_take_all(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        descriptor = open_descriptor(file.fileno())
        assert descriptor.write(b"abc") == 3
        descriptor.close()
        assert not file.closed
    assert (tmp_path / "file").read_bytes() == b"abc"


def test_the_device_that_is_full_says_so() -> None:
    number = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))):
            open_descriptor(number).write(b"x")
    finally:
        os.close(number)


# Lines that are gathered


def test_lines_that_come_fast_are_written_together(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    now, woken = 100.0, []
    monkeypatch.setattr("trio_proxy.text.sink.time", SimpleNamespace(monotonic=lambda: now))
    sink = Sink(fake, 2, "log")
    with sink.served(lambda: woken.append(now), gathers=True):
        sink.write(b"1\n")
        assert (bytes(fake.taken), woken) == (b"1\n", [])
        now += MOMENT / 2
        for line in (b"2\n", b"3\n"):
            sink.write(line)
            sink.flush()  # as a text file on top of it does
        assert (bytes(fake.taken), woken) == (b"1\n", [now])
        now += MOMENT
        sink.write(b"4\n")
        assert fake.taken == b"1\n"
        sink.write_gathered()
        assert (bytes(fake.taken), fake.writes) == (b"1\n2\n3\n4\n", 2)
        now += MOMENT
        sink.write(b"5\n")
        assert fake.taken == b"1\n2\n3\n4\n5\n"
        sink.write(b"6\n")
    sink.finish()
    assert fake.taken == b"1\n2\n3\n4\n5\n6\n"


# The task


@pytest.mark.parametrize("gathers", [False, True])
async def test_a_task_writes_when_there_is_room(
    pipe: Pair, monkeypatch: pytest.MonkeyPatch, gathers: bool
) -> None:
    read_end, write_end = pipe
    sink = Sink(open_descriptor(write_end), write_end, "log")
    monkeypatch.setattr(serving, "sinks", lambda: [sink])
    text = b"".join(b"line %d\n" % number for number in range(30_000))
    read = b""
    async with serving.serving(gathers=gathers):
        for line in text.splitlines(keepends=True):
            sink.write(line)
        assert sink.is_blocked or gathers
        await trio.to_thread.run_sync(sink.write, b"of a thread\n")
        with trio.fail_after(10):
            while len(read) < len(text) + 12:
                await trio.lowlevel.wait_readable(read_end)
                read += os.read(read_end, 65_536)
        assert not sink.is_blocked
    assert read == text + b"of a thread\n"
    sink.close()


async def test_the_task_survives_a_descriptor_that_was_closed(
    monkeypatch: pytest.MonkeyPatch, fake: Fake, autojump_clock: trio.abc.Clock
) -> None:
    sink = Sink(fake, 2, "log")
    monkeypatch.setattr(serving, "sinks", lambda: [sink])
    async with serving.serving():
        fake.room = 0
        sink.write(b"x\n")  # its number is none
        await trio.sleep(1)
        assert not sink.is_blocked
        fake.room = 99
        sink.write(b"y\n")
    assert fake.taken == b"1 line of the log was lost: Bad file descriptor\ny\n"
