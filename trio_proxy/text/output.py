"""Writes all output for people: reports and transcripts to standard output, logs to standard error.

The executable calls `take_over` first. Then ``sys.stdout`` and ``sys.stderr`` are text files on top of a
`Sink`, so that all output goes the same way: that of this module, prints of rules, warnings, tracebacks. The
writers see no error of a disk, a pipe or an encoding, and nothing waits for a reader while the service runs
(module `serving`). Characters that the encoding does not have are escaped, as in ``\\u20ac``.

A program that uses this package as a library keeps its own ``sys.stdout`` and ``sys.stderr``, which are
looked up at each write. Their exceptions are ignored.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from .descriptors import open_descriptor
from .sink import Sink

__all__ = ["finish", "hurry", "sinks", "take_over", "write", "write_error_line", "write_line", "write_octets"]

_SECONDS: Final = 1.0
"""The seconds to wait for a slow reader before and after the service runs."""
_FIRST_FREE: Final = 3
"""The first descriptor after standard input, output and error."""


def write_line(line: str) -> None:
    """Writes one line to standard output. Raises nothing."""
    _write(sys.stdout, line + "\n")


def write(text: str) -> None:
    """Writes text to standard output, without a line end. Raises nothing."""
    _write(sys.stdout, text)


def write_octets(octets: bytes) -> None:
    """Writes octets as they are to standard output. Raises nothing."""
    buffer = getattr(sys.stdout, "buffer", None)
    with suppress(OSError, ValueError, AttributeError):  # see `_write`; or there is no standard output
        sys.stdout.flush()
        if buffer is not None:
            buffer.write(octets)
            buffer.flush()


def write_error_line(line: str, *, urgent: bool = False) -> None:
    """Writes one line, or several in one text, to standard error. ``urgent``: does not wait to be written
    together with later lines. Raises nothing."""
    file = sys.stderr
    sink = getattr(file, "buffer", None)
    if line.isascii() and isinstance(sink, Sink):
        sink.write(line.encode() + b"\n")  # the text file on top of the sink would cost 4 µs
    else:
        _write(file, line + "\n")
    if urgent and isinstance(sink, Sink):
        sink.write_gathered()


def take_over() -> None:
    """Puts a `Sink` under standard output and standard error, until the process ends."""
    while (number := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
        pass  # it was closed; the next socket must not get its number and so the log
    os.close(number)
    given_out: TextIO | None = sys.stdout
    given_err: TextIO | None = sys.stderr
    err = _sink(given_err, 2, "log")
    # If both are one file, they share a queue, which keeps the order of lines and does not mix them.
    is_one = given_out is not None and given_err is not None and os.path.sameopenfile(1, 2)
    out = err if is_one else _sink(given_out, 1, "output")
    sys.stdout, sys.stderr = _text_file(out, given_out), _text_file(err, given_err)
    for sink in {out, err}:
        os.register_at_fork(after_in_child=sink.begin_anew)


def hurry() -> None:
    """From now on waits for a reader at most a second. Reports to people have no such limit."""
    for sink in sinks():
        sink.hurry(_SECONDS)


def finish() -> None:
    """Writes what is left before the process ends. Raises nothing."""
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed or missing
            file.flush()
    for sink in sinks():
        sink.finish()


def sinks() -> list[Sink]:
    """The sinks in use, each once; none in a program that has not called `take_over`."""
    buffers = [getattr(file, "buffer", None) for file in (sys.stdout, sys.stderr)]
    return list(dict.fromkeys(each for each in buffers if isinstance(each, Sink)))


def _write(file: TextIO | None, text: str) -> None:
    if file is None:  # it was closed when the process began
        return
    with suppress(OSError, ValueError):  # a full disk, a closed pipe, a closed file
        try:
            file.write(text)
        except UnicodeEncodeError:
            file.write(text.encode(file.encoding, "backslashreplace").decode(file.encoding))
        file.flush()


def _sink(file: TextIO | None, number: int, what: str) -> Sink:
    if file is None:  # the descriptor may belong to another file now
        number = os.open(os.devnull, os.O_WRONLY)
    return Sink(open_descriptor(number), number, what)


def _text_file(sink: Sink, before: TextIO | None) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        sink,
        encoding=before.encoding if before is not None else "utf-8",
        errors="backslashreplace",
        newline="\n",
        line_buffering=True,
    )
