"""Finds servers that are this proxy itself: a message for them would come back to it, again and again."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trio_proxy.text.addresses import Address

if TYPE_CHECKING:
    from sansio_smtp.rules.lint.problems import Problem
    from trio_proxy.settings.route_tables import RouteTable

__all__ = ["is_own", "leads_to", "route_loops"]

_EVERYWHERE = ("", "0.0.0.0", "::")


def leads_to(upstream: Address, listener: Address) -> bool:
    """Returns True if a connection to ``upstream`` comes to this listener, as far as can be known now. Looks
    names up, so it blocks."""
    if upstream.endpoint == listener.endpoint:
        return True
    if upstream.path is not None or listener.path is not None or upstream.port != listener.port:
        return False
    there = _hosts(upstream.host or "localhost")
    if listener.host in _EVERYWHERE:
        families = {"0.0.0.0": (socket.AF_INET,), "::": (socket.AF_INET6,)}.get(listener.host, ())
        return any(_is_ours(host) for host in there if not families or _family(host) in families)
    return bool(there & _hosts(listener.host))


def route_loops(routes: Iterable[RouteTable], listeners: Sequence[Address]) -> Iterator[Problem]:
    """Routes to this proxy itself. Blocks, as `leads_to` does."""
    for route in routes:
        for destination in route.upstream:
            if any(leads_to(destination.address, each) for each in listeners):
                yield route.problem(f'upstream = "{destination}": that is where this proxy listens itself')


def is_own(connection: socket.socket, listeners: Iterable[Address]) -> bool:
    """Returns True if this connection has come to one of these listeners of the same process."""
    there: Any = connection.getpeername()
    if isinstance(there, str):
        return any(each.path == there for each in listeners)
    host, port = str(there[0]), there[1]
    on_this_machine = host == connection.getsockname()[0] or Address(host).is_local
    hosts = (host, *_EVERYWHERE) if on_this_machine else (host,)
    return any(each.path is None and each.port == port and each.host in hosts for each in listeners)


def _hosts(name: str) -> set[str]:
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()  # the name may be known when it is needed
    return {str(where[0]) for *_, where in found}


def _is_ours(host: str) -> bool:
    with socket.socket(_family(host)) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
