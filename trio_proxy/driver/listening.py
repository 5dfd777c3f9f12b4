"""Makes the sockets that clients connect to, or uses those that this process was given."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from trio_proxy.text.addresses import Address

from .streams import set_no_delay

__all__ = ["Given", "GivenError", "ListenError", "listening", "nothing_given"]

Given: TypeAlias = Callable[[Address], list[socket.socket]]
"""Gives the sockets for an address that another process has bound; none if there are none. Raises
`ListenError` if there is one that cannot be used."""


class ListenError(Exception):
    """An address that cannot be listened on; the text says why and what to do."""

    @property
    def is_in_use(self) -> bool:
        """True if another program listens there, which may end."""
        return isinstance(self.__cause__, OSError) and self.__cause__.errno == errno.EADDRINUSE


class GivenError(ListenError):
    """A socket of the service manager that does not fit the settings: trying again does not help."""


def nothing_given(_: Address) -> list[socket.socket]:
    """A `Given` that has nothing."""
    return []


@contextmanager
def listening(address: Address, given: Given = nothing_given) -> Generator[list[socket.socket]]:
    """Bound, listening, non-blocking sockets for an address: those that this process was given, else new
    ones. The file of a new unix socket is removed at the end.

    Raises `ListenError`.
    """
    if sockets := given(address):
        try:
            yield sockets
        finally:
            for sock in sockets:
                sock.close()
        return
    try:
        try:
            if address.path is not None:
                sockets.append(_listen_unix(address.path))
            else:
                _listen_tcp(address, sockets)
        except (OSError, UnicodeError) as error:
            raise ListenError(_explain(address, error)) from error
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        if address.path is not None and sockets:
            with suppress(PermissionError):  # root rights were given up: the next start replaces the file
                _unlink(address.path)


def _listen_tcp(address: Address, sockets: list[socket.socket]) -> None:
    port = address.port
    found = socket.getaddrinfo(address.host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    for family, _, _, _, where in dict.fromkeys(found):
        try:
            sock = _listener(family, (where[0], port, *where[2:]))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            missing = error  # names such as localhost have IPv6 addresses where the machine has none
        else:
            sockets.append(sock)
            port = sock.getsockname()[1]  # port 0: the other families take the same one
    if missing is not None and not sockets:
        raise missing


def _listener(family: int, where: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_no_delay(sock)
        sock.bind(where)
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            _unlink(path)
            sock.bind(path)
        sock.listen(1024)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(path: str) -> bool:
    """Returns True if a socket file is left over, because no process listens on it."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        return False


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):  # it was removed meanwhile
        os.unlink(path)


def _explain(address: Address, error: OSError | UnicodeError) -> str:
    what = f"cannot listen on {address}: "
    if isinstance(error, socket.gaierror | UnicodeError):
        return what + f"{address.host!r} cannot be resolved; use an address of this machine"
    if error.errno == errno.EADDRINUSE:
        return what + "it is in use; stop what listens there, or choose another port (0 takes a free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        if address.path is not None:
            return what + "permission denied; choose a directory that you may write"
        return what + "permission denied; use a port above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return what + "this machine has no such address; use 127.0.0.1, [::1] or one of its own"
    if address.path is not None and error.errno == errno.ENOENT:
        return what + f"there is no directory {Path(address.path).absolute().parent}; make it"
    if address.path is not None and error.errno is None:
        return what + "this path is too long for a unix socket (107 bytes on Linux); choose a shorter one"
    return what + (error.strerror or str(error))
