"""What a worker gets from its parent: listening sockets, a number, a channel, and a row in the memory that
all workers share.

The parent starts a worker as a new process with the same command line. The variable `VARIABLE` says that it
is a worker, and which descriptors it has inherited::

    {"number": 3, "first": false, "channel": 7, "log_key": 8,
     "sockets": [["127.0.0.1:2525", 5], ["unix:/run/in.sock", 6]], "limits": {"descriptor": 9, "row": 0}}

``log_key`` is a pipe that holds the key with which all workers hash addresses in the log.

Over the channel the worker sends ``ready``, or ``cannot_start`` with the reason, and every second ``beat``
with the number of its clients. The parent sends ``stop``, and asks ``reload``. If the channel ends, the
parent has died: the worker finishes its sessions and ends, so that a new service can use its addresses.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Final

import attrs
import structlog
import trio

from sansio_smtp import __version__
from trio_proxy.driver.listening import ListenError
from trio_proxy.limits.shared import SharedCounts, UnknownLayout
from trio_proxy.process.manager import Reload
from trio_proxy.text.addresses import Address

from .channel import Channel

__all__ = ["BEAT_SECONDS", "VARIABLE", "Seat"]

log = structlog.stdlib.get_logger("smtp_proxy")

VARIABLE: Final = "SMTP_PROXY_WORKER"
BEAT_SECONDS: Final = 1.0
_STEP: Final = 1_000


@attrs.define(eq=False)
class Seat:
    """The place of a worker among others."""

    number: int
    is_first: bool
    """True if this process prints the warnings about settings and the banner."""
    channel: Channel
    shared: SharedCounts | None
    """The shared counts of all workers; None if this one counts alone."""
    log_key: bytes | None = attrs.field(repr=False)
    """The key of hashes in the log that all workers share; None: the parent is of an older version."""
    _sockets: dict[str, list[socket.socket]]
    """An address as the settings write it → its sockets."""
    _clients: Callable[[], int] = attrs.field(default=lambda: 0, init=False)

    @classmethod
    def of_environment(cls) -> Seat | None:
        """The seat of this process; None if it has none. Its children do not inherit it."""
        said = os.environ.pop(VARIABLE, None)
        if said is None:
            return None
        values: dict[str, Any] = json.loads(said)
        sockets: dict[str, list[socket.socket]] = {}
        for address, descriptor in values["sockets"]:
            sockets.setdefault(address, []).append(_inherited(descriptor))
        channel = Channel(_inherited(values["channel"]))
        shared = _shared(**values.get("limits", {}))
        key = _held(values["log_key"]) if "log_key" in values else None
        return cls(values["number"], values["first"], channel, shared, key, sockets)

    @property
    def is_of_start(self) -> bool:
        """True if the service has just started: it ends if this worker cannot start."""
        return self.number == 1

    @property
    def tell(self) -> Callable[..., None]:
        """A function that sends the parent a notice: a topic and values."""
        return self.channel.tell

    @property
    def numbers(self) -> Iterator[int]:
        """The numbers of connections, which differ from those of other workers. The last three digits are the
        number of the worker, as in c1003, c2003."""
        return count(_STEP + self.number % _STEP, _STEP)

    def given(self, address: Address) -> list[socket.socket]:
        """The sockets for this address. Raises `ListenError` if the parent does not have it."""
        found = self._sockets.pop(str(address), [])
        if not found:
            raise ListenError(f"cannot listen on {address}: the parent of this worker does not listen there")
        return found

    def check(self) -> None:
        """Closes the sockets that no address needs."""
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()
        self._sockets.clear()

    def ready(self, clients: Callable[[], int], grace: float) -> None:
        """Clients are accepted from now on; ``clients`` tells how many there are. At a stop they have the
        time ``grace``."""
        self._clients = clients
        self.channel.tell("ready", version=__version__, grace=grace)

    def stopping(self) -> None:
        """No more clients are accepted."""
        self.channel.tell("stopping")

    def stopped(self, cut_off: int) -> None:
        """All clients are gone; so many of them were cut off."""
        self.channel.tell("stopped", cut_off=cut_off)

    def cannot_start(self, problems: Iterable[str]) -> None:
        """Tells the parent and the log why this process ends."""
        texts = [*problems]
        self.channel.tell("cannot_start", problem=texts[0])
        for text in texts:
            log.error("a worker cannot start", problem=text, worker=self.number)

    async def serve(
        self,
        stop: Callable[[bool], None],
        reload: Reload,
        not_applied: Callable[[], str],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Does what the parent asks for, until it is cancelled. ``stop`` is called with True if clients
        without a mail transaction are sent away at once; ``not_applied`` tells which changed settings the
        last reload did not apply."""

        async def reloaded(_: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"why_not": await reload(), "not_applied": not_applied()}

        self.channel.on("stop", lambda values: stop(bool(values.get("hurry"))))
        self.channel.on("reload", reloaded)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            task_status.started()
            # A signal to all processes of the service is for the parent, which tells its workers.
            with trio.open_signal_receiver(signal.SIGHUP, signal.SIGUSR2):
                await self.channel.serve()
            log.error("the parent of this worker has died: the worker ends", worker=self.number)
            stop(True)

    async def _beat(self) -> None:
        while True:
            self.channel.tell("beat", clients=self._clients())
            await trio.sleep(BEAT_SECONDS)


def _held(descriptor: int) -> bytes:
    """The content of a pipe that has no writer any more."""
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def _inherited(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def _shared(descriptor: int = -1, row: int = -1, **_: Any) -> SharedCounts | None:
    """The shared counts; None if the parent has none or is of an older version, or if the layout is newer."""
    try:
        shared = None if descriptor < 0 else SharedCounts.mapped(descriptor, row)
    except (UnknownLayout, OSError):
        shared = None
    finally:
        if descriptor >= 0:
            os.close(descriptor)  # the mapping stays
    if shared is None:
        log.warning("limits hold for this worker alone; to end that, restart the service")
    return shared
