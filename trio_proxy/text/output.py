"""The only writer of what people watch: reports and transcripts on standard output, logs on standard error.

The executable calls `take_over` first. From then on ``sys.stdout`` and ``sys.stderr`` are text files on top
of a `Sink`, so that all that is written goes the same way: what this module writes, what rules print,
warnings, tracebacks. No error of a disk, a pipe or an encoding reaches those who write, and nothing waits for
a reader while the service runs (module `serving`). What the encoding lacks is escaped, as in ``\\u20ac``.

A program that uses this package as a library keeps its own ``sys.stdout`` and ``sys.stderr``: here they are
looked up at each write. What they raise is ignored.
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
"""For a slow reader, before and after the service has run."""
_FIRST_FREE: Final = 3
"""The descriptors before it are standard input, output and error."""


def write_line(line: str) -> None:
    """Writes one line to standard output. Raises nothing."""
    _write(sys.stdout, line + "\n")


def write(text: str) -> None:
    """Writes text as it is to standard output. Raises nothing."""
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
    """Writes one line, or several in one text, to standard error. ``urgent``: it is not gathered with those
    that may follow. Raises nothing."""
    file = sys.stderr
    sink = getattr(file, "buffer", None)
    if line.isascii() and isinstance(sink, Sink):
        sink.write(line.encode() + b"\n")  # the text file on top of it, which is flushed always, costs 4 µs
    else:
        _write(file, line + "\n")
    if urgent and isinstance(sink, Sink):
        sink.write_gathered()


def take_over() -> None:
    """Puts a `Sink` under standard output and standard error, for as long as the process lives."""
    while (number := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
        pass  # it was closed; the next socket must not become what the log is written to
    os.close(number)
    given_out: TextIO | None = sys.stdout
    given_err: TextIO | None = sys.stderr
    err = _sink(given_err, 2, "log")
    # One queue for both, if they are one file, keeps the order of their lines, and no line gets into another.
    is_one = given_out is not None and given_err is not None and os.path.sameopenfile(1, 2)
    out = err if is_one else _sink(given_out, 1, "output")
    sys.stdout, sys.stderr = _text_file(out, given_out), _text_file(err, given_err)
    for sink in {out, err}:
        os.register_at_fork(after_in_child=sink.begin_anew)


def hurry() -> None:
    """From now on no reader is waited for longer than a second. A report to a person has no such limit."""
    for sink in sinks():
        sink.hurry(_SECONDS)


def finish() -> None:
    """Writes what is left before the process ends. Raises nothing."""
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed; or there is none
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
    if file is None:  # the number belongs to something else now
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
