"""The control socket: a unix socket on which the parent of the workers is asked to restart or to reload them.

Each connection is a channel (`trio_proxy.workers.channel`); the parent answers these questions:

============  ====================================================================
``restart``   replaces all workers by new ones; answers when the new ones serve
``reload``    makes the workers read settings, rules and certificates again
``status``    answers at once with a line for people, and where the service listens
============  ====================================================================

The answer has ``why_not``, which is empty if it worked. Those of ``restart`` and ``reload`` also have
``not_applied``, the changed settings that this did not apply. That of ``status`` has ``status`` and
``listen``, a list of addresses as the settings write them. Only the user of the service, and root, can
connect.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import trio

from trio_proxy.text.addresses import Address

from .channel import Channel
from .parent import Parent

__all__ = ["open_control", "serve_control"]

log = structlog.stdlib.get_logger("smtp_proxy")


def open_control(path: Path) -> socket.socket:
    """Opens the socket. Replaces a socket file that a killed process has left. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(ConnectionRefusedError, FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            raise FileExistsError(f"another service is controlled with {path}")
        with suppress(FileNotFoundError):
            if path.is_socket():
                path.unlink()
        before = os.umask(0o177)  # other users may not connect, not even for a moment
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen()
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve_control(sock: socket.socket, parent: Parent, pages: Address | None = None) -> None:
    """Answers connections until it is cancelled. ``pages``: where the parent itself listens, if it does."""
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                client, _ = sock.accept()
            except OSError:  # the client is gone, or there are no descriptors
                await trio.sleep(0.1)
                continue
            nursery.start_soon(_answer, client, parent, pages)


async def _answer(client: socket.socket, parent: Parent, pages: Address | None) -> None:
    channel = Channel(client)

    async def restart(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"why_not": await parent.restart(), "not_applied": parent.not_applied}

    async def reload(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"why_not": await parent.reload(), "not_applied": parent.not_applied}

    def status(_: Mapping[str, Any]) -> Mapping[str, Any]:
        listen = [*parent.addresses, *([] if pages is None else [pages])]
        return {"why_not": "", "status": parent.status, "listen": [str(address) for address in listen]}

    channel.on("restart", restart)
    channel.on("reload", reload)
    channel.on("status", status)
    try:
        await channel.serve()
    finally:
        channel.close()
