"""Makes what ``--admin`` asks for. Its libraries are imported only then."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import trio

from sansio_smtp import Side
from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.account.records import Record
from trio_proxy.driver.listening import Given, ListenError, listening, nothing_given
from trio_proxy.driver.streams import SocketStream
from trio_proxy.metrics.meter import NO_METER, Meter
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address

if TYPE_CHECKING:
    from trio_proxy.admin.of_workers import AdminOfParent, Tell
    from trio_proxy.admin.service import Admin
    from trio_proxy.metrics.registry import Readings

    from .security import Security

__all__ = ["NoAdmin", "admin_of", "admin_of_parent", "admin_problems", "certificate_expiry", "open_admin"]

_LIBRARIES: Final = {"prometheus_client": "prometheus-client", "h11": "h11"}
"""Module → distribution."""


def admin_problems(options: Options) -> list[Problem]:
    """The reasons why the admin pages can never be served."""
    if options.admin is None:
        return []
    missing = [name for module, name in _LIBRARIES.items() if find_spec(module) is None]
    if not missing:
        return []
    text = f"--admin {options.admin} needs {' and '.join(missing)}: pip install 'sansio-smtp[metrics]'"
    return [of_settings(options, text)]


def open_admin(options: Options, stack: ExitStack) -> Given:
    """Binds the address of the pages, which may need rights that the service gives up later. The function
    that it returns gives these sockets once. Raises `ListenError`.

    If the address is in use, no sockets are given: mail does not wait for the pages, which try again
    later."""
    if options.admin is None:
        return nothing_given
    try:
        sockets = [*stack.enter_context(listening(options.admin))]
    except ListenError as error:
        if error.is_in_use:
            return nothing_given
        raise ListenError(f"--admin: {error}") from error.__cause__

    def give(_: Address) -> list[socket.socket]:
        given, sockets[:] = sockets.copy(), ()
        return given

    return give


def admin_of(options: Options, given: Given = nothing_given, tell: Tell | None = None) -> Admin | NoAdmin:
    """The counters, and the pages that show them on the ``given`` sockets. A worker has no pages: it reports
    to its parent with ``tell``. Without ``--admin`` nothing is counted or served."""
    if options.admin is None:
        return NoAdmin()
    if tell is not None:
        from trio_proxy.admin.of_workers import AdminOfWorker

        return AdminOfWorker(options.admin, tell)
    from trio_proxy.admin.service import Admin

    return Admin(options.admin, given)


def admin_of_parent(options: Options, given: Given) -> AdminOfParent | None:
    """The pages that show what workers count, on the ``given`` sockets. None without ``--admin``, or if a
    library is missing: the first worker reports that."""
    if options.admin is None or admin_problems(options):
        return None
    from trio_proxy.admin.of_workers import AdminOfParent

    return AdminOfParent(options.admin, given)


def certificate_expiry(security: Security) -> Iterator[tuple[tuple[str, ...], float]]:
    """The names of each certificate for clients that is now in use, and the time at which it expires."""
    if security.clients is not None:
        for certificate in security.clients.certificates:
            yield (",".join(certificate.names) or certificate.subject,), certificate.not_after.timestamp()


class NoAdmin:
    """Used in place of `Admin` when nothing is counted and no pages are served."""

    meter: Meter = NO_METER
    tell: Callable[[Record], None] | None = None

    def counted(
        self, side: Side, stream: Callable[[socket.socket], SocketStream]
    ) -> Callable[[socket.socket], SocketStream]:
        return stream

    def watch(self, name: str, readings: Readings) -> None: ...

    def ready_until(self, stop: trio.Event) -> None: ...

    async def serve(self) -> None: ...
