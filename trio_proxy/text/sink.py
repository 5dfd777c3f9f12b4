"""Takes output and writes it in order, without waiting for the reader while mail is served. A line is written
at once if the kernel takes it, as it nearly always does. If not, the line waits in a queue. While mail is
served, lines that come quickly one after the other are gathered in the queue for a moment::

                         ┌────────── the kernel takes it ──────────▶ written
    write ── the queue ──┤
             is empty?   ├─ the reader is slow ─▶ queue ──▶ a task writes it when there is room
                         │                          └─ the queue is full ─▶ lost, counted
                         └─ an error: disk full, pipe closed ─▶ lost with all that is queued, counted

If lines are lost, the queue has a *gap* at this place. When writing works again, the gap is written as a line
that says how many lines are missing and why. A gap that cannot be written grows.

What must never happen: `Sink.write` raises because of its file, or waits while the service runs (module
`serving`). Before and after that, no task can write later, so it waits for the reader: without limit in
commands that report to people, at most a second in the service (`Sink.hurry`).
"""

from __future__ import annotations

import errno
import io
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

import attrs

from .descriptors import Descriptor

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["MOMENT", "MOST_QUEUED", "Sink"]

MOMENT: Final = 0.02
"""The seconds for which lines are gathered."""
MOST_QUEUED: Final = 1_048_576
"""The most octets that wait for a slow reader. Further lines are lost."""
_NAMES: Final = {1: "<stdout>", 2: "<stderr>"}
_TOO_SLOW: Final = "its reader is too slow"


@attrs.define(eq=False)
class _Gap:
    """Lines that were lost at this place."""

    lines: int
    why: str


class Sink(io.BufferedIOBase):
    """Standard output or standard error, as a binary file that never raises OSError. Threads may share it."""

    def __init__(self, descriptor: Descriptor, number: int, what: str) -> None:
        """``number`` is the file descriptor as the process got it. ``what`` names the output for messages."""
        super().__init__()
        self._descriptor = descriptor
        self._number = number
        self.name = _NAMES.get(number, "")
        self._what = what
        self._queue: deque[bytes | _Gap] = deque()
        self._size = 0
        self._is_in_line = False
        self._is_blocked = False
        self._has_given_up = False
        self._lock = threading.RLock()
        self._wake: Callable[[], None] | None = None
        self._patience = inf
        self._gathers = False
        self._gathered_until = -inf
        self._is_due = False

    # As a binary file

    def write(self, buffer: ReadableBuffer, /) -> int:
        """Takes all octets. Raises no OSError."""
        data = bytes(buffer)
        with self._lock:
            if data:
                self._take(data)
                if self._gathers and not self._is_blocked and self._is_gathered():
                    return len(data)
                self._push()
            if self._is_blocked:
                if self._wake is not None:
                    self._wake()
                else:
                    self._wait()
        return len(data)

    def flush(self) -> None:
        """Writes what can be written without waiting, unless lines are being gathered."""
        if self._queue and not self.closed and not self._is_due:
            with self._lock:
                self._push()

    def write_gathered(self) -> None:
        """Writes the gathered lines: their moment is over (`served`)."""
        with self._lock:
            self._is_due = False
            lines: list[bytes] = []
            while self._queue and isinstance(line := self._queue[0], bytes):
                lines.append(line)
                self._queue.popleft()
            if lines:
                self._queue.appendleft(b"".join(lines))
            self._push()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._descriptor.close()

    def begin_anew(self) -> None:
        """Called in a forked child process: the queue and the task belong to the parent."""
        self._lock = threading.RLock()  # a thread of the parent may have held the old one
        self._queue.clear()
        self._size = 0
        self._is_blocked = self._is_due = self._gathers = False
        self._wake = None

    # While mail is served

    @contextmanager
    def served(self, wake: Callable[[], None], *, gathers: bool = False) -> Generator[None]:
        """In this context `write` does not wait. If it would have to, it calls ``wake``, in any thread; then
        call `flush` each time that `place` is writable, as long as `is_blocked` is true.

        ``gathers``: a line that comes less than `MOMENT` after another one waits for later lines, so that a
        busy service needs one system call for many lines. Then ``wake`` is called too; call `write_gathered`
        a moment later."""
        self._wake, self._gathers = wake, gathers
        try:
            yield
        finally:
            self._wake, self._gathers, self._is_due = None, False, False

    def _is_gathered(self) -> bool:
        """Returns True if the line must wait to be written with later ones."""
        now = time.monotonic()
        if now >= self._gathered_until and not self._is_due:
            self._gathered_until = now + MOMENT
            return False
        if not self._is_due and self._wake is not None:
            self._is_due = True
            self._wake()
        return self._is_due

    @property
    def is_blocked(self) -> bool:
        """True if something is queued that waits for the reader."""
        return self._is_blocked

    @property
    def place(self) -> int:
        """The descriptor that becomes writable when there is room."""
        return self._descriptor.number

    def fail(self, error: OSError) -> None:
        """It is not possible to wait for room: the queued lines are lost."""
        with self._lock:
            self._lose_all(error)
            self._is_blocked = False

    # Before and after

    def hurry(self, seconds: float) -> None:
        """From now on waits at most so many seconds for the reader while no task writes. After a wait without
        success, it does not wait again until everything could be written."""
        self._patience = seconds

    def finish(self) -> None:
        """Writes the queue, and waits until it is written."""
        with self._lock:
            self._push()
            self._wait()

    # The queue

    def _take(self, data: bytes) -> None:
        """Puts octets into the queue, or counts them as lost."""
        waits_never = self._wake is not None or self._has_given_up
        if waits_never and self._size + len(data) > MOST_QUEUED:
            self._lose(data.count(b"\n") or 1, _TOO_SLOW)
        else:
            self._queue.append(data)
            self._size += len(data)

    def _lose(self, lines: int, why: str) -> None:
        if self._queue and isinstance(gap := self._queue[-1], _Gap):
            lines += gap.lines
            self._queue.pop()
        self._queue.append(_Gap(lines, why))

    def _push(self) -> None:
        """Writes from the queue until nothing is left, there is no room, or an error loses all of it."""
        self._is_blocked = False
        while self._queue:
            first = self._queue[0]
            data = self._notice(first) if isinstance(first, _Gap) else first
            try:
                count = self._descriptor.write(data)
            except BlockingIOError:
                self._is_blocked = True
                return
            except OSError as error:
                self._lose_all(error)
                return
            self._is_in_line = data[count - 1 : count] != b"\n"
            if isinstance(first, bytes):
                self._size -= count
            else:
                self._size += len(data) - count
            if count < len(data):
                self._queue[0] = data[count:]
            else:
                self._queue.popleft()
        self._has_given_up = False

    def _lose_all(self, error: OSError) -> None:
        lines = sum(each.lines if isinstance(each, _Gap) else each.count(b"\n") or 1 for each in self._queue)
        self._queue.clear()
        self._size = 0
        self._lose(lines, os.strerror(error.errno or errno.EIO))

    def _notice(self, gap: _Gap) -> bytes:
        lines = "1 line" if gap.lines == 1 else f"{gap.lines} lines"
        text = f"{lines} of the {self._what} {'was' if gap.lines == 1 else 'were'} lost: {gap.why}\n"
        return b"\n" * self._is_in_line + text.encode()

    def _wait(self) -> None:
        """Waits until the queue is written."""
        until = time.monotonic() + self._patience
        while self._is_blocked and not self._has_given_up:
            # Set before waiting, because an exception of a signal handler may end the waiting.
            self._has_given_up = True
            if self._has_room_within(until - time.monotonic()):
                self._has_given_up = False
                self._push()

    def _has_room_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor.number, select.POLLOUT)
        return bool(poll.poll(None if seconds == inf else max(0, seconds) * 1000))
