"""Writes octets to standard output or error without waiting: to a file, a pipe, a terminal or a socket. Other
processes, such as the shell that started this one, may share a pipe or a terminal. O_NONBLOCK belongs to the
open file, not to the descriptor, so setting it would disturb them. So:

=====================  ==========================================================================
regular file, device   is written to: it never waits for a reader
socket                 ``send`` with MSG_DONTWAIT, which is for this one call
pipe, terminal         is opened once more, without blocking; the new open file is ours alone
the same, not allowed  is written in small pieces, each after ``poll`` has said that there is room
=====================  ==========================================================================
"""

from __future__ import annotations

import os
import select
import socket
import stat
from contextlib import suppress
from typing import Final, Protocol

import attrs

__all__ = ["Descriptor", "open_descriptor"]

_PIPE_PIECE: Final = select.PIPE_BUF
"""A pipe that has any room takes this many octets at once."""
_TERMINAL_PIECE: Final = 128
"""Terminals do not say how much they take; their buffers are much larger than this."""


class Descriptor(Protocol):
    """An open file to which text can be written."""

    number: int
    """The descriptor to ``poll`` after `write` has raised BlockingIOError."""

    def write(self, data: bytes) -> int:
        """Writes at least one octet, and returns how many. Never waits. Raises BlockingIOError if it would
        have to, and OSError."""
        ...

    def close(self) -> None:
        """Closes what `open_descriptor` has opened. The process's own descriptor stays open."""


def open_descriptor(number: int) -> Descriptor:
    """Returns an object that writes to this descriptor. Raises OSError if it is not open."""
    mode = os.fstat(number).st_mode
    if stat.S_ISSOCK(mode):
        return _Socket(number)
    is_terminal = os.isatty(number)
    if not is_terminal and not stat.S_ISFIFO(mode):
        return _File(number)
    try:
        return _OwnFile(os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:  # it belongs to another user, there is no /proc, or the pipe has no reader
        return _SharedFile(number, _TERMINAL_PIECE if is_terminal else _PIPE_PIECE)


@attrs.define(eq=False)
class _File:
    number: int

    def write(self, data: bytes) -> int:
        return os.write(self.number, data)

    def close(self) -> None: ...


class _OwnFile(_File):
    def close(self) -> None:
        os.close(self.number)


@attrs.define(eq=False)
class _SharedFile:
    number: int
    piece: int

    def write(self, data: bytes) -> int:
        poll = select.poll()
        poll.register(self.number, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(self.number, data[: self.piece])

    def close(self) -> None: ...


class _Socket:
    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=os.dup(number))
        self.number = self._socket.fileno()

    def write(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()
