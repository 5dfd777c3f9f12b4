"""Starts a worker: the same program as a new process, with the sockets to serve."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from trio_proxy.text.addresses import Address

from .channel import Channel
from .rows import Rows
from .seat import VARIABLE

__all__ = ["start_process"]

_OF_THE_PARENT: Final = frozenset(
    ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
)
"""Variables that only the process started by the service manager may use."""


async def start_process(
    number: int,
    sockets: Sequence[tuple[Address, socket.socket]],
    *,
    is_first: bool,
    rows: Rows,
    log_key: bytes,
) -> tuple[trio.Process, Channel]:
    """Starts a worker, and returns it with the channel to it. It counts for limits in a row of ``rows``, and
    hashes addresses in the log with ``log_key``, if no file has a key. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs, _holding(log_key) as key:
        limits = rows.give(number)
        seat = {
            "number": number,
            "first": is_first,
            "channel": theirs.fileno(),
            "log_key": key,
            "sockets": [[str(address), sock.fileno()] for address, sock in sockets],
            "limits": limits,
        }
        inherited = [theirs.fileno(), key, *(sock.fileno() for _, sock in sockets)]
        if limits:
            inherited.append(limits["descriptor"])
        variables = {name: value for name, value in os.environ.items() if name not in _OF_THE_PARENT}
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, *sys.orig_argv[1:]],
                stdin=subprocess.DEVNULL,
                pass_fds=inherited,
                env={**variables, VARIABLE: json.dumps(seat)},
                # Only the parent handles Ctrl-C: it tells its workers.
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
    return process, Channel(ours)


@contextmanager
def _holding(secret: bytes) -> Generator[int]:
    """A pipe that holds a secret, because others can read arguments and environment of a process."""
    reader, writer = os.pipe()
    try:
        with open(writer, "wb") as opened:
            opened.write(secret)
        yield reader
    finally:
        os.close(reader)
